"""Recordings with their truth: every layout that is read, and every one that is refused."""

import json
import sys
import types
import wave

import numpy as np
import pytest

from edgernn import frontends
from edgernn.errors import InputError, MissingDependencyError
from edgernn.labelled import Labelled, Span, classes, cut, labels_of_frames, read_labelled
from edgernn.labelled.folders import read_background
from edgernn.labelled.patterns import matcher
from edgernn.labelled.reading import Reading

AUDIO = {"kind": "audio", "rate": 8000, "window": 256, "hop": 128}
SENSOR = frontends.read({"kind": "sensor", "rate": 100, "names": ["a", "b"]})


def sound(path, value=1, count=400, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.full(count, value, "<i2").tobytes())


def table(path, labels, header="a,b,timestamp,label", step=10, first=1_657_533_977_810):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{i},{i / 2},{first + step * i},{label}" for i, label in enumerate(labels)]
    path.write_text("\n".join([header, *rows]) + "\n")


def told(recordings):
    return [(r.name, r.group, r.label) for r in recordings]


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        read_labelled(*arguments, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


class TestFolders:
    def test_a_folder_a_class(self, tmp_path):
        for name in ("yes/0a7c_nohash_0", "yes/bb_nohash_1", "no/0a7c_nohash_0", "no/alone"):
            sound(tmp_path / f"{name}.wav", len(name))
        sound(tmp_path / "_background_noise_/tap.wav", 9)
        sound(tmp_path / "no/._0a7c_nohash_0.wav", 9)
        recordings = read_labelled(tmp_path)
        assert told(recordings) == [
            ("no/0a7c_nohash_0.wav", "0a7c", "no"),
            ("no/alone.wav", "alone", "no"),
            ("yes/0a7c_nohash_0.wav", "0a7c", "yes"),
            ("yes/bb_nohash_1.wav", "bb", "yes"),
        ]
        assert [r.samples.tolist() for r in recordings] == [
            [len(r.name) - 4] * 400 for r in recordings
        ]
        assert {(r.rate, r.seconds, r.samples.dtype) for r in recordings} == {
            (8000, 0.05, np.dtype("int16"))
        }
        noise = read_background(tmp_path, Reading(frontends.read(AUDIO)))
        assert [(r.name, r.label, int(r.samples[0])) for r in noise] == [
            ("_background_noise_/tap.wav", None, 9)
        ]

    def test_lists_of_speech_commands(self, tmp_path):
        for take in "012":
            sound(tmp_path / f"yes/speaker{take}_nohash_0.wav")
        (tmp_path / "testing_list.txt").write_text("yes/speaker1_nohash_0.wav\n")
        (tmp_path / "validation_list.txt").write_text("yes/speaker2_nohash_0.wav\n")
        assert [r.part for r in read_labelled(tmp_path)] == [None, "test", "validation"]

    def test_names_that_tell(self, tmp_path):
        for name in ("7_nicolas_12", "3_george_0"):
            sound(tmp_path / f"{name}.wav")
        assert told(read_labelled(tmp_path)) == [
            ("3_george_0.wav", "george", "3"),
            ("7_nicolas_12.wav", "nicolas", "7"),
        ]
        swapped = read_labelled(tmp_path, pattern="{group}_{label}_{take}")
        assert [(r.group, r.label) for r in swapped] == [("3", "george"), ("7", "nicolas")]

    def test_a_pattern_of_folders(self, tmp_path):
        sound(tmp_path / "anna/stop/1.wav")
        sound(tmp_path / "ben/go/1.wav")
        found = read_labelled(tmp_path, pattern="{group}/{label}/{take}")
        assert [(r.group, r.label) for r in found] == [("anna", "stop"), ("ben", "go")]

    def test_names_that_do_not_fit(self, tmp_path):
        for name in ("7_nicolas_12", "turn_left_anna_1", "notes"):
            sound(tmp_path / f"{name}.wav")
        line = refused(tmp_path)
        assert "2 of 3 names do not fit the pattern '{label}_{group}_{take}'" in line
        assert "notes.wav, turn_left_anna_1.wav" in line

    def test_recordings_beside_the_folders_of_classes(self, tmp_path):
        sound(tmp_path / "yes/anna_1.wav")
        sound(tmp_path / "stray.wav")
        assert "1 recordings of no class: stray.wav" in refused(tmp_path)

    def test_progress(self, tmp_path):
        for take in range(3):
            sound(tmp_path / f"yes_anna_{take}.wav")
        seen = []
        read_labelled(tmp_path, progress=lambda *at: seen.append(at))
        assert seen == [(1, 3), (2, 3), (3, 3)]


class TestBadFiles:
    def test_nothing(self, tmp_path):
        assert "the folder holds no .wav" in refused(tmp_path)
        assert "no such file or folder" in refused(tmp_path / "away")
        (tmp_path / "empty.csv").write_text("")
        assert "empty.csv: holds no samples" in refused(tmp_path / "empty.csv")

    def test_a_file_that_cannot_be_read(self, tmp_path):
        sound(tmp_path / "yes/anna_0.wav")
        (tmp_path / "yes/ben_0.wav").write_bytes(b"no sound")
        assert "yes/ben_0.wav: is no WAV file that can be read" in refused(tmp_path)

    def test_a_file_that_is_cut_short(self, tmp_path):
        sound(tmp_path / "yes/anna_0.wav")
        file = tmp_path / "yes/anna_0.wav"
        file.write_bytes(file.read_bytes()[:-100])
        assert "anna_0.wav: is cut short: 50 samples are missing" in refused(tmp_path)

    def test_another_rate(self, tmp_path):
        sound(tmp_path / "yes/anna_0.wav")
        sound(tmp_path / "yes/ben_0.wav", rate=16000, count=800)
        assert "ben_0.wav: has 16000 samples a second, the model takes 8000" in refused(tmp_path)
        assert [len(r.samples) for r in read_labelled(tmp_path, resample=True)] == [400, 400]
        assert "anna_0.wav: has 8000 samples" in refused(tmp_path, front_end={"rate": 16000})

    def test_many_are_one_line(self, tmp_path):
        for take in range(10):
            sound(tmp_path / f"yes_anna_{take}.wav", rate=8000 if take < 4 else 11025)
        line = refused(tmp_path)
        assert "6 of 10 recordings cannot be used" in line
        assert line.endswith("; and 3 more")
        assert line.count("11025") == 3


class TestTables:
    def test_runs_of_a_label_are_spans(self, tmp_path):
        table(tmp_path / "s01_02_sw.csv", ["sit", "sit", "walk", "walk", "walk", "", "sit"])
        table(tmp_path / "s02_01_sw.csv", ["walk"])
        (tmp_path / "subjects.csv").write_text("subject,age\ns01,4\n")
        first, second = read_labelled(tmp_path, pattern="{group}_{trial}_sw")
        assert told([first, second]) == [
            ("s01_02_sw.csv", "s01", None),
            ("s02_01_sw.csv", "s02", None),
        ]
        assert [(s.label, *np.round([s.start, s.end], 9)) for s in first.spans] == [
            ("sit", 0, 0.02), ("walk", 0.02, 0.05), ("sit", 0.06, 0.07),
        ]  # fmt: skip
        assert first.samples.tolist() == [[i, i / 2] for i in range(7)]
        assert first.times.tolist() == [1_657_533_977_810_000 + 10_000 * i for i in range(7)]
        assert first.rate == pytest.approx(100)
        assert second.spans == (Span("walk", 0, 0.01),)
        assert classes([first, second]) == ("sit", "walk")

    def test_times_with_gaps_and_steps_back(self, tmp_path):
        rows = ["0,x", "0.1,x", "0.05,y", "5,y", "5.1,x"]
        (tmp_path / "t.csv").write_text("time (s),label,a\n" + "".join(f"{r},1\n" for r in rows))
        (found,) = read_labelled(tmp_path / "t.csv")
        assert found.spans == (
            Span("x", 0, 0.1),
            Span("y", 0.1, 5.1),
            Span("x", 5.1, pytest.approx(5.2)),
        )

    def test_a_column_of_labels_by_name(self, tmp_path):
        table(tmp_path / "x.csv", ["p", "q"], header="a,b,timestamp,posture")
        (found,) = read_labelled(tmp_path / "x.csv", label_column="posture")
        assert [span.label for span in found.spans] == ["p", "q"]
        assert "has no column 'gait'" in refused(tmp_path / "x.csv", label_column="gait")

    def test_a_folder_a_class(self, tmp_path):
        for name in ("wave/anna_0", "tap/anna_0", "tap/ben_0"):
            path = tmp_path / f"{name}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("a,b\n1,2\n3,4\n")
        found = read_labelled(tmp_path, front_end=SENSOR)
        assert [(r.group, r.label) for r in found] == [
            ("anna", "tap"),
            ("ben", "tap"),
            ("anna", "wave"),
        ]
        assert (found[0].rate, found[0].times, found[0].seconds) == (100, None, 0.02)
        assert "nothing tells its rate" in refused(tmp_path)

    def test_what_cannot_be_used(self, tmp_path):
        table(tmp_path / "x.csv", ["p"] * 50, header="a,b,t_ms,label", step=1000)
        line = refused(tmp_path / "x.csv", front_end={**SENSOR.config(), "names": ["a"]})
        assert "about 1 samples a second, the front end takes 100" in line
        table(tmp_path / "x.csv", ["p", "q"])
        with open(tmp_path / "x.csv", "a") as file:
            file.write("1,2,soon,p\n")
        assert "x.csv, line 4: has no time but 'soon'" in refused(tmp_path / "x.csv")
        assert "has no column 'c'" in refused(tmp_path / "x.csv", front_end={"names": ["c"]})
        table(tmp_path / "z.csv", ["p", "q"])
        assert "no table with the columns c" in refused(tmp_path, front_end={"names": ["c"]})
        line = refused(tmp_path, pattern="{group}_{trial}")
        assert "2 of 2 names do not fit the pattern '{group}_{trial}': x.csv, z.csv" in line


class TestWindows:
    @pytest.fixture
    def machine(self, tmp_path):
        rows = [f"2013-12-02 21:{5 * i:02}:00,{70 + i}" for i in range(12)]
        (tmp_path / "machine.csv").write_text("\n".join(["timestamp,value", *rows]))
        return tmp_path

    WINDOWS = (
        ["2013-12-02 21:30:00.000000", "2013-12-02 21:40:00"],
        ["2013-12-02 21:10:00", "2013-12-02 21:15"],
    )

    @pytest.mark.parametrize(
        "document",
        [WINDOWS, {"some/machine.csv": WINDOWS}, [{"start": s, "end": e} for s, e in WINDOWS]],
    )
    def test_beside_the_table(self, machine, document):
        (machine / "anomaly_windows.json").write_text(json.dumps(document))
        (found,) = read_labelled(machine)
        assert found.spans == (Span("anomaly", 600, 900), Span("anomaly", 1800, 2400))
        assert (found.rate, found.seconds, found.group) == (1 / 300, 3300, "machine")
        assert found.samples[:2].tolist() == [[70], [71]]

    def test_of_another_file(self, machine):
        (machine / "w.csv").write_text("start,end,label\n2013-12-02 21:10,2013-12-02 21:15,worn\n")
        (found,) = read_labelled(machine / "machine.csv", windows=machine / "w.csv")
        assert found.spans == (Span("worn", 600, 900),)

    def test_numbers_are_as_in_the_table(self, tmp_path):
        table(tmp_path / "x.csv", [""] * 9, step=1000)
        (tmp_path / "windows.json").write_text('[[1657533978810, 1657533980810, "odd"]]')
        (found,) = read_labelled(tmp_path)
        assert found.spans == (Span("odd", pytest.approx(1), pytest.approx(3)),)

    @pytest.mark.parametrize(
        ("document", "wrong"),
        [
            ("{", "is no JSON"),
            ("3", "is no list of windows"),
            ('[["2013-12-02"]]', "is no window"),
            ('[["noon", "2013-12-02"]]', "'noon' is no time"),
            ('[["2013-12-03", "2013-12-02"]]', "ends before it begins"),
            ('[["2015-12-02", "2015-12-03"]]', "is not within"),
            ('{"other.csv": []}', "has no windows of machine.csv"),
        ],
    )
    def test_what_is_none(self, machine, document, wrong):
        (machine / "w.json").write_text(document)
        line = refused(machine / "machine.csv", windows=machine / "w.json")
        assert "w.json" in line
        assert wrong in line


class TestListing:
    def test_files_of_a_table(self, tmp_path):
        for name in ("clips/1", "clips/2", "clips/3"):
            sound(tmp_path / f"{name}.wav")
        (tmp_path / "all.csv").write_text(
            "Filename;Category;Speaker;Split\nclips/2.wav;no;anna;testing\nclips/1.wav;yes;ben;train\n"
        )
        found = read_labelled(tmp_path / "all.csv")
        assert told(found) == [("clips/2.wav", "anna", "no"), ("clips/1.wav", "ben", "yes")]
        assert [r.part for r in found] == ["test", "train"]

    def test_what_cannot_be_used(self, tmp_path):
        sound(tmp_path / "1.wav")
        path = tmp_path / "all.csv"
        path.write_text("file,label\n1.wav,yes\n2.wav,no\n")
        assert "2.wav: cannot be read (no such file" in refused(path)
        path.write_text("file,word\n1.wav,yes\n")
        assert "has no column 'label', it has file, word" in refused(path)
        path.write_text("file,label,split\n1.wav,yes,later\n")
        assert "row 2: 'later' is not one of train, validation, test" in refused(path)
        path.write_text("file,label\n")
        assert "lists no recording" in refused(path)


class TestDatasets:
    @pytest.fixture
    def made(self, monkeypatch):
        """A stand-in for TensorFlow Datasets: sets by name, of splits of examples."""
        sets = {}

        class Builder:
            def __init__(self, name):
                splits, rate, names = sets[name]
                label = types.SimpleNamespace(int2str=names.__getitem__)
                keys = next(iter(splits.values()))[0]
                features = dict.fromkeys(keys) | {
                    "audio": types.SimpleNamespace(sample_rate=rate), "label": label,
                }  # fmt: skip
                self.splits = splits
                counts = {s: types.SimpleNamespace(num_examples=len(e)) for s, e in splits.items()}
                self.info = types.SimpleNamespace(features=features, splits=counts)

            def download_and_prepare(self):
                self.ready = True

            def as_dataset(self, split):
                assert self.ready
                return types.SimpleNamespace(as_numpy_iterator=lambda: iter(self.splits[split]))

        module = types.SimpleNamespace(builder=Builder)
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
        return sets

    def test_speakers_by_file_name(self, made):
        audio = np.arange(5, dtype=np.int64)
        examples = [
            {"audio": audio + 1, "label": 7, "audio/filename": b"7_nicolas_12.wav"},
            {"audio": audio, "label": 3, "audio/filename": b"3_george_0.wav"},
        ]
        made["spoken_digit"] = {"train": examples}, 8000, list("0123456789")
        found = read_labelled("tfds:spoken_digit")
        assert told(found) == [
            ("3_george_0.wav", "george", "3"),
            ("7_nicolas_12.wav", "nicolas", "7"),
        ]
        assert {(r.rate, r.samples.dtype, r.part) for r in found} == {
            (8000, np.dtype("int16"), None)
        }
        assert found[1].samples.tolist() == [1, 2, 3, 4, 5]
        line = refused("tfds:spoken_digit", front_end={"rate": 16000})
        assert "has 8000 samples a second, the front end takes 16000" in line
        found = read_labelled("tfds:spoken_digit", front_end={"rate": 16000}, resample=True)
        assert [len(r.samples) for r in found] == [10, 10]

    def test_speakers_by_a_feature_and_splits(self, made):
        example = {"audio": np.ones(4, np.int64), "label": 0}
        made["words"] = (
            {"train": [{**example, "speaker_id": 4}], "test": [{**example, "speaker_id": 5}]},
            16000, ["yes"],
        )  # fmt: skip
        assert [(r.group, r.part) for r in read_labelled("tfds:words")] == [
            ("5", "test"),
            ("4", "train"),
        ]
        made["none"] = {"train": [example], "validation": [example]}, 16000, ["yes"]
        found = read_labelled("tfds:none")
        assert [(r.group, r.part) for r in found] == [
            ("train", "train"),
            ("validation", "validation"),
        ]

    def test_what_cannot_be_had(self, made, monkeypatch):
        assert "tfds:away: cannot be had" in refused("tfds:away")
        made["images"] = {"train": [{"label": 0}]}, 0, ["cat"]
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'edgernn\[datasets\]'"):
            read_labelled("tfds:spoken_digit")


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "wrong"),
        [
            ("{label}_{take}", "has no {group}"),
            ("{group}{label}", "nothing between two fields"),
            ("{group}_{group}", "has a field twice"),
            ("{group}_{", "a brace that is no field"),
            ("{group", "a brace that is no field"),
        ],
    )
    def test_what_is_none(self, pattern, wrong):
        with pytest.raises(InputError, match=wrong):
            matcher(pattern)


class TestTruth:
    def test_labels_of_frames_of_a_sensor(self, tmp_path):
        table(tmp_path / "x.csv", ["sit"] * 20 + ["walk"] * 30 + [""] * 10)
        (recording,) = read_labelled(tmp_path / "x.csv", front_end=SENSOR)
        frames = SENSOR.stream().push(recording.samples, recording.times)
        found = labels_of_frames(recording, frames, ("walk", "sit"))
        assert len(found) == len(frames) == 60
        assert found.tolist() == [1] * 20 + [0] * 30 + [-1] * 10

    def test_labels_of_frames_of_sound(self):
        front_end = frontends.read(AUDIO)
        samples = np.zeros(8000, np.int16)
        recording = Labelled("x", samples, 8000, "g", "low", (Span("high", 0.25, 0.5),))
        frames = front_end.stream().push(samples)
        found = labels_of_frames(recording, frames, ("low", "high"))
        ends = 256 + 128 * np.arange(len(found))
        assert found.tolist() == [1 if 2000 <= end < 4000 else 0 for end in ends]

    def test_one_class_is_none(self):
        one = Labelled("x", np.zeros(1), 1, "g", "only")
        with pytest.raises(InputError, match=r"only the label 'only'.*at least two classes"):
            classes([one, one])
        with pytest.raises(InputError, match="no label"):
            classes([])

    def test_a_part_of_a_recording(self):
        times = np.arange(10) * 500_000 + 7
        spans = (Span("a", 0, 1.2), Span("b", 1.2, 4), Span("c", 4, 5))
        whole = Labelled("x", np.arange(10.0)[:, None], 2, "g", None, spans, times)
        part = cut(whole, 1, 3)
        assert part.samples[:, 0].tolist() == [2, 3, 4, 5]
        assert part.times.tolist() == times[2:6].tolist()
        assert part.spans == (Span("a", 0, pytest.approx(0.2)), Span("b", pytest.approx(0.2), 2))
        with pytest.raises(InputError, match="has no sample from 9 to 10"):
            cut(whole, 9, 10)
