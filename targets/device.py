"""A model as a device program: firmware that speaks the link of docs/link.md on its serial port.

A model with a front end takes samples, from the host or from the board's own sensor, and sends
scores and events; one without takes frames. Each replays the model's golden sequence when it boots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.errors import InputError, UnsupportedError
from edgernn.link.messages import Hello
from edgernn.model import Model
from targets.boards import board
from targets.compile import compile_model
from targets.device_program import Golden, check, hello_of, program_files
from targets.firmware import Firmware, assemble, own_file

_FILES: Final = ("startup.c", "startup.h", "device_main.c")

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
    check(model)
    has_samples = bool(model.metadata.front_end)
    compiled = compile_model(model.data, place.core, name="model", pipeline=has_samples)
    golden = _golden(model)
    steps, ticks = golden.steps if golden else 0, place.ticks(emulated)
    hello = hello_of(model, compiled, name, place.name, place.core, ticks, steps)
    files = {file: own_file(file) for file in (*_FILES, f"clock_{place.clock}.c")}
    if has_samples:
        hello = replace(hello, sensor=sensor != "none")
        files["sensor.c"] = _sensor(sensor)
    files |= program_files(model, compiled, hello, golden)
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


def _golden(model: Model) -> Golden | None:
    """The golden sequence that C must reproduce exactly, if there is one."""
    golden = model.metadata.golden
    if golden is None or golden.reference != "tflite-micro":
        return None
    return Golden(
        np.frombuffer(golden.inputs, model.x.numpy_dtype),
        np.frombuffer(golden.outputs, model.y.numpy_dtype),
        golden.steps,
    )
