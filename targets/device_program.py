"""The C of a device program: a model, and the link of docs/link.md around it.

What is below it (serial port, clock, stack, sensor) is `targets/device.py`'s for boards with
drivers here, and `targets/exports/linked.py`'s in a project for a board's own tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors.anomaly import Anomaly
from edgernn.errors import UnsupportedError
from edgernn.link.messages import Hello, Values
from edgernn.model import Model
from edgernn.pipeline import detector_of
from targets import emit
from targets.compiled import Compiled, Port
from targets.ir import C_TYPES, Buffer

_FOLDER: Final = Path(__file__).parent / "firmware"
_KERNELS: Final = Path(__file__).parent / "kernels"
_FILES: Final = ("device.c", "device.h", "device_test.c", "clock.h", "stack.h", "uart.h")
_EVENTS: Final = 8
"""Events that one push of at most a frame's samples has room for."""
_REQUEST: Final = 256
"""Bytes of a request's payload, if a frame is not longer."""
_SHORTEST_ANSWER: Final = 40


class Golden(NamedTuple):
    """Raw inputs and outputs that the program replays, and by how much a value may differ, in C."""

    inputs: npt.NDArray[Any]
    outputs: npt.NDArray[Any]
    steps: int
    tolerance: str = "0"


def check(model: Model) -> None:
    """Raise `UnsupportedError` if a model has no program that streams."""
    if model.passes:
        raise UnsupportedError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no ready "
            "firmware: `edgernn compile` gives its C, to call from a program of your own"
        )


def hello_of(
    model: Model, compiled: Compiled, name: str, board: str, core: str, ticks: int, golden: int
) -> Hello:
    """What the program will say of itself; `sensor` is False yet.

    Raises:
        UnsupportedError: the model has not one input and one output.
    """
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise UnsupportedError(
            f"firmware streams frames into one input and out of one output, this graph has "
            f"{len(compiled.inputs)} and {len(compiled.outputs)}: use the C from `edgernn compile`"
        )
    document = model.metadata
    (x,), (y,) = compiled.inputs, compiled.outputs
    common: dict[str, Any] = {
        "model": compiled.model_hash,
        "name": name,
        "board": board,
        "core": core,
        "frame": _described(x),
        "prediction": _described(y),
        "payload": _REQUEST // x.bytes * x.bytes or x.bytes,
        "ticks": ticks,
        "golden": golden,
        "labels": document.labels,
    }
    if not document.front_end:
        return Hello(**common)
    front_end = frontends.read(document.front_end)
    detector = detector_of(model, front_end)
    one = np.dtype(front_end.sample_dtype).itemsize * front_end.channels
    unit = 0.0
    if detector is not None:
        unit = detector.unit if isinstance(detector, Anomaly) else 1 / 32768
    is_sound = front_end.sample_dtype == "int16"
    scale = 1 / 32768 if is_sound else getattr(front_end, "sample_scale", 0.0)
    return Hello(
        **{**common, "payload": max(1, _REQUEST // one) * one},
        frame_rate=front_end.frame_rate / document.frames_per_step,
        rate=front_end.rate,
        sample=Values(front_end.sample_dtype, front_end.channels, scale),
        columns=tuple(getattr(front_end, "names", ())),
        score_unit=unit,
    )


def _described(port: Port) -> Values:
    return Values(port.dtype, port.elements, port.scale or 0.0, port.zero_point)


def program_files(
    model: Model, compiled: Compiled, hello: Hello, golden: Golden | None, app: str = ""
) -> dict[str, str]:
    """The program's files, around a model that is compiled as `model`.

    `app` is the header that already has the type of a sample, if one has.
    """
    names = [*_FILES, "device_frames.c"]
    if hello.sample is not None:
        names = [*_FILES, "device_pipeline.c", "sensor.h"]
    values = _values(model, compiled, hello, golden)
    return {
        **{name: (_FOLDER / name).read_text() for name in names},
        **{name: (_KERNELS / name).read_text() for name in ("edgernn_link.c", "edgernn_link.h")},
        "device_board.h": emit.render("device_board.h.j2", _FOLDER, app=app, **values),
        "device_data.c": _data(hello, golden),
    }


def _values(
    model: Model, compiled: Compiled, hello: Hello, golden: Golden | None
) -> dict[str, Any]:
    """What the header's template takes."""
    (x,), (y,) = compiled.inputs, compiled.outputs
    answer = y.bytes * max(1, hello.payload // x.bytes)
    values: dict[str, Any] = {
        "ticks": hello.ticks,
        "input_type": C_TYPES[x.dtype],
        "output_type": C_TYPES[y.dtype],
        "input_size": x.elements,
        "output_size": y.elements,
        "period": min(int(hello.ticks / hello.frame_rate), 0xFFFFFFFF) if hello.frame_rate else 0,
        "payload": hello.payload,
        "answer": max(_SHORTEST_ANSWER, answer if hello.sample is None else 0),
        "sample": None,
        "sensor": hello.sensor,
        "golden_steps": golden.steps if golden else 0,
        "golden_warmup": model.metadata.warmup,
        "golden_tolerance": golden.tolerance if golden else "0",
    }
    if hello.sample is None:
        return values
    per_frame = max(1, int(hello.rate / (hello.frame_rate * model.metadata.frames_per_step)))
    sample = {
        "c_type": C_TYPES[hello.sample.dtype],
        "channels": hello.sample.size,
        "millihz": round(hello.rate * 1000),
        "ticks_q16": f"{round(hello.ticks / hello.rate * 65536)}u",
        "hop": per_frame,
    }
    events = _EVENTS if model.metadata.detector else 0
    return {**values, "sample": sample, "output": y.name, "events": events}


def _data(hello: Hello, golden: Golden | None) -> str:
    """The C file of constants: the answer to HELLO, and the golden sequence."""
    arrays = [_array("device_hello", np.frombuffer(hello.to_json(), np.uint8))]
    if golden is not None:
        arrays.append(_array("device_golden_inputs", golden.inputs.ravel()))
        arrays.append(_array("device_golden_outputs", golden.outputs.ravel()))
    size = "const size_t device_hello_size = sizeof device_hello;"
    head = "/* Constants of the device program. Generated by edgernn. */\n"
    return head + '#include "device_board.h"\n\n' + "\n\n".join([*arrays, size]) + "\n"


def _array(name: str, data: npt.NDArray[Any]) -> str:
    return emit.array(Buffer(name, data.dtype.name, data.size, "constant", "", data))
