"""The short run that a device replays when it starts, to see that it computes what it should."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model import Model
from targets.compiled import Compiled
from targets.frames import made_up
from targets.native import load_native

_STEPS = 16

_EXACT = "tflite-micro"
"""The reference that generated C equals, bit for bit."""


@dataclass(frozen=True)
class Replay:
    """Raw inputs of each step, and the expected outputs of those behind the warm-up.

    Generated C may differ from them by `tolerance`, an interpreter by `interpreted`: last bits, or
    real units if the output is float.
    """

    inputs: npt.NDArray[Any]
    outputs: npt.NDArray[Any]
    tolerance: float
    interpreted: float
    source: str

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return len(self.inputs)


def replay_of(model: Model, compiled: Compiled) -> Replay:
    """The golden sequence of the metadata or, if there is none, a made-up run of the C here."""
    (x,), (y,) = compiled.inputs, compiled.outputs
    golden, warmup = model.metadata.golden, model.metadata.warmup
    if golden is not None:
        inputs = np.frombuffer(golden.inputs, x.dtype).reshape(-1, x.elements)
        outputs = np.frombuffer(golden.outputs, y.dtype).reshape(-1, y.elements)
        exact = golden.reference == _EXACT and y.dtype != "float32"
        if len(inputs) == golden.steps and len(outputs) == golden.steps - warmup:
            own = 0.0 if exact else golden.tolerance
            return Replay(inputs, outputs, own, golden.tolerance, golden.reference)
    step = load_native(model.data)
    frames = list(itertools.islice(made_up(model, warmup + _STEPS), warmup + _STEPS))
    results = [step.step(frame)[0] for frame in frames]
    return Replay(
        np.array(frames, x.dtype).reshape(-1, x.elements),
        np.array(results[warmup:], y.dtype).reshape(-1, y.elements),
        1e-5 if y.dtype == "float32" else 0.0,
        {"int8": 2.0, "int16": 16.0}.get(y.dtype, 1e-5),
        "the same C on the machine that exported it",
    )
