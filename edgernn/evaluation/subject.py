"""What is evaluated: a model with its pipeline, and perhaps the float model that it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors import Detector
from edgernn.detectors.fields import names_of
from edgernn.errors import InputError
from edgernn.evaluation import drift
from edgernn.evaluation.runs import FloatRun, QuantizedRun, Run
from edgernn.frontends import FrontEnd
from edgernn.labelled import Labelled
from edgernn.model import Model
from edgernn.pipeline import detector_of, prediction_rate

Array = npt.NDArray[Any]

Progress = Callable[[str], Callable[[int, int], None]]
"""Given what is done next, something to call with how much of it is done, and how much there is."""

_STEPS = 1000
"""That a warm-up is looked at."""
_LONGEST = 600.0
"""Seconds of sound in a drift."""


@dataclass(frozen=True)
class Subject:
    """A model, the float model beside it (or None), and the backend that each runs on."""

    model: Model
    backend: str
    exact: Model | None = None
    exact_backend: str = "auto"

    @property
    def front_end(self) -> FrontEnd:
        """The model's.

        Raises:
            InputError: it has none.
        """
        if not self.model.metadata.front_end:
            raise InputError(
                "the model has no front end, so there is no pipeline to evaluate: give it one with "
                "`edgernn configure FILE --front-end FRONT_END.toml`"
            )
        return frontends.read(self.model.metadata.front_end)

    @property
    def detector(self) -> Detector | None:
        """The model's."""
        return detector_of(self.model, self.front_end)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the model's outputs."""
        return names_of(self.model.labels, int(np.prod(self.model.prediction_shape)))

    def quantized(self) -> Run:
        """A new run of the pipeline."""
        return QuantizedRun(self.model, self.backend)

    def runs(self) -> list[Run]:
        """New runs: quantized, and float if there is a float model."""
        runs: list[Run] = [self.quantized()]
        if self.exact is not None:
            runs.append(FloatRun(self.exact, self.model, self.exact_backend))
        return runs


def over_time(subject: Subject, recordings: Sequence[Labelled]) -> dict[str, Any]:
    """`warmup` and, with a float model, `drift`: of all sound in one piece, or of the longest
    recording of a sensor; empty if that is too short.
    """
    front_end = subject.front_end
    sound = front_end.sample_dtype == "int16"
    if sound:
        samples = np.concatenate([one.samples for one in recordings])
        samples = samples[: round(_LONGEST * front_end.rate)]
    else:
        samples = max((one.samples for one in recordings), key=len)
    unit = round(front_end.rate / prediction_rate(subject.model, front_end))
    length = min(_STEPS * unit, len(samples) // 3 // unit * unit)
    found: dict[str, Any] = {}
    if length < 20 * unit:
        return found
    found["warmup"] = drift.warmup(subject.quantized, samples, front_end.rate, unit, length, length)
    if subject.exact is not None:
        quantized, exact = subject.runs()
        size = round(60 * front_end.rate) if sound else len(samples)
        blocks = [(samples[i : i + size], None) for i in range(0, len(samples), size)]
        found["drift"] = drift.drift(quantized, exact, blocks)
    return found
