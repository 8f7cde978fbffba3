"""What every format is made from: the model's C, a self-test, and a program that streams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn import frontends
from edgernn.detectors.anomaly import Anomaly
from edgernn.errors import UnsupportedError
from edgernn.model import Model
from edgernn.pipeline import detector_of
from targets.boards import Board
from targets.compile import compile_model
from targets.compiled import Compiled
from targets.emit import array, render
from targets.exports.golden import Replay, replay_of
from targets.exports.linked import linked_files
from targets.generate import version
from targets.ir import C_TYPES, Buffer
from targets.lowering.base import identifier

_COMMON: Final = Path(__file__).parent / "templates" / "common"

_MOST_BLOCK: Final = 1024
"""Bytes of samples that the program takes at once, if one frame does not need more."""

FRACTION: Final = 20
"""Bits behind the point of the factors that turn scores into thousandths."""


@dataclass(frozen=True)
class Project:
    """A model on its way into a project: `library` is files by name, `values` is for templates."""

    name: str
    model: Model
    compiled: Compiled
    board: Board | None
    replay: Replay
    library: dict[str, str]
    values: dict[str, Any]

    @property
    def key(self) -> str:
        """The model file's SHA-256."""
        return self.compiled.model_hash


def project_of(
    model: Model,
    name: str,
    core: str,
    board: Board | None,
    *,
    is_named: bool = True,
    linked: bool = False,
) -> Project:
    """Compile the model and put the self-test and the streaming program beside it.

    The program prints text or, if `linked`, speaks the link of docs/link.md.

    Raises:
        UnsupportedError: it has not one input and one output, or looks back from the end.
        InputError: `name` is no C identifier.
    """
    if model.passes:
        raise UnsupportedError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no ready "
            "program: `edgernn compile` gives its C, to call from one of your own"
        )
    compiled = compile_model(model.data, core, name=name if is_named else identifier(name))
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise UnsupportedError(
            f"an export streams samples into one input and out of one output, this model has "
            f"{len(compiled.inputs)} and {len(compiled.outputs)}: use the C from `edgernn compile`"
        )
    replay = replay_of(model, compiled)
    values = {**_values(model, compiled, board, replay), "linked": linked}
    name = compiled.name
    if linked:
        program = linked_files(model, compiled, board, replay, values)
    else:
        parts = ("selftest.h", "selftest.c", "app.h", "app.c")
        program = {f"{name}_{part}": render(f"{part}.j2", _COMMON, **values) for part in parts}
    return Project(name, model, compiled, board, replay, {**compiled.files, **program}, values)


def _values(
    model: Model, compiled: Compiled, board: Board | None, replay: Replay
) -> dict[str, Any]:
    (x,), (y,) = compiled.inputs, compiled.outputs
    document = model.metadata
    rows = document.outputs_per_step
    label = "label" if model.labels else "output"
    return {
        "name": compiled.name,
        "board": board,
        "core": compiled.core,
        "version": version(),
        "x": {"c_type": C_TYPES[x.dtype], "elements": x.elements, "dtype": x.dtype},
        "y": {"c_type": C_TYPES[y.dtype], "elements": y.elements, "dtype": y.dtype},
        "rows": rows,
        "outputs": y.elements // rows,
        "per_step": document.frames_per_step,
        "counted": document.counted_steps,
        "labels": [_string(label) for label in model.labels],
        "label": label,
        "zero_point": y.zero_point,
        "milli": round((y.scale or 1.0) * 1000 * (1 << FRACTION)),
        "fraction": FRACTION,
        "steps": replay.steps,
        "tolerance": _literal(replay.tolerance, y.dtype),
        "reference": replay.source,
        "golden": [
            "static "
            + array(Buffer(f"golden_{part}", data.dtype.name, data.size, "constant", "", data))
            for part, data in (
                ("inputs", replay.inputs.ravel()),
                ("outputs", replay.outputs.ravel()),
            )
        ],
        **(_pipeline(model) if document.front_end else _frames(model, compiled)),
        "ram": compiled.state_bytes + compiled.scratch_bytes,
        "weights": compiled.weights_bytes + compiled.tables_bytes,
        "interpreted": _literal(replay.interpreted, y.dtype),
    }


def _pipeline(model: Model) -> dict[str, Any]:
    """Samples of a front end, and events if there is a detector."""
    front_end = frontends.read(model.metadata.front_end)
    detector = detector_of(model, front_end)
    unit = detector.unit if isinstance(detector, Anomaly) else 1 / 32768
    size = np.dtype(front_end.sample_dtype).itemsize * front_end.channels
    frame = max(1, round(front_end.rate / front_end.frame_rate))
    what = f"{front_end.rate:g} a second, {front_end.sample_dtype}"
    if front_end.channels > 1:
        names = ", ".join(getattr(front_end, "names", ()))
        what += f", {front_end.channels} values each" + (f" ({names})" if names else "")
    if hasattr(front_end, "sample_scale"):
        what += f", one unit is {front_end.sample_scale:.9g}"
    return {
        "pipeline": True,
        "detector": detector is not None,
        "anomaly": isinstance(detector, Anomaly),
        "event_milli": round(unit * 1000 * (1 << FRACTION)),
        "channels": front_end.channels,
        "sample_type": C_TYPES[front_end.sample_dtype],
        "block": max(1, min(frame, _MOST_BLOCK // size)),
        "samples": what,
        "source": "microphone" if model.metadata.front_end.get("kind") == "audio" else "sensor",
        "encoder": None,
    }


def _frames(model: Model, compiled: Compiled) -> dict[str, Any]:
    """Frames in the units that the model was trained on, or tokens."""
    (x,) = compiled.inputs
    features = x.elements // model.metadata.frames_per_step
    normalisation = model.metadata.normalisation
    tokens = x.dtype == "int32"
    encoder: dict[str, Any] = {
        "gain": [],
        "offset": [],
        "quantized": not tokens and x.dtype != "float32",
    }
    if normalisation is not None:
        encoder["gain"] = [repr(float(v)) for v in normalisation.scale]
        encoder["offset"] = [repr(float(v)) for v in normalisation.offset]
    if encoder["quantized"]:
        info = np.iinfo(x.dtype)
        encoder |= {"scale": repr(float(x.scale or 1.0)), "zero": x.zero_point}
        encoder |= {"low": int(info.min), "high": int(info.max)}
    return {
        "pipeline": False,
        "detector": False,
        "anomaly": False,
        "event_milli": 0,
        "channels": features,
        "sample_type": "int32_t" if tokens else "float",
        "block": 1,
        "samples": "tokens"
        if tokens
        else f"frames of {features} values, as the model was trained on",
        "source": "sensor",
        "encoder": encoder,
    }


def _string(text: str) -> str:
    """A C string literal; what is not plain ASCII as octal escapes of UTF-8."""
    plain = (
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return '"' + "".join(plain) + '"'


def _literal(value: float, dtype: str) -> str:
    return f"{value!r}f" if dtype == "float32" else str(int(value))
