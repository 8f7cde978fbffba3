"""Frames over the link to emulated boards: every output and decision beside the host's library.

Some frames a message, over a line that is as slow as 115,200 baud in both directions. A model with
a front end is given samples, and its scores and events must be those of the Python pipeline; if no
FILE is named, both kinds are measured: a GRU(32) of 24 features, and one that hears sound of 8 kHz,
with a frame each 10 ms.

    python benchmarks/link.py [FILE] [--boards netduinoplus2,mps2-an386] [--frames 10000]
                              [--batch N]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from edgernn import load
from edgernn.link.device import Device
from edgernn.link.ports import BAUD, PacedLine
from edgernn.model import Model
from targets.device import build_device
from targets.emulated import COUNTED, emulated_line

BOARDS = "netduinoplus2,mps2-an386"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--boards", default=BOARDS)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=8, help="frames, or their samples, a message")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    models = [load(options.file)] if options.file else _some_models()
    return int(sum(_measured(model, options) for model in models) > 0)


def _measured(model: Model, options: argparse.Namespace) -> int:
    """A table; how much in it is wrong."""
    table = Table("board", *"bytes sent,received,s at 115200 baud,s here,outputs wrong".split(","))
    for column in ("decisions wrong", "sent again", "damaged", "stack, bytes"):
        table.add_column(column)
    wrong = 0
    for board in options.boards.split(","):
        measure = _samples if model.metadata.front_end else _frames
        random = np.random.default_rng(options.seed)
        row = measure(model, board, options.frames, options.batch, random)
        wrong += row.pop("wrong")
        table.add_row(board, *(f"{value:,}" for value in row.values()))
    what = (
        "predictions from samples"
        if model.metadata.front_end
        else f"frames, {options.batch} a message"
    )
    Console(width=140).print(f"{options.frames:,} {what}", table)
    return wrong


def _some_models() -> list[Model]:
    """Of random weights: one that takes frames, and one that takes samples."""
    from tests.targets.build import step_model
    from tests.targets.speech import speech_model

    return [load(step_model("gru", "int8", features=24, units=32, classes=8)), load(speech_model())]


def _frames(
    model: Model, board: str, count: int, batch: int, random: np.random.Generator
) -> dict[str, Any]:
    info = np.iinfo(model.x.dtype)
    shape = (count, *model.frames.shape)
    frames = random.integers(info.min, info.max, shape, endpoint=True).astype(model.x.dtype)
    expected = model.stream("native").push_raw(frames).reshape(count, -1)
    line = PacedLine(emulated_line(build_device(model, board, emulated=True), COUNTED))
    with Device(line, timeout=10.0) as device:
        line.sent = line.received = 0
        begin = time.monotonic()
        parts = [frames[start : start + batch] for start in range(0, count, batch)]
        got = np.concatenate([device.frames(part) for part in track(parts, board)])
        return _row(device, line, time.monotonic() - begin, got, expected, 0)


def _samples(
    model: Model, board: str, count: int, batch: int, random: np.random.Generator
) -> dict[str, Any]:
    """So many predictions from sound like speech, or noise; events are decisions too."""
    pipeline, seen = model.pipeline("native"), []
    pipeline.watch = seen.append
    front_end = pipeline.front_end
    per = round(front_end.rate / front_end.frame_rate * model.metadata.frames_per_step)
    first = max(0, getattr(front_end, "window", 0) - per)  # that the first prediction takes more
    samples = _signal(front_end, count * per + first, random)
    events = pipeline.push(samples)
    expected = np.concatenate([scores.raw.reshape(len(scores), -1) for scores in seen])
    line = PacedLine(emulated_line(build_device(model, board, emulated=True), COUNTED))
    with Device(line, timeout=10.0) as device:
        line.sent = line.received = 0
        begin = time.monotonic()
        scores, found = [], []
        for start in track(range(0, len(samples), per * batch), board):
            more = device.samples(samples[start : start + per * batch])
            scores += more[0]
            found += more[1]
        hello = device.hello
        got = np.concatenate([hello.prediction.parse(one.raw) for one in scores])
        told = [
            (hello.label(e.label), e.score * hello.score_unit, e.start_us / 1e6, e.end_us / 1e6)
            for e in found
        ]
        other = [(e.label, e.score, e.start, e.end) for e in events]
        differing = sum(a != b for a, b in zip(told, other, strict=False))
        differing += abs(len(told) - len(other))
        print(f"{board}: {len(told):,} events there, {len(other):,} here, {differing} differ")
        return _row(device, line, time.monotonic() - begin, got, expected, differing)


def _signal(front_end: Any, count: int, random: np.random.Generator) -> Any:
    """Sound like speech, or noise that swells and fades for a front end of something else."""
    if front_end.kind == "audio":
        from tests.edgernn.test_audio import speech_like

        return speech_like(front_end.rate, count / front_end.rate + 1)[:count]
    loud = 2.0 ** random.uniform(3, 12, count)
    noise = random.normal(0, 1, (count, front_end.channels)) * loud[:, np.newaxis]
    return noise.clip(-32768, 32767).astype(front_end.sample_dtype)


def _row(
    device: Device, line: PacedLine, seconds: float, got: Any, expected: Any, events: int
) -> dict[str, Any]:
    if got.shape != expected.shape:
        sys.exit(f"{len(got):,} predictions instead of {len(expected):,}")
    outputs = int((got != expected).any(axis=1).sum())
    decisions = int((got.argmax(1) != expected.argmax(1)).sum()) + events
    load_ = device.load()
    return {
        "sent": line.sent,
        "received": line.received,
        "wire": round(max(line.sent, line.received) * 10 / BAUD, 1),
        "here": round(seconds, 1),
        "outputs": outputs,
        "decisions": decisions,
        "again": device.again,
        "damaged": load_.damaged + device.damaged,
        "stack": load_.stack,
        "wrong": outputs + decisions,
    }


if __name__ == "__main__":
    sys.exit(main())
