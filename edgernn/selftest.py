"""Replay the golden sequence inside a model file on this machine's interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgernn.errors import ModelFileError
from edgernn.ports import columns

if TYPE_CHECKING:
    from edgernn.model import Model


@dataclass(frozen=True)
class SelfTest:
    """What a replay gave; `difference` is the largest, in last bits (floats: in real units)."""

    backend: str
    steps: int
    difference: float
    tolerance: float
    reference: str

    @property
    def passed(self) -> bool:
        """Whether this interpreter agrees with the reference as far as it must."""
        return self.difference <= self.tolerance  # a NaN does not pass


def self_test(model: Model, backend: str = "auto") -> SelfTest:
    """Run the golden sequence from the initial state and compare the predictions.

    Raises:
        ModelFileError: the file has no golden sequence, or the interpreter refuses the model.
        MissingDependencyError: the backend is unknown or not installed.
    """
    golden = model.metadata.golden
    if golden is None:
        raise ModelFileError("the model has no golden sequence to test with")
    frames = np.frombuffer(golden.inputs, model.frames.dtype).reshape(-1, *model.frames.shape)
    expected = columns(np.frombuffer(golden.outputs, model.predictions.dtype))
    stream = model.stream(backend)
    predictions = columns(stream.push_raw(frames))
    differences = [
        np.abs(a.astype(np.float64).ravel() - b.astype(np.float64).ravel()).max()
        for a, b in zip(predictions, expected, strict=True)
    ]
    return SelfTest(
        backend=stream.backend,
        steps=golden.steps,
        difference=float(np.max(differences)),
        tolerance=golden.tolerance,
        reference=golden.reference,
    )
