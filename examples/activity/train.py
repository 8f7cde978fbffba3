"""Wrist motion: train a GRU, convert it, and stream people it never saw through it."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgernn

Array = npt.NDArray[Any]

COLUMNS = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")
AVERAGED = 5  # samples averaged into one frame: 100 Hz in, 20 frames a second
WINDOW, HOP = 128, 16  # frames of a training window, and from one window to the next
EPOCHS = 12


@dataclass(frozen=True)
class Recording:
    """One continuous recording: frames `(T, 6)` and what was done in each."""

    subject: str
    frames: Array
    activities: tuple[str, ...]


def read_folder(folder: Path) -> list[Recording]:
    """Every `SUBJECT_….csv` of a folder that has the sensor's columns and a label."""
    found = (read_csv(path) for path in sorted(folder.rglob("*.csv")))
    recordings = [recording for recording in found if recording is not None]
    if not recordings:
        raise ValueError(f"{folder}: no .csv with the columns {', '.join(COLUMNS)}, label in it")
    return recordings


def read_csv(path: Path) -> Recording | None:
    """A recording as frames, or None if the file's columns are others."""
    samples, labels = [], []
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        if not {*COLUMNS, "label"} <= set(rows.fieldnames or ()):
            return None
        for row in rows:
            try:
                samples.append([float(row[column]) for column in COLUMNS])
            except (TypeError, ValueError):
                raise ValueError(f"{path}, line {rows.line_num}: not six numbers") from None
            labels.append(row["label"])
    count = len(samples) // AVERAGED
    if not count:
        raise ValueError(f"{path}: fewer than {AVERAGED} samples")
    blocks = np.array(samples[: count * AVERAGED], np.float32).reshape(count, AVERAGED, -1)
    return Recording(
        path.stem.partition("_")[0],
        blocks.mean(axis=1),
        tuple(labels[AVERAGED // 2 :: AVERAGED][:count]),
    )


def split_by_subject(
    recordings: Sequence[Recording], test_subjects: Sequence[str]
) -> tuple[list[Recording], list[Recording]]:
    """Recordings to train on, and those of the test subjects (by default a quarter, the last)."""
    subjects = sorted({r.subject for r in recordings})
    chosen = set(test_subjects) or set(subjects[-max(1, len(subjects) // 4) :])
    if unknown := chosen - set(subjects):
        missing = ", ".join(sorted(unknown))
        raise ValueError(f"no recording of {missing}; there are {', '.join(subjects)}")
    if chosen == set(subjects):
        raise ValueError(f"only {', '.join(subjects)}: no other subject is left to train on")
    return (
        [r for r in recordings if r.subject not in chosen],
        [r for r in recordings if r.subject in chosen],
    )


def classes(recordings: Iterable[Recording], activities: Sequence[str]) -> list[Array]:
    """The activity of every frame, as a number, for each recording."""
    return [np.array([activities.index(a) for a in r.activities]) for r in recordings]


def windows(sequences: Iterable[Array]) -> Array:
    """Overlapping windows of every sequence; one that is too short repeats its last frame."""
    cut = []
    for sequence in sequences:
        missing = max(0, WINDOW - len(sequence))
        padding = [(0, missing)] + [(0, 0)] * (sequence.ndim - 1)
        whole = np.pad(sequence, padding, "edge")
        cut += [whole[i : i + WINDOW] for i in range(0, len(whole) - WINDOW + 1, HOP)]
    return np.stack(cut)


def train(
    recordings: Sequence[Recording], activities: Sequence[str], units: int, epochs: int
) -> Any:
    """A Keras model that has seen the recordings and names the activity in every frame."""
    import keras

    keras.utils.set_random_seed(1)
    x, y = windows(r.frames for r in recordings), windows(classes(recordings, activities))
    normalization = keras.layers.Normalization()
    normalization.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((None, len(COLUMNS))),
            normalization,
            keras.layers.GRU(units, return_sequences=True),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(len(activities), activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * -(-len(x) // 32))
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=2)
    return model


def keras_decisions(model: Any, sequences: Sequence[Array]) -> Array:
    """The number of the activity that the Keras model decides on in each frame of all sequences."""
    longest = max(len(s) for s in sequences)
    padded = np.stack([np.pad(s, [(0, longest - len(s)), (0, 0)]) for s in sequences])
    decisions = np.asarray(model(padded)).argmax(axis=-1)
    return np.concatenate([row[: len(s)] for row, s in zip(decisions, sequences, strict=True)])


def streamed_decisions(model: edgernn.Model, sequences: Sequence[Array]) -> Array:
    """The same from the converted model, which gets one frame at a time as a device would."""
    stream = model.stream()
    decisions = []
    for sequence in sequences:
        stream.reset()
        decisions += [stream.push(frame).argmax() for frame in sequence]
    return np.array(decisions)


def macro_f1(truth: Array, decisions: Array) -> float:
    """F1 averaged over the activities, so that rare ones count as much as common ones."""
    hits = truth == decisions
    scores = [
        2 * np.sum(hits[truth == c]) / (np.sum(truth == c) + np.sum(decisions == c))
        for c in np.unique(truth)
    ]
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="SUBJECT_….csv files"
    )
    parser.add_argument("--test-subject", action="append", default=[], metavar="NAME")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("build/activity"), metavar="FOLDER")
    options = parser.parse_args()
    try:
        recordings = read_folder(options.data)
        seen, unseen = split_by_subject(recordings, options.test_subject)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    activities = sorted({a for r in recordings for a in r.activities})

    convert = edgernn.convert  # loads TensorFlow, and keeps its log off the terminal
    trained = train(seen, activities, options.units, options.epochs)
    trained.save(options.out / "model.keras")
    np.savez(options.out / "calibration.npz", *[r.frames for r in seen])
    model = convert(trained, options.out / "calibration.npz", labels=activities)
    model.save(options.out / "model.tflite")

    sequences, truth = [r.frames for r in unseen], np.concatenate(classes(unseen, activities))
    expected, streamed = keras_decisions(trained, sequences), streamed_decisions(model, sequences)
    people = ", ".join(sorted({r.subject for r in unseen}))
    print(f"{len(truth)} frames of {len(unseen)} recordings, subjects not trained on: {people}")
    print(f"{'':22} frames right  macro F1")
    for name, decisions in (
        ("Keras float", expected),
        (f"{model.report['precision']}, streamed", streamed),
    ):
        right, f1 = 100 * np.mean(decisions == truth), macro_f1(truth, decisions)
        print(f"  {name:20} {right:10.1f} %  {f1:8.3f}")
    print(f"  same decision        {100 * np.mean(streamed == expected):10.1f} %")
    print(f"{options.out / 'model.tflite'}: {len(model.data):,} bytes")


if __name__ == "__main__":
    main()
