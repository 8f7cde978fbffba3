import sys
from types import SimpleNamespace

import numpy as np
import pytest

import edgernn
from examples.keyword import train as keyword
from tests.examples.programs import assert_refused, run, tone, write_wav

PROGRAM = "examples/keyword/train.py"
PITCH = {"low": 300, "high": 1500}


@pytest.fixture
def folder(tmp_path):
    """Two words that three people whistle eight times each."""
    for word, pitch in PITCH.items():
        for number, speaker in enumerate(("ann", "bob", "eve")):
            for take in range(8):
                samples = tone(pitch * (1 + 0.03 * number + 0.01 * take))
                write_wav(tmp_path / "data" / f"{word}_{speaker}_{take}.wav", samples)
    return tmp_path / "data"


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_trains_converts_and_streams(folder, tmp_path, cell):
    out = tmp_path / "out"
    options = ["--cell", cell, "--units", 8, "--epochs", 12, "--test-speaker", "bob"]
    done = run(PROGRAM, "--data", folder, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr.replace("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n", "") == ""
    )
    assert "16 recordings of 2 words by speakers not trained on: bob" in done.stdout
    for line in ("Keras float", "streamed"):
        (found,) = [text for text in done.stdout.splitlines() if line in text]
        assert float(found.split()[-2]) > 90
    model = edgernn.load(out / "model.tflite")
    assert model.labels == ("high", "low")
    assert model.metadata.normalisation is not None
    assert np.load(out / "calibration.npy").shape == (32, 61, keyword.BANDS)
    assert (out / "model.keras").is_file()


def test_reads_one_folder_per_word(tmp_path):
    write_wav(tmp_path / "yes" / "0a1b_nohash_0.wav", tone(500))
    write_wav(tmp_path / "no" / "ffff_nohash_1.wav", tone(500, rate=16000), 16000)
    write_wav(tmp_path / "_background_noise_" / "tap_1.wav", tone(500))
    found = keyword.read_folder(tmp_path)
    assert [(r.word, r.speaker, r.rate) for r in found] == [
        ("no", "ffff", 16000),
        ("yes", "0a1b", 8000),
    ]


def test_frames_hardly_depend_on_the_sampling_rate():
    slow = keyword.log_mel(tone(700), 8000)
    fast = keyword.log_mel(tone(700, rate=16000), 16000)
    assert slow.shape == (24, keyword.BANDS)
    assert slow.dtype == np.float32
    loud = slow > -10
    assert loud.any()
    np.testing.assert_allclose(fast[loud], slow[loud], atol=0.1)


def test_silence_stands_before_a_short_word():
    frames = keyword.features(keyword.Recording("w", "s", tone(700), 8000))
    assert (frames[:30] == frames[0]).all()
    assert frames[-1].max() > frames[0].max() + 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--test-speaker", "zoe"], ["zoe", "ann, bob, eve"]),
        (["--test-speaker", "ann", "--test-speaker", "bob", "--test-speaker", "eve"], ["left"]),
    ],
)
def test_refuses_speakers(folder, arguments, words):
    assert_refused(run(PROGRAM, "--data", folder, *arguments), *words)


def test_refuses_a_folder_without_recordings(tmp_path):
    assert_refused(run(PROGRAM, "--data", tmp_path), str(tmp_path), "no .wav file")
    assert_refused(run(PROGRAM, "--data", tmp_path / "none"), "none", "no .wav file")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"no sound at all", "not a readable WAV"), (b"", "cut short")],
)
def test_refuses_an_unreadable_file(folder, content, word):
    (folder / "low_eve_99.wav").write_bytes(content)
    assert_refused(run(PROGRAM, "--data", folder), "low_eve_99.wav", word)


def test_refuses_an_output_folder_it_cannot_make(folder):
    out = folder / "low_ann_0.wav" / "out"
    assert_refused(run(PROGRAM, "--data", folder, "--out", out), "low_ann_0.wav")


def test_refuses_a_file_it_cannot_use(tmp_path):
    write_wav(tmp_path / "a" / "low_eve_1.wav", tone(100), 4000)
    write_wav(tmp_path / "b" / "low_eve_1.wav", tone(100, seconds=0.01))
    write_wav(tmp_path / "c" / "low.wav", tone(100))
    for folder, message in (("a", "4000 Hz"), ("b", "too few"), ("c", "WORD_SPEAKER_TAKE")):
        with pytest.raises(ValueError, match=message):
            keyword.read_folder(tmp_path / folder)


def test_says_how_to_install_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match="pip install tensorflow-datasets"):
        keyword.read_tfds("spoken_digit")


@pytest.mark.parametrize(
    ("name", "file", "speaker", "rate"),
    [
        ("spoken_digit", {"audio/filename": b"7_nicolas_12.wav"}, "nicolas", 8000),
        ("speech_commands", {}, "train", 16000),
    ],
)
def test_reads_tensorflow_datasets(monkeypatch, name, file, speaker, rate):
    example = {"audio": np.array([0, 16384, -32768]), "label": np.int64(7), **file}
    examples = SimpleNamespace(as_numpy_iterator=lambda: iter([example]))
    examples.take = lambda count: examples
    info = SimpleNamespace(features={"label": SimpleNamespace(int2str="word {}".format)})
    fake = SimpleNamespace(load=lambda name, **options: ({"train": examples}, info))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    (found,) = keyword.read_tfds(name)
    assert (found.word, found.speaker, found.rate) == ("word 7", speaker, rate)
    assert found.samples.tolist() == [0.0, 0.5, -1.0]
