"""The same samples through a pipeline in Python and in C: where predictions and events agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.errors import MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.model import Model
from edgernn.recordings import Recording
from targets.pipelines import Outcome, PythonPipeline, start_pipeline

Array = npt.NDArray[Any]

SECONDS = 4.0
"""Length of the made-up signal, a quarter of it each: silence, noise, square wave, sweep."""


@dataclass(frozen=True)
class PipelineAgreement:
    """One executor against Python on the reference interpreter."""

    name: str
    predictions: int
    equal_predictions: int
    events: int
    equal_events: int

    @property
    def bit_exact(self) -> bool:
        """Whether everything is equal."""
        whole = self.predictions == self.equal_predictions
        return whole and self.events == self.equal_events


def made_up_samples(front_end: FrontEnd) -> Array:
    """Silence, noise, a full-scale square wave and a sweep; from a fixed seed."""
    random = np.random.default_rng(0)
    count = max(40, int(front_end.rate * SECONDS / 4))
    wide = front_end.sample_dtype == "int32"
    full = 2.0**28 if wide else 32767.0
    shape = (count, front_end.channels)
    t = np.arange(count)[:, np.newaxis]
    parts = [
        np.zeros(shape),
        random.normal(0, full / 8, shape),
        np.where((t // 7) % 2 == 0, full, -full) * np.ones(shape),
        full / 3 * np.sin(np.pi * t * t / count / 3) * np.ones(shape),
    ]
    info = np.iinfo(front_end.sample_dtype)
    signal = np.clip(np.rint(np.concatenate(parts)), info.min, info.max)
    samples: Array = signal.astype(front_end.sample_dtype)
    return samples if wide else samples[:, 0]


def check_pipelines(
    model: Model,
    targets: Sequence[str],
    recording: Recording | None = None,
    cc: str | None = None,
) -> list[PipelineAgreement]:
    """Run a recording, or made-up samples, through the pipeline everywhere.

    Raises:
        EdgernnError: the pipeline cannot be compiled, or a tool is missing.
    """
    front_end = frontends.read(model.metadata.front_end)
    samples, times = made_up_samples(front_end), None
    if recording is not None:
        samples, times = recording.samples, recording.times
    if isinstance(front_end, SensorFrontEnd) and samples.dtype.kind == "f":
        samples = front_end.from_real(samples)  # as the board gets them
    try:
        expected = PythonPipeline(model, "tflm").push(samples, times)
    except MissingDependencyError:
        expected = start_pipeline("host", model, cc).push(samples, times)
    found = []
    for name in dict.fromkeys(["host", *targets]):
        pipeline = start_pipeline(name, model, cc)
        try:
            found.append(_compare(name, expected, pipeline.push(samples, times)))
        finally:
            pipeline.close()
    return found


def _compare(name: str, expected: Outcome, got: Outcome) -> PipelineAgreement:
    there = got.seen < expected.total
    equal = (expected.scores[got.seen[there]] == got.scores[there]).all(axis=1).sum()
    hidden = min(got.total, expected.total) - int(there.sum())  # events tell of them
    pairs = zip(expected.events, got.events, strict=False)
    return PipelineAgreement(
        name,
        max(expected.total, got.total),
        int(equal) + hidden,
        max(len(expected.events), len(got.events)),
        sum(a == b for a, b in pairs),
    )
