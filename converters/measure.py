"""How far one version of a model is from another: error, decisions, drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from converters.rolling import Array
from converters.trace import FloatStep

LONG_RUN = 10_000
"""Steps of the drift measurement."""


@dataclass(frozen=True)
class Errors:
    """Difference between two sets of outputs.

    Attributes:
        steps: outputs compared.
        rms_percent: root mean square difference, in percent of the expected outputs' range.
        max_percent: largest difference, likewise.
        per_output: `rms_percent` of each output.
        agreement: share of steps with the same decision (largest output; for a single output
            between 0 and 1, its side of one half); None where there is nothing to decide.
    """

    steps: int
    rms_percent: float
    max_percent: float
    per_output: tuple[float, ...]
    agreement: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "per_output": list(self.per_output)}


def compare(expected: Sequence[Array], got: Sequence[Array], width: int | None = None) -> Errors:
    """Compare outputs `(steps, *outputs)`, sequence by sequence.

    Both lists hold the same shapes. A decision is over the first `width` values, or all.
    The range is that of all expected values together.
    """
    wanted = np.concatenate([e.reshape(len(e), -1) for e in expected]).astype(np.float64)
    actual = np.concatenate([g.reshape(len(g), -1) for g in got]).astype(np.float64)
    span = float(np.ptp(wanted)) or 1.0
    difference = 100.0 * (actual - wanted) / span
    return Errors(
        steps=len(wanted),
        rms_percent=float(np.sqrt(np.mean(difference**2))),
        max_percent=float(np.abs(difference).max()),
        per_output=tuple(float(v) for v in np.sqrt(np.mean(difference**2, axis=0))),
        agreement=_agreement(wanted[:, :width], actual[:, :width]),
    )


def _agreement(wanted: Any, actual: Any) -> float | None:
    if wanted.shape[1] > 1:
        return float(np.mean(wanted.argmax(axis=1) == actual.argmax(axis=1)))
    if wanted.min() >= 0.0 and wanted.max() <= 1.0:
        return float(np.mean((wanted > 0.5) == (actual > 0.5)))
    return None


def long_sequence(sequences: Sequence[Array], step: FloatStep) -> Array:
    """Sequences one after the other, repeated until the long run is filled."""
    joined = np.concatenate(list(sequences))
    length = (step.warmup + LONG_RUN) * step.frames_per_step
    return np.tile(joined, (-(-length // len(joined)), *[1] * (joined.ndim - 1)))[:length]


def drift(expected: Array, got: Array) -> dict[str, float]:
    """RMS error in percent of range over growing stretches of one long run."""
    steps = [n for n in (100, 1_000, LONG_RUN) if n <= len(expected)]
    span = float(np.ptp(expected)) or 1.0
    square = ((got - expected).reshape(len(expected), -1) / span).astype(np.float64) ** 2
    return {str(n): 100.0 * float(np.sqrt(np.mean(square[:n]))) for n in steps}
