"""Which precision a model gets: quantize, measure against float with the state carried, choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from converters import measure
from converters.calibration import Sample
from converters.quantize import Scheme, can_be_wide, quantize
from converters.rolling import Array, outputs
from converters.rounding import round_weights
from converters.tables import collapse
from converters.trace import FloatStep
from edgernn import tflite

PRECISIONS: Final = ("auto", "int8", "int16x8", "float32")

INT8_MAX_RMS: Final = 1.0
INT8_MIN_AGREEMENT: Final = 0.99
"""`auto` keeps int8 up to this RMS error (% of range, short and over 10,000 carried steps) and
down to this share of equal decisions."""

WIDE_STATE_GAIN: Final = 0.8
"""An int16 cell state is kept in an int8 model if it brings the RMS error below this share."""


@dataclass(frozen=True)
class Candidate:
    """One quantized version of the step, and how far it is from float."""

    name: str
    data: bytes
    errors: measure.Errors
    drift: dict[str, float]

    @property
    def worst_rms(self) -> float:
        """The larger of the RMS errors on held-back data and over the long run."""
        return max([self.errors.rms_percent, *self.drift.values()])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"name": self.name, "errors": self.errors.to_dict(), "drift": self.drift}


def _worst_rms(candidate: Candidate) -> float:
    return candidate.worst_rms


class Yardstick:
    """The float outputs that candidates are measured against, computed once."""

    def __init__(self, step: FloatStep, held_back: Sequence[Array]) -> None:
        self.step, self.held_back = step, held_back
        self.long = measure.long_sequence(held_back, step)
        self.expected = self._outputs(step.data, held_back)
        (self.expected_long,) = self._outputs(step.data, [self.long])

    def _outputs(self, data: bytes, sequences: Sequence[Array]) -> list[Array]:
        return outputs(data, self.step, sequences)

    def candidate(self, name: str, data: bytes) -> Candidate:
        """Measure one version of the step."""
        width = self.step.outputs[0].size if len(self.step.outputs) > 1 else None
        errors = measure.compare(self.expected, self._outputs(data, self.held_back), width)
        (long,) = self._outputs(data, [self.long])
        return Candidate(name, data, errors, measure.drift(self.expected_long, long))


def choose(
    yardstick: Yardstick, sample: Sample, precision: str, per_tensor: bool
) -> tuple[Candidate, list[Candidate], str]:
    """Quantize as asked, or as `auto` finds best; returns the choice, all tried, and why."""
    step = yardstick.step

    def wide() -> Candidate:
        # With 16-bit activations the weights are most of the error: try both ways to round them.
        scheme = Scheme("int16x8", per_tensor)
        adjusted = replace(step, data=round_weights(step.data, sample, per_tensor))
        versions = [quantize(version, sample, scheme) for version in (step, adjusted)]
        return min((yardstick.candidate("int16x8", v) for v in versions), key=_worst_rms)

    if precision == "int16x8":
        return (only := wide()), [only], "asked for"
    small = yardstick.candidate("int8", quantize(step, sample, Scheme("int8", per_tensor)))
    tried = [small]
    graph = tflite.read(collapse(step.data, step.sites))
    unbounded = tuple(s.name for s in step.states if s.unbounded and can_be_wide(graph, s.name))
    if unbounded:
        scheme = Scheme("int8", per_tensor, wide_states=unbounded)
        mixed = yardstick.candidate("int8, int16 cell state", quantize(step, sample, scheme))
        tried.append(mixed)
        if mixed.worst_rms < WIDE_STATE_GAIN * small.worst_rms:
            small = mixed
    if precision == "int8":
        return small, tried, "asked for"
    fault = int8_fault(small)
    if fault is None:
        return small, tried, "int8 stays within the limits on held-back data"
    tried.append(candidate := wide())
    if candidate.worst_rms < small.worst_rms:
        return candidate, tried, f"int8 {fault}"
    return small, tried, f"int8 {fault}, but int16x8 is no better"


def int8_fault(small: Candidate) -> str | None:
    """What is wrong with an int8 candidate, in words; None if it is good enough."""
    agreement = small.errors.agreement
    if small.errors.rms_percent > INT8_MAX_RMS:
        return f"is off by {small.errors.rms_percent:.2f} % of range (limit {INT8_MAX_RMS:g} %)"
    if small.worst_rms > INT8_MAX_RMS:
        return (
            f"drifts to {small.worst_rms:.2f} % of range over a long run with its state carried "
            f"(limit {INT8_MAX_RMS:g} %)"
        )
    if agreement is not None and agreement < INT8_MIN_AGREEMENT:
        limit = 100 * INT8_MIN_AGREEMENT
        return f"decides alike in {100 * agreement:.2f} % of steps (limit {limit:g} %)"
    return None
