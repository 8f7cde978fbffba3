"""`edgernn run`: a model over a recording or a live pipe, one JSON line per prediction."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgernn.model import Model
    from edgernn.stream import Stream

    Array = npt.NDArray[np.generic]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "source",
    help="Frames: .npy (T, features), CSV or NDJSON, or - for lines of CSV or JSON on stdin.",
)
@click.option("--backend", default="auto", show_default=True, help="Interpreter to run on.")
@click.option("--board", help="Run on this board instead, emulated; `edgernn targets` lists them.")
@click.option("--raw", is_flag=True, help="Frames and predictions are the model's own integers.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Continue from this saved state if it exists, and save it there at the end.",
)
@click.option("--self-test", "test", is_flag=True, help="Replay the model's golden sequence.")
def command(
    file: Path,
    source: str | None,
    backend: str,
    board: str | None,
    raw: bool,
    state: Path | None,
    test: bool,
) -> int:
    """Run the step model FILE, frame by frame.

    \b
    edgernn run model.tflite --input recording.csv
    sensor | edgernn run model.tflite --input - | consumer
    """
    from edgernn.errors import InputError
    from edgernn.files import read_file, write_atomically
    from edgernn.model import load

    model = load(file)
    if test:
        return _self_test(model, file, backend)
    if source is None:
        raise click.UsageError("nothing to run on: pass --input FILE, or --input - for stdin")
    stream = _quiet_stream(model, backend) if board is None else _on_board(model, board)
    if state is not None and state.exists():
        _restore(stream, state, read_file(state))
    elif state is not None and not state.parent.is_dir():
        raise InputError(f"{state}: there is no such folder to save the state in")
    _run(stream, source, raw)
    if state is not None:
        write_atomically(state, stream.save())
    return 0


def _self_test(model: Model, file: Path, backend: str) -> int:
    from edgernn.errors import ModelFileError
    from edgernn.selftest import self_test

    _quiet_stream(model, backend)
    try:
        result = self_test(model, backend)
    except ModelFileError as error:
        raise ModelFileError(f"{file}: {error}") from None
    unit = "" if model.y.dtype == "float32" else " last bit(s)"
    click.echo(
        f"{'passed' if result.passed else 'FAILED'}: {result.steps} steps on {result.backend}, "
        f"largest difference from {result.reference} {result.difference:g}{unit} "
        f"(tolerance {result.tolerance:g})"
    )
    return 0 if result.passed else 1


def _quiet_stream(model: Model, backend: str) -> Stream:
    """A stream, without the line LiteRT prints from C++ for its first interpreter."""
    from converters.quiet import quiet

    with quiet():
        return model.stream(backend)


def _on_board(model: Model, board: str) -> Stream:
    from targets.board_stream import board_stream

    return board_stream(model, board)


def _restore(stream: Stream, path: Path, saved: bytes) -> None:
    from edgernn.errors import StateError

    try:
        stream.restore(saved)
    except StateError as error:
        raise StateError(f"{path}: {error}") from None


def _run(stream: Stream, source: str, raw: bool) -> None:
    from edgernn.errors import InputError

    live = _is_live(source)
    count = 0
    for where, frame in _frames(source):
        try:
            predictions = _push(stream, frame, raw)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        for prediction in predictions:
            line = {"frame": count, **_result(stream.model, prediction, raw)}
            print(json.dumps(line), flush=live)
            count += 1


def _is_live(source: str) -> bool:
    """Whether someone may be waiting for each line: only a regular file is in no hurry."""
    if source != "-":
        return sys.stdout.isatty()
    return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)


def _frames(source: str) -> Iterator[tuple[str, Array]]:
    """Frames with the place they come from, for messages."""
    from edgernn.sequences import parse_frames, read_frames

    name = "stdin" if source == "-" else source
    what = "frame" if source.lower().endswith(".npy") else "line"
    frames = parse_frames(sys.stdin, name) if source == "-" else read_frames(source)
    for number, frame in frames:
        yield f"{name}, {what} {number}", frame


def _push(stream: Stream, frame: Array, raw: bool) -> Array:
    """The block of predictions that one frame brings."""
    import numpy as np

    from edgernn.errors import InputError

    shape = stream.model.frame_shape
    if frame.shape != shape:
        if frame.ndim != 1 or frame.size != math.prod(shape):
            raise InputError(f"a frame of shape {frame.shape}, the model takes {shape}")
        frame = frame.reshape(shape)  # a line of text is flat
    if raw:
        integers = frame.astype(stream.model.x.numpy_dtype)
        if not np.array_equal(integers, frame):
            raise InputError(f"--raw takes values of type {stream.model.x.dtype} only")
        result: Array = stream.push_raw(integers)
    else:
        result = stream.push(frame)
    return result if stream.model.metadata.frames_per_step > 1 else result[np.newaxis]


def _result(model: Model, prediction: Array, raw: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"y": _plain(prediction.tolist())}
    if prediction.ndim == 1 and len(model.labels) == prediction.size:
        best = int(prediction.argmax())
        result["label"] = model.labels[best]
        if not raw:
            result["score"] = _plain(float(prediction[best]))
    return result


def _plain(value: Any) -> Any:
    """JSON numbers of six significant digits; JSON knows no NaN and no infinity."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
