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
    from edgernn.tflite import Tensor

    Array = npt.NDArray[np.generic]


def _port(context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    if given is None:
        return None
    if not given.isdecimal() or int(given) > 65535:
        raise click.UsageError(
            f"--view {given}: what follows --view is a port, 0 to 65535, or another option"
        )
    return int(given)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "source",
    help="Frames: .npy (T, features), CSV or NDJSON, or - for lines of CSV or JSON on stdin. "
    "Several inputs stand side by side in a line. An empty line ends a sequence. For a model with "
    "a front end samples: WAV, FLAC, a CSV with a header, - or stdin:int16, microphone:[DEVICE], "
    "serial:PORT[@BAUD], iio:DEVICE.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="With a front end: an option of the source, for example channel=1 or columns=ax,ay,az.",
)
@click.option("--realtime", is_flag=True, help="With a front end: a file at its own pace.")
@click.option(
    "--to",
    multiple=True,
    metavar="SINK",
    help="With a front end: where events go, as often as needed: - for stdout (default), a file "
    "of JSON lines, mqtt://HOST/TOPIC.",
)
@click.option("--frames", is_flag=True, help="The input is frames, also if there is a front end.")
@click.option("--scores", is_flag=True, help="With a front end: print every prediction as well.")
@click.option("--backend", default="auto", show_default=True, help="Interpreter to run on.")
@click.option("--board", help="Run on this board instead, emulated; `edgernn targets` lists them.")
@click.option("--cc", help="Cross compiler for --board (default: zig).")
@click.option("--last", is_flag=True, help="Print only the last prediction of each sequence.")
@click.option("--raw", is_flag=True, help="Frames and predictions are the model's own integers.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Continue from this saved state if it exists, and save it there at the end.",
)
@click.option(
    "--view",
    callback=_port,
    is_flag=False,
    flag_value="0",
    metavar="[PORT]",
    help="With a front end: serve a live page of scores, events and input; a file at its own pace.",
)
@click.option(
    "--view-address",
    default="127.0.0.1",
    show_default=True,
    help="Where to serve it; for addresses that others reach, a token is needed.",
)
@click.option(
    "--view-token",
    envvar="EDGERNN_VIEW_TOKEN",
    help="What the page's address must end in, as ?token=...; also $EDGERNN_VIEW_TOKEN.",
)
@click.option("--self-test", "test", is_flag=True, help="Replay the model's golden sequence.")
def command(
    file: Path,
    source: str | None,
    options: tuple[str, ...],
    realtime: bool,
    to: tuple[str, ...],
    frames: bool,
    scores: bool,
    backend: str,
    board: str | None,
    cc: str | None,
    last: bool,
    raw: bool,
    state: Path | None,
    view: int | None,
    view_address: str,
    view_token: str | None,
    test: bool,
) -> int:
    """Run the step model FILE, frame by frame, or from samples to events.

    \b
    edgernn run model.tflite --input recording.csv
    sensor | edgernn run model.tflite --input - | consumer
    """
    from edgernn.files import read_file, write_atomically
    from edgernn.model import load

    model = load(file)
    if test:
        return _self_test(model, file, backend)
    if source is None:
        raise click.UsageError("nothing to run on: pass --input FILE, or --input - for stdin")
    if cc is not None and board is None:
        raise click.UsageError("--cc is the compiler for --board, and there is no --board")
    if model.metadata.front_end and not frames:
        for option, chosen in (("--raw", raw), ("--last", last)):
            if chosen:
                raise click.UsageError(
                    f"{option} is for frames, and the model has a front end: add --frames, and "
                    "let --input be frames"
                )
        from edgernn.cli.samples import run_samples

        if board is not None and (view is not None or state is not None):
            raise click.UsageError("--board has neither --view nor --state on samples")
        place = None
        if view is not None:
            from edgernn.cli.viewing import Place

            place = Place(view, view_address, view_token)
        own_pace = realtime or view is not None
        return run_samples(
            model,
            source,
            backend,
            scores,
            _folder_exists(state),
            to or ("-",),
            {"realtime": own_pace, **read_options(options)},
            place,
            None if board is None else (board, cc),
        )
    if scores:
        raise click.UsageError("--scores is for models with a front end; this prints all anyway")
    for option, given in (
        ("--option", options), ("--realtime", realtime), ("--to", to), ("--view", view is not None),
    ):  # fmt: skip
        if given:
            raise click.UsageError(f"{option} is for samples: for a model with a front end")
    stream = _quiet_stream(model, backend) if board is None else _on_board(model, board, cc)
    if state is not None and state.exists():
        _restore(stream, state, read_file(state))
    _folder_exists(state)
    _run(stream, source, raw, last, ends=state is None)
    if state is not None:
        write_atomically(state, stream.save())
    return 0


def read_options(texts: tuple[str, ...]) -> dict[str, str]:
    """Options of a source by name."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in ("realtime", "spec", "front_end"):
            raise click.UsageError(f"--option {text}: must be of the form NAME=VALUE")
        found[name] = value
    return found


def _folder_exists(state: Path | None) -> Path | None:
    from edgernn.errors import InputError

    if state is not None and not state.parent.is_dir():
        raise InputError(f"{state}: there is no such folder to save the state in")
    return state


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


def _on_board(model: Model, board: str, cc: str | None) -> Stream:
    from targets.board_stream import board_stream

    return board_stream(model, board, cc)


def _restore(stream: Stream, path: Path, saved: bytes) -> None:
    from edgernn.errors import StateError

    try:
        stream.restore(saved)
    except StateError as error:
        raise StateError(f"{path}: {error}") from None


def _run(stream: Stream, source: str, raw: bool, last: bool, ends: bool) -> None:
    from edgernn.errors import InputError

    live = _is_live(source)
    count = 0
    line: dict[str, Any] = {}

    def show(predictions: list[dict[str, Array]]) -> None:
        nonlocal count, line
        for prediction in predictions:
            line = {"frame": count, **_result(stream.model, prediction, raw)}
            if not last:
                print(json.dumps(line), flush=live)
            count += 1

    def end(ends: bool) -> None:
        nonlocal count, line
        if ends and stream.waits:
            show([_rest(stream, raw)])
        if last and line:
            print(json.dumps(line), flush=live)
        count, line = 0, {}

    for where, frame in _frames(source):
        if frame is None:
            end(ends=True)
            stream.reset()
            continue
        try:
            predictions = _push(stream, frame, raw)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        show(predictions)
    end(ends)  # a sequence whose state is saved goes on


def _rest(stream: Stream, raw: bool) -> dict[str, Array]:
    """The prediction that the end of a sequence brings."""
    import numpy as np

    frames = stream.model.frames
    nothing = np.empty((0, *frames.shape), frames.dtype)
    y = stream.push_raw(nothing, last=True) if raw else stream.push(nothing, last=True)
    return {stream.model.predictions.names[0]: y}


def _is_live(source: str) -> bool:
    """Whether someone may be waiting for each line: only a regular file is in no hurry."""
    if source != "-":
        return sys.stdout.isatty()
    return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)


def _frames(source: str) -> Iterator[tuple[str, Array | None]]:
    """Frames with the place they come from, for messages; None where a sequence ends."""
    from edgernn.sequences import parse_frames, read_frames

    name = "stdin" if source == "-" else source
    what = "frame" if source.lower().endswith(".npy") else "line"
    frames = parse_frames(sys.stdin, name) if source == "-" else read_frames(source)
    for number, frame in frames:
        yield f"{name}, {what} {number}", frame


def _push(stream: Stream, frame: Array, raw: bool) -> list[dict[str, Array]]:
    """The predictions that one frame brings, each by the names of the outputs."""
    import numpy as np

    from edgernn.errors import InputError
    from edgernn.ports import columns

    parts = [
        _part(values, tensor.numpy_dtype, raw)
        for values, (tensor, _) in zip(
            _split(stream.model, frame), _ports(stream.model), strict=True
        )
    ]
    given = parts[0] if len(parts) == 1 else tuple(parts)
    found = columns(stream.push_raw(given) if raw else stream.push(given))
    rows = found if stream.model.gives_blocks else [np.asarray(y)[np.newaxis] for y in found]
    if len({len(y) for y in rows}) > 1:
        raise InputError("the outputs have different numbers of rows")
    names = stream.model.predictions.names
    return [dict(zip(names, row, strict=True)) for row in zip(*rows, strict=True)]


def _ports(model: Model) -> list[tuple[Tensor, tuple[int, ...]]]:
    """Tensor and frame shape of each input."""
    frames = model.frames
    if frames.single:
        return [(model.x, frames.shape)]
    fields: Any = frames.dtype.fields
    return [(tensor, fields[name][0].shape) for name, tensor in model.inputs.items()]


def _split(model: Model, frame: Array) -> list[Array]:
    """A line's numbers for each input."""
    import numpy as np

    from edgernn.errors import InputError

    shapes = [shape for _, shape in _ports(model)]
    if len(shapes) == 1 and frame.shape == shapes[0]:
        return [frame]
    sizes = [math.prod(shape) for shape in shapes]
    if frame.ndim != 1 or frame.size != sum(sizes):
        wanted = " and ".join(map(str, shapes))
        raise InputError(f"a frame of shape {frame.shape}, the model takes {wanted}")
    cuts = np.cumsum(sizes)[:-1]  # a line of text is flat
    parts = zip(np.split(frame, cuts), shapes, strict=True)
    return [part.reshape(shape) for part, shape in parts]


def _part(values: Array, dtype: np.dtype[Any], raw: bool) -> Array:
    import numpy as np

    from edgernn.errors import InputError

    if not raw:
        return values
    integers = values.astype(dtype)
    if not np.array_equal(integers, values):
        raise InputError(f"--raw takes values of type {dtype} only")
    return integers


def _result(model: Model, prediction: dict[str, Array], raw: bool) -> dict[str, Any]:
    """A line of output: of a single output its value, of several an object for each."""
    told = {
        one.name: told_values(prediction[one.name], one.labels, raw)
        for one in model.metadata.outputs
        if one.name in prediction
    }
    if len(prediction) > 1:
        return told
    ((name, values),) = prediction.items()
    return told.get(name) or told_values(values, (), raw)


def told_values(values: Array, labels: tuple[str, ...], raw: bool) -> dict[str, Any]:
    """A prediction as fields of a line of output."""
    result: dict[str, Any] = {"y": _plain(values.tolist())}
    if values.ndim == 1 and len(labels) == values.size:
        best = int(values.argmax())
        result["label"] = labels[best]
        if not raw:
            result["score"] = _plain(float(values[best]))
    return result


def _plain(value: Any) -> Any:
    """JSON numbers of six significant digits; JSON knows no NaN and no infinity."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
