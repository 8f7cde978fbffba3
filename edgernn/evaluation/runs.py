"""Recordings through a model: the quantized pipeline, and a float model beside it.

Both hear the same integer front end; the float model takes its features as real numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors.scores import LIMIT, ONE, scorer
from edgernn.errors import EdgernnError
from edgernn.frontends import Frames
from edgernn.labelled import Labelled
from edgernn.model import Model
from edgernn.pipeline import Clock, Scores, prediction_rate

Array = npt.NDArray[Any]


class Answers(NamedTuple):
    """What a push brought.

    `times` are int64 `(n,)` in microseconds, `raw` the model's own numbers `(n, outputs)`;
    `starts` are the rows with which the model began anew, because of a gap in the samples.
    """

    times: npt.NDArray[np.int64]
    raw: Array
    starts: tuple[int, ...] = ()


class Run(Protocol):
    """One stream of samples on its way to predictions."""

    name: str
    """`quantized` or `float`."""

    def push(self, samples: Array, times: Array | None = None) -> Answers:
        """Feed samples as `Pipeline.push` takes them."""

    def reset(self) -> None:
        """Back to the start."""

    def real(self, raw: Array) -> npt.NDArray[np.float32]:
        """Raw predictions in real units."""

    def scores(self, raw: Array) -> npt.NDArray[np.int64]:
        """Raw predictions as scores in Q15, as a detector takes them."""


class QuantizedRun:
    """The model's own pipeline, as it runs on a device."""

    name = "quantized"

    def __init__(self, model: Model, backend: str) -> None:
        self.model = model
        self.pipeline = model.pipeline(backend, self._keep)
        self.pipeline.watch_frames = self._note
        self._heard: list[Scores] = []
        self._breaks: list[int] = []

    def _keep(self, scores: Scores) -> None:
        self._heard.append(scores)

    def _note(self, frames: Frames) -> None:
        self._breaks += frames.times[frames.breaks].tolist()

    def push(self, samples: Array, times: Array | None = None) -> Answers:
        """See `Run`."""
        self._heard, self._breaks = [], []
        self.pipeline.push(samples, times)
        return _joined([(one.times, one.raw) for one in self._heard], self.model, self._breaks)

    def reset(self) -> None:
        """See `Run`."""
        self.pipeline.reset()

    def real(self, raw: Array) -> npt.NDArray[np.float32]:
        """See `Run`."""
        return Scores(np.empty(0, np.int64), raw, self.model).real

    def scores(self, raw: Array) -> npt.NDArray[np.int64]:
        """See `Run`."""
        return scorer(self.model.y)(raw)


class FloatRun:
    """A float step model behind the front end of a quantized one."""

    name = "float"

    def __init__(self, model: Model, quantized: Model, backend: str) -> None:
        self.model = model
        self.front_end = frontends.read(quantized.metadata.front_end)
        self._samples = self.front_end.stream()
        self._stream = model.stream(backend)
        self._clock = Clock(model)

    def push(self, samples: Array, times: Array | None = None) -> Answers:
        """See `Run`."""
        frames = self._samples.push(np.asarray(samples), times)
        real = frames.features * np.float64(self.front_end.scale)
        found = []
        starts = [0, *np.flatnonzero(frames.breaks).tolist(), len(frames)]
        for start, end in pairwise(starts):
            if start < len(frames) and frames.breaks[start]:
                self._stream.reset()
                self._clock.reset()
            if start < end:
                found.append(self._step(real[start:end], frames.times[start:end]))
        return _joined(found, self.model, frames.times[frames.breaks].tolist())

    def _step(self, real: Array, times: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Frames of one unbroken sequence."""
        shaped = real.reshape(-1, *self.model.frame_shape)
        if not self.model.passes:
            return self._clock.stamps(times), self._stream.push(shaped)
        rows = [self._stream.push(frame[np.newaxis]) for frame in shaped]
        return np.repeat(times, [len(row) for row in rows]), np.concatenate(rows)

    def reset(self) -> None:
        """See `Run`."""
        self._samples.reset()
        self._stream.reset()
        self._clock.reset()

    def real(self, raw: Array) -> npt.NDArray[np.float32]:
        """See `Run`."""
        return raw.astype(np.float32, copy=False)

    def scores(self, raw: Array) -> npt.NDArray[np.int64]:
        """See `Run`."""
        scaled = np.rint(raw.astype(np.float64) * ONE)
        return np.clip(scaled, -LIMIT, LIMIT).astype(np.int64)


def _joined(found: list[tuple[Array, Array]], model: Model, breaks: list[int]) -> Answers:
    width = int(np.prod(model.prediction_shape))
    if not found:
        return Answers(np.empty(0, np.int64), np.empty((0, width), model.predictions.dtype))
    times = np.concatenate([times for times, _ in found])
    raw = np.concatenate([raw.reshape(-1, width) for _, raw in found])
    starts = np.searchsorted(times, breaks).tolist()
    return Answers(times, raw, tuple(starts))


def fastest(model: Model) -> str:
    """The native backend where the model's library is found or can be built, else `auto`."""
    try:
        model.stream("native")
    except EdgernnError:  # no compiler, or an operator that it does not know
        return "auto"
    return "native"


def samples_of(recording: Labelled, seconds: float = 0.0) -> tuple[Array, Array | None]:
    """A recording's samples and times from 0 on, with a tail: silence, or the last sample held."""
    samples, times = recording.samples, recording.times
    extra = round(seconds * recording.rate)
    if extra:
        last = samples[-1:] if samples.ndim > 1 else np.zeros(1, samples.dtype)
        samples = np.concatenate([samples, np.repeat(last, extra, axis=0)])
    if times is not None and len(times):
        period = 1e6 / recording.rate
        tail = times[-1] + np.rint(np.arange(1, extra + 1) * period).astype(np.int64)
        times = np.concatenate([times, tail]) - times[0]
    return samples, times


def rate_of(model: Model) -> float:
    """Predictions per second of a model with a front end."""
    return prediction_rate(model, frontends.read(model.metadata.front_end))
