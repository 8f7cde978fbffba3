"""Small models for exports: one with a front end, labels and a detector, one of plain frames."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb

from edgernn import load
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.metadata import Golden, Input, Metadata, Normalisation, Output
from tests.edgernn.stepfile import add_metadata
from tests.targets.build import step_model

LABELS = ("still", 'sh"ake??', "Gähnen")
FRONT_END = SensorFrontEnd(
    100.0, ("x", "y", "z"), stages=({"stage": "magnitude", "channels": [0, 1, 2]},)
)
DETECTOR = {
    "kind": "trigger",
    "threshold": 0.4,
    "smoothing": 2,
    "report": "both",
    "refractory": 0.1,
}
NORMALISATION = Normalisation((0.5, 1.0, 2.0, 0.25, 1.0), (0.0, 0.1, 0.0, -0.5, 0.0))


def with_metadata(data: bytes, document: Metadata) -> bytes:
    model = fb.ModelT.InitFromPackedBuf(data, 0)
    add_metadata(model, document.to_json())
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def described(data: bytes, steps: int = 12, **fields) -> bytes:
    """The file with metadata, and a golden sequence that TensorFlow Lite Micro recorded."""
    fields = {"outputs": (Output("y", LABELS),), **fields}
    model = load(with_metadata(data, Metadata(**fields)))
    info = np.iinfo(model.x.dtype)
    frames = np.random.default_rng(3).integers(info.min, info.max, (steps, *model.x.shape[1:]))
    frames = frames.astype(model.x.dtype)
    outputs = np.asarray(model.stream("tflm").push_raw(frames))
    golden = Golden(steps, frames.tobytes(), outputs.tobytes(), 2.0, "tflite-micro")
    return with_metadata(data, Metadata(**fields, golden=golden))


@functools.cache
def motion() -> bytes:
    """Samples of three axes to events."""
    data = step_model("gru", "int8", features=4, units=8, classes=3)
    return described(data, front_end=FRONT_END.config(), detector=DETECTOR)


@functools.cache
def plain() -> bytes:
    """Frames of five values, normalised, to three scores."""
    data = step_model("lstm", "int16x8", features=5, units=8, classes=3)
    return described(data, inputs=(Input("x", normalisation=NORMALISATION),))


def run(*command: str | Path, cwd: Path | None = None, **options) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def host_program(folder: Path, sources: Sequence[Path], includes: Sequence[Path]) -> Path:
    """The C files as a program for this machine, with every warning an error."""
    flags = "-std=c99 -O1 -Wall -Wextra -Wconversion -Werror".split()
    program = folder / "program"
    run("gcc", *flags, *(f"-I{i}" for i in includes), *sources, "-o", program)
    return program
