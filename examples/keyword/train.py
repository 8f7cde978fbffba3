"""Spoken words: train an LSTM or GRU, convert it, and stream people it never heard through it."""

from __future__ import annotations

import argparse
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgernn

Array = npt.NDArray[Any]

BANDS = 32
WINDOW, HOP = 0.032, 0.016  # seconds
TOP = 4000.0  # Hz: what 8 kHz audio holds; more is ignored, so that any rate gives the same bands
LENGTH = 1.0  # seconds a network hears: the silence before a word, and the word
SILENCE = 1e-4  # amplitude below which nothing is heard
VARIANTS, MOST = 5, 20_000  # altered copies of each training recording, and most copies of all
EPOCHS = 8
TFDS = {"spoken_digit": 8000, "speech_commands": 16000}  # sampling rates
CALIBRATION = 500  # recordings that the converter sees


@dataclass(frozen=True)
class Recording:
    """One spoken word, samples between -1 and 1."""

    word: str
    speaker: str
    samples: Array
    rate: int


def read_folder(folder: Path) -> list[Recording]:
    """Recordings `WORD_SPEAKER_TAKE.wav`, or `SPEAKER_TAKE.wav` in one folder per word."""
    recordings = []
    for path in sorted(folder.rglob("*.wav")):
        word, _, rest = path.stem.partition("_")
        if path.parent != folder:
            word, rest = path.parent.name, path.stem
        speaker = rest.partition("_")[0]
        if not speaker:
            raise ValueError(f"{path}: the name is not WORD_SPEAKER_TAKE.wav")
        if not word.startswith("_"):  # Speech Commands: _background_noise_
            recordings.append(Recording(word, speaker, *read_wav(path)))
    if not recordings:
        raise ValueError(f"{folder}: no .wav file in it")
    return recordings


def read_wav(path: Path) -> tuple[Array, int]:
    """Samples between -1 and 1, channels averaged, and the rate."""
    try:
        with wave.open(str(path)) as file:
            data, rate = file.readframes(file.getnframes()), file.getframerate()
            channels, width = file.getnchannels(), file.getsampwidth()
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "cut short"
        raise ValueError(f"{path}: not a readable WAV file ({reason})") from None
    if width != 2 or rate < 2 * TOP:
        raise ValueError(f"{path}: {8 * width} bit at {rate} Hz; 16 bit at 8 kHz or more is needed")
    count = len(data) // (2 * channels)
    if count < WINDOW * rate:
        raise ValueError(f"{path}: {count} samples are too few")
    samples = np.frombuffer(data, "<i2", count * channels).reshape(count, channels)
    return samples.mean(axis=1, dtype=np.float32) / 32768, rate


def read_tfds(name: str) -> list[Recording]:
    """Recordings of a TensorFlow Datasets set; where it names no speakers, its splits stand in."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise ValueError(
            "--tfds needs TensorFlow Datasets: pip install tensorflow-datasets"
        ) from None
    splits, info = tfds.load(name, with_info=True, shuffle_files=True)
    recordings = []
    for split, examples in splits.items():
        for example in examples.take(MOST // 2).as_numpy_iterator():
            word = info.features["label"].int2str(int(example["label"]))
            file = example.get("audio/filename", b"").decode()  # 7_nicolas_12.wav
            speaker = file.split("_")[1] if file else split
            samples = example["audio"].astype(np.float32) / 32768
            recordings.append(Recording(word, speaker, samples, TFDS[name]))
    return recordings


def split_by_speaker(
    recordings: Sequence[Recording], test_speakers: Sequence[str]
) -> tuple[list[Recording], list[Recording]]:
    """Recordings to train on, and those of the test speakers (by default a fifth, the last)."""
    speakers = sorted({r.speaker for r in recordings})
    chosen = set(test_speakers) or set(speakers[-max(1, len(speakers) // 5) :])
    if unknown := chosen - set(speakers):
        known = ", ".join(speakers[:10]) + (", …" if len(speakers) > 10 else "")
        raise ValueError(f"no recording of {', '.join(sorted(unknown))}; there are {known}")
    if chosen == set(speakers):
        raise ValueError(f"only {', '.join(speakers)}: no other speaker is left to train on")
    return (
        [r for r in recordings if r.speaker not in chosen],
        [r for r in recordings if r.speaker in chosen],
    )


def log_mel(samples: Array, rate: int) -> Array:
    """The network's frames `(T, BANDS)`: log energies of mel bands, one row every `HOP`."""
    window = np.hanning(round(WINDOW * rate))
    frames = np.lib.stride_tricks.sliding_window_view(samples, len(window))
    spectrum = np.fft.rfft(frames[:: round(HOP * rate)] * (window / window.sum()))
    power = np.abs(spectrum[:, : round(TOP * WINDOW) + 1]) ** 2
    return np.log(power @ mel_filters() + SILENCE**2).astype(np.float32)


@cache
def mel_filters() -> Array:
    """Triangles `(bins, BANDS)`, evenly spaced on the mel scale from 60 Hz to `TOP`."""
    low, high = 1127 * np.log1p(np.array([60.0, TOP]) / 700)
    edges = 700 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127)
    bins = np.arange(round(TOP * WINDOW) + 1)[:, None] / WINDOW
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def features(recording: Recording) -> Array:
    """A recording's frames: its last `LENGTH` seconds, silence before them if it is shorter."""
    length = round(LENGTH * recording.rate)
    samples = recording.samples[-length:]
    return log_mel(np.pad(samples, (length - len(samples), 0)), recording.rate)


def altered(recording: Recording, rng: np.random.Generator) -> Recording:
    """As someone else might have said it: other speed and pitch, microphone, loudness, noise."""
    samples, rate = recording.samples, recording.rate
    times = np.arange(0, len(samples) - 1, np.exp(rng.uniform(-0.3, 0.3)))
    samples = np.interp(times, np.arange(len(samples)), samples)
    echo = rng.normal(0, 0.25, 7) * 0.7 ** np.arange(7)
    samples = np.convolve(samples, [1, *echo]) * 10 ** rng.uniform(-1.2, 0.3)
    samples = np.append(samples, np.zeros(int(rng.uniform(0, 0.15) * rate)))
    samples = samples + rng.normal(0, 10 ** rng.uniform(-4.5, -2.2), len(samples))
    return replace(recording, samples=samples)


def train(
    recordings: Sequence[Recording], words: Sequence[str], cell: str, units: int, epochs: int
) -> Any:
    """A Keras model that has heard the recordings; its last prediction names the word."""
    import keras

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    copies = min(VARIANTS, MOST // len(recordings))
    heard = [*recordings, *(altered(r, rng) for _ in range(copies) for r in recordings)]
    x = np.stack([features(r) for r in heard])
    y = np.array([words.index(r.word) for r in heard])
    normalization = keras.layers.Normalization()
    normalization.adapt(x)
    recurrent = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[cell]
    model = keras.Sequential(
        [
            keras.Input((None, BANDS)),
            normalization,
            recurrent(units),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(len(words), activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(4e-3, epochs * -(-len(x) // 64))
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    return model


def calibration(recordings: Sequence[Recording]) -> Array:
    """Real sequences for the converter `(N, T, BANDS)`: some of the training recordings."""
    some = np.random.default_rng(1).permutation(len(recordings))[:CALIBRATION]
    return np.stack([features(recordings[i]) for i in some])


def keras_decisions(model: Any, sequences: Sequence[Array]) -> Array:
    """The number of the word that the Keras model decides on for each sequence."""
    return np.asarray(model(np.stack(sequences))).argmax(axis=-1)


def streamed_decisions(model: edgernn.Model, sequences: Sequence[Array]) -> Array:
    """The same from the converted model, which gets one frame at a time as a device would."""
    stream = model.stream()
    decisions = []
    for sequence in sequences:
        stream.reset()
        for frame in sequence:
            prediction = stream.push(frame)
        decisions.append(prediction.argmax())
    return np.array(decisions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="FOLDER", help="WORD_SPEAKER_TAKE.wav files")
    source.add_argument("--tfds", choices=TFDS, help="a set by name, downloaded")
    parser.add_argument("--test-speaker", action="append", default=[], metavar="NAME")
    parser.add_argument("--cell", choices=["gru", "lstm"], default="gru")
    parser.add_argument("--units", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("build/keyword"), metavar="FOLDER")
    options = parser.parse_args()
    try:
        recordings = read_folder(options.data) if options.data else read_tfds(options.tfds)
        heard, unheard = split_by_speaker(recordings, options.test_speaker)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    words = sorted({r.word for r in recordings})

    convert = edgernn.convert  # loads TensorFlow, and keeps its log off the terminal
    trained = train(heard, words, options.cell, options.units, options.epochs)
    trained.save(options.out / "model.keras")
    np.save(options.out / "calibration.npy", calibration(heard))
    model = convert(trained, options.out / "calibration.npy", labels=words)
    model.save(options.out / "model.tflite")

    sequences = [features(r) for r in unheard]
    truth = np.array([words.index(r.word) for r in unheard])
    expected, streamed = keras_decisions(trained, sequences), streamed_decisions(model, sequences)
    people = ", ".join(sorted({r.speaker for r in unheard})[:10])
    print(f"{len(unheard)} recordings of {len(words)} words by speakers not trained on: {people}")
    print(f"  Keras float          {100 * np.mean(expected == truth):5.1f} %")
    print(
        f"  {model.report['precision'] + ', streamed':20} {100 * np.mean(streamed == truth):5.1f} %"
    )
    print(f"  same decision        {100 * np.mean(streamed == expected):5.1f} %")
    print(f"{options.out / 'model.tflite'}: {len(model.data):,} bytes")


if __name__ == "__main__":
    main()
