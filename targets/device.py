"""A model as a device program: firmware that speaks the link of docs/link.md on its serial port.

A model with a front end takes samples, from the host or from the board's own sensor, and sends
scores and events; one without takes frames. Each replays the model's golden sequence when it boots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn import frontends
from edgernn.detectors.anomaly import Anomaly
from edgernn.errors import InputError, UnsupportedError
from edgernn.link.messages import Hello, Values
from edgernn.model import Model
from edgernn.pipeline import detector_of
from targets import emit
from targets.boards import Board, board
from targets.compile import compile_model
from targets.compiled import Compiled, Port
from targets.firmware import Firmware, assemble, own_file
from targets.ir import C_TYPES, Buffer

_FOLDER = Path(__file__).parent / "firmware"
_KERNELS = Path(__file__).parent / "kernels"
_FILES: Final = ("startup.c", "startup.h", "clock.h", "device.c", "device.h")
_EVENTS: Final = 8
"""Events that one push of at most a frame's samples has room for."""
_REQUEST: Final = 256
"""Bytes of a request's payload, if a frame is not longer."""
_SHORTEST_ANSWER: Final = 40

SENSORS: Final = ("none", "synthetic")


@dataclass(frozen=True)
class DeviceProgram:
    """A linked device program, and what it will say of itself."""

    firmware: Firmware
    hello: Hello


def build_device(
    model: Model,
    board_name: str,
    name: str = "model",
    *,
    sensor: str = "none",
    emulated: bool = False,
    cc: str | None = None,
) -> DeviceProgram:
    """Compile a step model into a board's device program, which may be too large for the board.

    `sensor` is `"none"`, `"synthetic"` (triangles, for boards without one), or a C file that
    implements `firmware/sensor.h`; `emulated` says that it is to run in QEMU.

    Raises:
        InputError: the board is unknown, or the sensor's file cannot be read.
        UnsupportedError: the board has no drivers here, or the model has no firmware.
        MissingDependencyError: the compiler is not installed.
    """
    place = board(board_name)
    if not place.uart:
        raise UnsupportedError(
            f"edgernn has no firmware of its own for {board_name}: make a project for its own "
            f"tools with `edgernn export FILE --board {board_name}`"
        )
    if model.passes:
        raise UnsupportedError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no ready "
            "firmware: `edgernn compile` gives its C, to call from a program of your own"
        )
    has_samples = bool(model.metadata.front_end)
    compiled = compile_model(model.data, place.core, name="model", pipeline=has_samples)
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise UnsupportedError(
            f"firmware streams frames into one input and out of one output, this graph has "
            f"{len(compiled.inputs)} and {len(compiled.outputs)}: use the C from `edgernn compile`"
        )
    hello = replace(_hello(model, compiled, place, name), ticks=place.ticks(emulated))
    if hello.sample is not None:
        hello = replace(hello, sensor=sensor != "none")
    files = {file: own_file(file) for file in (*_FILES, f"clock_{place.clock}.c")}
    files |= {f: (_KERNELS / f).read_text() for f in ("edgernn_link.c", "edgernn_link.h")}
    files |= {"device_test.c": own_file("device_test.c")}
    if has_samples:
        files |= {"sensor.h": own_file("sensor.h"), "sensor.c": _sensor(sensor)}
    main = "device_pipeline.c" if has_samples else "device_frames.c"
    values = _values(model, compiled, hello)
    header = emit.render("device_board.h.j2", _FOLDER, board=place, **values)
    files |= {main: own_file(main), "board.h": header, "device_data.c": _data(model, hello)}
    return DeviceProgram(assemble(compiled, place, files, "main", cc), hello)


def _sensor(sensor: str) -> str:
    if sensor in SENSORS:
        return own_file(f"sensor_{sensor}.c")
    try:
        return Path(sensor).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--sensor {sensor}: is neither {' nor '.join(SENSORS)} nor a C file that can be read "
            f"({getattr(error, 'strerror', None) or error})"
        ) from None


def golden_steps(model: Model) -> int:
    """Steps of the golden sequence that C must reproduce exactly; 0 if there is none."""
    golden = model.metadata.golden
    return golden.steps if golden is not None and golden.reference == "tflite-micro" else 0


def _hello(model: Model, compiled: Compiled, place: Board, name: str) -> Hello:
    document = model.metadata
    (x,), (y,) = compiled.inputs, compiled.outputs
    common: dict[str, Any] = {
        "model": compiled.model_hash,
        "name": name,
        "board": place.name,
        "core": place.core,
        "frame": _described(x),
        "prediction": _described(y),
        "payload": _REQUEST // x.bytes * x.bytes or x.bytes,
        "ticks": 0,
        "golden": golden_steps(model),
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


def _values(model: Model, compiled: Compiled, hello: Hello) -> dict[str, Any]:
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
        "golden_steps": golden_steps(model),
        "golden_warmup": model.metadata.warmup,
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


def _data(model: Model, hello: Hello) -> str:
    """The C file of constants: the answer to HELLO, and the golden sequence."""
    arrays = [_array("device_hello", np.frombuffer(hello.to_json(), np.uint8))]
    golden = model.metadata.golden
    if golden is not None and golden_steps(model):
        for name, raw, tensor in (
            ("device_golden_inputs", golden.inputs, model.x),
            ("device_golden_outputs", golden.outputs, model.y),
        ):
            arrays.append(_array(name, np.frombuffer(raw, tensor.numpy_dtype)))
    size = "const size_t device_hello_size = sizeof device_hello;"
    head = "/* Constants of the device program. Generated by edgernn. */\n"
    return head + '#include "board.h"\n\n' + "\n\n".join([*arrays, size]) + "\n"


def _array(name: str, data: Any) -> str:
    return emit.array(Buffer(name, data.dtype.name, data.size, "constant", "", data))
