"""Accuracy on people a network never met: Keras float beside the converted, streamed model.

Trains a spoken-digit LSTM and GRU and a wrist-motion GRU on real recordings, as the examples do,
converts each by the `edgernn convert` command and streams every held-out recording.

    python benchmarks/accuracy.py --data ../shared/data [--every-speaker] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import edgernn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from examples.activity import train as activity
from examples.keyword import train as keyword

MODELS = ("lstm", "gru", "motion")
PRECISIONS = ("auto", "int8", "int16x8")
UNITS = {"lstm": 48, "gru": 48, "motion": 32}


@dataclass(frozen=True)
class Trained:
    """A trained network and what is needed to judge it; `example` is the module it comes from."""

    name: str
    held_out: str
    example: Any
    keras: Any
    calibration: list[Any]
    sequences: list[Any]
    truth: Any


@dataclass(frozen=True)
class Streamed:
    """One converted model: its accuracy and its agreement with Keras, in percent."""

    precision: str
    accuracy: float
    agreement: float
    bytes: int


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    model: str
    held_out: str
    decisions: int
    parameters: int
    keras_accuracy: float
    streamed: dict[str, Streamed]


def train(data: Path, models: Sequence[str], every: bool, short: bool) -> Iterator[Trained]:
    """Each network in turn, trained without the people it is judged on."""
    words = [m for m in models if m != "motion"]
    recordings = keyword.read_folder(data / "spoken-digits") if words else []
    speakers = sorted({r.speaker for r in recordings})
    for cell in words:
        for speaker in speakers if every else speakers[-1:]:
            yield _train_words(recordings, cell, speaker, 2 if short else keyword.EPOCHS)
    if "motion" in models:
        yield _train_motion(data / "activity", 3 if short else activity.EPOCHS)


def _train_words(recordings: Sequence[Any], cell: str, speaker: str, epochs: int) -> Trained:
    heard, unheard = keyword.split_by_speaker(recordings, [speaker])
    words = sorted({r.word for r in recordings})
    return Trained(
        name=f"digits {cell.upper()}({UNITS[cell]})",
        held_out=speaker,
        example=keyword,
        keras=keyword.train(heard, words, cell, UNITS[cell], epochs),
        calibration=list(keyword.calibration(heard)),
        sequences=[keyword.features(r) for r in unheard],
        truth=np.array([words.index(r.word) for r in unheard]),
    )


def _train_motion(folder: Path, epochs: int) -> Trained:
    recordings = activity.read_folder(folder)
    seen, unseen = activity.split_by_subject(recordings, [])
    activities = sorted({a for r in recordings for a in r.activities})
    return Trained(
        name=f"motion GRU({UNITS['motion']})",
        held_out=f"{len({r.subject for r in unseen})} subjects",
        example=activity,
        keras=activity.train(seen, activities, UNITS["motion"], epochs),
        calibration=[r.frames for r in seen],
        sequences=[r.frames for r in unseen],
        truth=np.concatenate(activity.classes(unseen, activities)),
    )


def judge(trained: Trained) -> Result:
    """Convert at every precision, stream the held-out recordings, and compare."""
    expected = trained.example.keras_decisions(trained.keras, trained.sequences)
    streamed = {}
    for precision in PRECISIONS:
        model, chosen = convert(trained, precision)
        got = trained.example.streamed_decisions(model, trained.sequences)
        streamed[precision] = Streamed(
            chosen,
            percent(got == trained.truth),
            percent(got == expected),
            len(model.data),
        )
    return Result(
        trained.name,
        trained.held_out,
        len(expected),
        sum(int(np.prod(v.shape)) for v in trained.keras.trainable_variables),
        percent(expected == trained.truth),
        streamed,
    )


def convert(trained: Trained, precision: str) -> tuple[edgernn.Model, str]:
    """The model that the command writes, and the precision that it has."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained.keras.save(folder / "model.keras")
        np.savez(folder / "calibration.npz", *trained.calibration)
        command = [Path(sys.executable).with_name("edgernn"), "convert", folder / "model.keras"]
        command += ["--calibration", folder / "calibration.npz", "-o", folder / "model.tflite"]
        command += ["--precision", precision, "--json", folder / "report.json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"edgernn convert failed: {done.stderr.strip()}")
        report = json.loads((folder / "report.json").read_text())
        return edgernn.load(folder / "model.tflite"), report["precision"]


def pool(folds: Sequence[Result]) -> Result:
    """One row for a model whose test speakers took turns."""
    weights = [fold.decisions for fold in folds]

    def mean(values: Iterable[float]) -> float:
        return float(np.average(list(values), weights=weights))

    streamed = {
        precision: Streamed(
            " / ".join(sorted({fold.streamed[precision].precision for fold in folds})),
            mean(fold.streamed[precision].accuracy for fold in folds),
            mean(fold.streamed[precision].agreement for fold in folds),
            max(fold.streamed[precision].bytes for fold in folds),
        )
        for precision in PRECISIONS
    }
    accuracy = mean(fold.keras_accuracy for fold in folds)
    return replace(
        folds[0],
        held_out="in turn",
        decisions=sum(weights),
        keras_accuracy=accuracy,
        streamed=streamed,
    )


def percent(hits: Any) -> float:
    return 100.0 * float(np.mean(hits))


def table(results: Sequence[Result]) -> Table:
    """Keras float and the quantized, streamed models side by side."""
    made = Table(
        *("model", "held out", "decisions", "parameters", "Keras", "auto picks", "auto"),
        *("points", "agree", "int8", "int16x8", "bytes"),
        title="Right decisions in %; Keras in float, the others quantized and streamed",
        title_justify="left",
    )
    for column in made.columns[2:5] + made.columns[6:]:
        column.justify = "right"
    for r in results:
        auto, int8, int16 = (r.streamed[p] for p in PRECISIONS)
        made.add_row(
            *(r.model, r.held_out, f"{r.decisions:,}", f"{r.parameters:,}"),
            *(f"{r.keras_accuracy:.2f}", auto.precision, f"{auto.accuracy:.2f}"),
            *(f"{auto.accuracy - r.keras_accuracy:+.2f}", f"{auto.agreement:.2f}"),
            *(f"{int8.accuracy:.2f}", f"{int16.accuracy:.2f}", f"{auto.bytes:,}"),
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("EDGERNN_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), metavar="FOLDER")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--every-speaker", action="store_true", help="hold out each in turn")
    parser.add_argument("--short", action="store_true", help="train for a few seconds only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    options = parser.parse_args()
    for folder in ("spoken-digits", "activity"):
        if not (options.data / folder).is_dir():
            parser.exit(2, f"error: {options.data / folder}: no such folder\n")
    edgernn.convert  # noqa: B018 - loads TensorFlow, and keeps its log off the terminal
    trained = train(options.data, options.models, options.every_speaker, options.short)
    results = [judge(t) for t in trained]
    for name in dict.fromkeys(r.model for r in results):
        folds = [r for r in results if r.model == name]
        if len(folds) > 1:
            results.insert(results.index(folds[-1]) + 1, pool(folds))
    Console(width=None if sys.stdout.isatty() else 140).print(table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in results], indent=2))


if __name__ == "__main__":
    main()
