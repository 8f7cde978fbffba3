"""The keyword recipe on clips that a child could tell apart: two tones, and something else."""

import json
from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest

import edgernn
from converters.training.augment import audio
from converters.training.augment.audio import AudioAugmentation
from converters.training.recipes import keyword
from converters.training.settings import resolve
from converters.training.words import (
    BACKGROUND,
    Words,
    WordStreams,
    _background,
    _say,
    section,
    varied,
)
from edgernn.errors import InputError
from edgernn.evaluation.clips import decision_of, judge
from edgernn.evaluation.runs import QuantizedRun
from edgernn.frontends.audio import AudioFrontEnd
from edgernn.labelled import Labelled

RATE = 8000
PITCH = {"high": 1400.0, "low": 350.0, "other": 2900.0}
FRONT_END = AudioFrontEnd(rate=RATE, window=256, hop=160, bands=16)
STILL = AudioAugmentation(**dict.fromkeys(AudioAugmentation.__dataclass_fields__, 0))
QUIET = replace(STILL, snr_low=60.0, snr_high=60.0)


def clip(label, group, take):
    random = np.random.default_rng([ord(label[0]), ord(group[0]), take])
    t = np.arange(int(RATE * random.uniform(0.25, 0.4))) / RATE
    wave = np.sin(2 * np.pi * PITCH[label] * random.uniform(0.95, 1.05) * t)
    samples = (4000 * wave * np.hanning(len(t))).astype(np.int16)
    return Labelled(f"{label}_{group}_{take}", samples, RATE, group, label)


CLIPS = [clip(label, group, take) for label in PITCH for group in "abc" for take in range(6)]


def settings(folder, **over):
    fit = {"epochs": 4, "batch": 8, "learning_rate": 0.02, "patience": 0}
    flags = {"data": "unused", "output": str(folder), "architecture": "gru-s", "fit": fit}
    flags |= {"front_end": {"kind": "audio", "rate": RATE, "window": 256, "hop": 160, "bands": 16}}
    flags["split"] = {"test": ["c"]}
    flags["augmentation"] = {"speed": 0.05, "vocal_tract": 0.03, "formants": 0.0}
    return resolve("keyword", None, {**flags, **over})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyword")
    return keyword.train(settings(folder), CLIPS)


@pytest.mark.slow
def test_the_quantized_stream_knows_a_voice_it_never_heard(trained):
    tally = judge(
        QuantizedRun(trained.converted, "auto"),
        [c for c in CLIPS if c.group == "c"],
        decision_of(trained.converted),
    )
    assert tally.to_dict()["accuracy"] > 0.9
    assert trained.document["groups"]["test"] == ["c"]


@pytest.mark.slow
def test_what_is_written_is_what_was_trained(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert {"keyword.keras", "keyword.tflite", "training.json"} <= names
    assert "checkpoint.npz" not in names
    document = json.loads((trained.folder / "training.json").read_text())
    assert len(document["history"]["loss"]) == 4
    model = edgernn.load(trained.folder / "keyword.tflite")
    assert model.data == trained.converted.data
    assert list(model.labels) == [BACKGROUND, "high", "low", "other"]
    assert model.metadata.front_end["kind"] == "audio"
    assert model.metadata.detector["ignore"] == [BACKGROUND]
    x = FRONT_END.features(CLIPS[0].samples)[np.newaxis]
    reloaded = keras.saving.load_model(trained.folder / "keyword.keras")
    np.testing.assert_array_equal(reloaded(x), trained.model(x))


def words():
    clips = [c.samples.astype(np.float32) for c in CLIPS]
    return Words(clips, [1 if c.label == "high" else 0 for c in CLIPS], RATE)


def test_a_word_is_to_be_said_when_it_ends():
    made = section(words(), FRONT_END, QUIET, np.random.default_rng(0))
    said = np.flatnonzero(np.diff(np.concatenate([[0], made.classes > 0, [0]])))
    assert len(said) >= 2
    loud = made.features.max(axis=1) > made.features.max() - 4
    for start, end in said.reshape(-1, 2):
        assert 0.2 < (end - start) / FRONT_END.frame_rate < 0.4
        assert loud[start - 6 : start + 4].any()  # the word is there when it is to be said …
        assert not loud[end - 4 : end].any()  # … and over before that ends
        assert (made.weights[start:end] == 1.0).all()


def test_gain_control_is_trained_on_as_the_device_will_compute_it():
    front_end = replace(FRONT_END, output="agc")
    samples, _ = _say(words(), STILL, np.random.default_rng(0))
    made = section(words(), front_end, STILL, np.random.default_rng(0))
    heard = varied(made, front_end, STILL, np.random.default_rng(1))
    expected = front_end.features(np.rint(samples).astype(np.int16))
    np.testing.assert_allclose(heard.features, expected, atol=0.01)
    # What was much louder a moment ago is remembered.
    later = varied(made, front_end, STILL, np.random.default_rng(1), heard.level + 20.0)
    assert later.features.mean() < heard.features.mean() - 0.1
    assert heard.level < later.level < heard.level + 20.0


def test_a_stream_that_begins_anew_remembers_no_level():
    front_end = replace(FRONT_END, output="agc")

    def heard(level):
        """The frames of a row that begins anew after another level."""
        streams = WordStreams(words(), front_end, STILL, 1, 40, 20, 0, still=-2.0)
        streams.batch(0, 0)
        (row,) = streams._rows
        row._level = level
        row._begin(3)
        return row._x

    np.testing.assert_array_equal(heard(15.0), heard(-15.0))
    assert heard(15.0).max() == 0.0  # the loudest band of the first word


def test_backgrounds_are_of_unit_power_and_some_are_babble():
    """Of loud clips in silence, babble is what is not of the same power all the time."""
    clip = np.concatenate([np.ones(4000), np.zeros(12000)]).astype(np.float32)
    said, random = Words([clip], [1], RATE), np.random.default_rng(0)
    made = [_background(said, 4 * RATE, random) for _ in range(120)]
    babble = [len(np.unique(one)) < 20 for one in made]
    powers = [np.mean(x**2) if many else np.var(x) for x, many in zip(made, babble, strict=True)]
    np.testing.assert_allclose(powers, 1.0, rtol=0.1)
    assert 15 < sum(babble) < 50


def test_a_crowd_says_no_keyword_if_there_are_other_words():
    key, other, voice = (np.full(900, value, np.float32) for value in (1, 2, 3))
    mixed = Words([key, other], [1, 0], RATE, voices=Words([voice], [1], RATE))
    assert [clip[0] for clip in mixed.crowd] == [2]
    every = replace(mixed, classes=[1, 2])
    assert [clip[0] for clip in every.crowd] == [1, 2, 3]


def test_by_default_bands_are_under_gain_control(tmp_path):
    assert keyword.front_end_of(settings(tmp_path), CLIPS).output == "agc"
    plain = settings(tmp_path, front_end={"kind": "audio", "output": "log-mel"})
    assert keyword.front_end_of(plain, CLIPS).floor == 0.01


def test_a_language_without_voices_is_told_before_anything_is_begun(tmp_path):
    with pytest.raises(InputError, match="no voices for 'xx'"):
        keyword.plan(settings(tmp_path / "new", voices="xx"), CLIPS)


def test_at_the_half_of_a_word_it_or_nothing_is_to_be_said():
    made = section(words(), FRONT_END, QUIET, np.random.default_rng(0))
    for end in np.flatnonzero(np.diff((made.classes > 0).astype(int)) == 1):
        assert (made.classes[end - 3 : end + 1] == -1).all()
        assert (made.weights[end - 3 : end + 1] > 0.5).all()
    # Words that are none of the keywords are never to be said, at no moment.
    others = replace(words(), share=0.0)
    assert not section(others, FRONT_END, QUIET, np.random.default_rng(0)).classes.any()


def test_as_many_words_are_said_by_voices_as_asked_for():
    quiet = np.zeros(2000, np.float32)
    mixed = replace(words(), voices=Words([quiet], [1], RATE))
    silent = []
    for share in (0.0, 0.4, 1.0):
        random, how = np.random.default_rng(1), replace(QUIET, voices=share)
        made = [_say(mixed, how, random) for _ in range(40)]
        said = [
            samples[int(a * RATE) : int(b * RATE)] for samples, ends in made for a, b, _ in ends
        ]
        silent.append(np.mean([np.abs(one).max() < 500 for one in said]))
    assert silent[0] == 0.0
    assert 0.3 < silent[1] < 0.5
    assert silent[2] == 1.0


def test_voices_say_the_labels_as_loud_as_they_were_recorded(tmp_path):
    chosen = settings(tmp_path, voices="en", keywords=["high"])
    task = keyword.task_of(chosen, CLIPS, FRONT_END)
    made = keyword.streams_of(chosen, task).words
    assert made.voices is not None
    # A third of the labels is the keyword, and the rest is background.
    assert np.mean(made.voices.classes) == pytest.approx(1 / 3)
    loud = [np.median([np.sqrt(np.mean(c**2)) for c in w.clips]) for w in (made, made.voices)]
    assert loud[1] == pytest.approx(loud[0], rel=0.01)
    assert keyword.streams_of(settings(tmp_path), task).words.voices is None


def test_rows_are_endless_and_any_window_can_be_made_alone():
    def streams():
        return WordStreams(
            words(), FRONT_END, QUIET, 6, 50, 4, seed=5, context=8, stride=2, still=0.5
        )

    whole = streams()
    windows = [whole.batch(1, k) for k in range(4)]
    alone = streams().batch(1, 3)
    for a, b in zip(windows[3], alone, strict=True):
        np.testing.assert_array_equal(a, b)
    for before, after in pairwise(windows):
        carried = ~after.fresh
        np.testing.assert_array_equal(before.x[carried, -8:], after.x[carried, :8])
        assert (after.x[after.fresh, :8] == 0.5).all()
        assert before.x.shape == (6, 58, 16)
        assert before.y.shape == before.weight.shape == (6, 25)
    assert any(one.fresh.any() for one in windows)
    assert not np.array_equal(windows[0].x, streams().batch(9, 0).x)


def test_keywords_are_told_from_all_other_words(tmp_path):
    chosen = settings(tmp_path, keywords=("high",))
    task = keyword.task_of(chosen, CLIPS, FRONT_END)
    assert task.labels == (BACKGROUND, "high")
    streams = keyword.streams_of(chosen, task)
    assert set(streams.words.classes) == {0, 1}
    said = [streams.words.draw(np.random.default_rng(k))[1] for k in range(200)]
    assert 60 < sum(said) < 140


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"keywords": ("hgih",)}, "keyword 'hgih' is no label of the data, which have: high"),
        ({"augmentation": {"sped": 1.0}}, "augmentation: no field 'sped'; use "),
        ({"architecture": "gru-z"}, "architecture 'gru-z' is not known"),
        ({"front_end": {"kind": "sensor"}}, "front end 'sensor': .* kind = \"audio\""),
        ({"split": {"test": ["z"]}}, "'z'"),
    ],
)
def test_wrong_settings_are_named(tmp_path, over, message):
    chosen = settings(tmp_path, **over)
    with pytest.raises(InputError, match=message):
        keyword.train(chosen, CLIPS)


def test_stretching_keeps_the_pitch():
    t = np.arange(RATE) / RATE
    wave = (3000 * np.sin(2 * np.pi * 500 * t)).astype(np.float32)
    random = np.random.default_rng(1)
    lengths = set()
    for _ in range(5):
        made = audio.stretch(wave, RATE, 0.3, random)
        lengths.add(len(made))
        inner = made[800:-800]
        peak = np.abs(np.fft.rfft(inner * np.hanning(len(inner)))).argmax() * RATE / len(inner)
        assert abs(peak - 500) < 10
        assert np.abs(inner).max() < 3600  # grains in phase do not add up to more than the wave
    assert len(lengths) == 5


def test_nothing_is_altered_where_nothing_is_asked_for():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 16)).astype(np.float32)
    np.testing.assert_allclose(audio.vary_spectrum(x, STILL, random), x, atol=1e-6)
    np.testing.assert_array_equal(audio.mask(x, 50.0, STILL, random), x)


@pytest.mark.parametrize(("slope", "ratio"), [(0, 1.0), (1, 8.0), (2, 64.0)])
def test_noise_falls_as_said(slope, ratio):
    made = audio.noise(1 << 16, slope, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(made)) ** 2
    measured = power[1000:2000].mean() / power[8000:16000].mean()
    assert measured == pytest.approx(ratio, rel=0.15)
    assert made.std() == pytest.approx(1.0, rel=0.02)
