"""Anomalies: frames that are far from what the model said they would be.

    residual[t] = mean (or max) over the elements of |frame[t] - prediction[t - horizon]|

With `horizon` 0 the prediction is a reconstruction of its own frame (an autoencoder), with 1 and
more a forecast of a later one. The residual is averaged over the last `smoothing` predictions. An
anomaly begins when that has been at `threshold` or above for `minimum` seconds, and is over when it
has been below `release` for `merge` seconds. Frame and prediction have scales of their own: both
are brought to one unit, in which all sums are made. A model that normalises its input is taken to
predict in the units before that, unless `units` is "normalised".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.detectors import Facts
from edgernn.detectors.fields import Fields, predictions
from edgernn.detectors.scores import windowed
from edgernn.events import Event
from edgernn.metadata import Normalisation

Array = npt.NDArray[Any]

LABEL: Final = "anomaly"

_BITS: Final = 12
"""The unit is so many bits finer than the coarser one of the two scales."""

_LARGEST: Final = float(1 << 29)


@dataclass(frozen=True)
class Anomaly:
    """The detector of a model.

    `unit` is the real value of one unit of a residual; `threshold` and `release` are of the sum
    over the elements (if they are averaged) and the window; times are numbers of predictions.
    A residual is the difference of `frame * raw` and `prediction * raw + offset`.
    """

    kind: ClassVar[str] = "anomaly"
    elements: tuple[int, ...]
    horizon: int
    maximum: bool
    smoothing: int
    threshold: int
    release: int
    minimum: int
    merge: int
    unit: float
    frame: tuple[int, ...]
    prediction: tuple[int, ...]
    offset: tuple[int, ...]
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any], facts: Facts) -> Anomaly:
        """Make one from the fields of a configuration; see `edgernn.detectors.read`."""
        x, y, rate = facts.x, facts.y, facts.rate
        taken = Fields("detector 'anomaly'", fields)
        if not {x.dtype, y.dtype} <= {"int8", "int16"}:
            raise taken.wrong("it takes integers: convert with --precision int8 or int16x8")
        threshold = taken.number("threshold", math.inf, 1e-9, math.inf)
        if threshold == math.inf:
            raise taken.wrong(
                "it has no threshold: `edgernn configure FILE --detector … --normal RECORDINGS` "
                "finds one"
            )
        size, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])
        places = taken.positions("elements", size) or tuple(range(size))
        if len(places) != outputs:
            raise taken.wrong(
                f"the model gives {outputs} values for frames of {size}: say with elements which "
                "elements of the frame they are, for example elements = [0, 2]"
            )
        horizon = taken.count("horizon", 1, 0, 1024)
        maximum = taken.choice("over", "mean", ("mean", "max")) == "max"
        smoothing = taken.count("smoothing", 1, 1, 1024)
        release = taken.number("release", 0.7 * threshold, 0, threshold)
        minimum = predictions(taken.number("minimum", 0, 0, 86400), rate)
        merge = predictions(taken.number("merge", 0, 0, 86400), rate)
        normalised = taken.choice("units", "input", ("input", "normalised")) == "normalised"
        taken.done()
        gain, shift = _inverse(None if normalised else facts.normalisation, size)
        steps = [x.scale[0] * gain[place] for place in places]
        unit = max(*(abs(step) for step in steps), y.scale[0]) / (1 << _BITS)
        starts = [shift[place] - x.zero_point[0] * x.scale[0] * gain[place] for place in places]
        offset = [-y.zero_point[0] * y.scale[0] - start for start in starts]
        if max(map(abs, offset)) / unit > _LARGEST:
            raise taken.wrong("frame and prediction are too far apart: are their units the same?")
        many = smoothing * (1 if maximum else outputs)
        return cls(
            places,
            horizon,
            maximum,
            smoothing,
            round(min(threshold / unit, 2.0**31) * many),
            round(release / unit * many),
            max(1, minimum),
            max(1, merge),
            unit,
            tuple(round(step / unit) for step in steps),
            (round(y.scale[0] / unit),) * outputs,
            tuple(round(value / unit) for value in offset),
            dict(fields),
        )

    @property
    def many(self) -> int:
        """How many residuals a score is the sum of."""
        return self.smoothing * (1 if self.maximum else len(self.elements))

    def config(self) -> dict[str, Any]:
        """The configuration that it was made from."""
        return {"kind": self.kind, **self.fields}

    def stream(self) -> AnomalyStream:
        """A new stream."""
        return AnomalyStream(self)


def _inverse(normalisation: Normalisation | None, size: int) -> tuple[list[float], list[float]]:
    """What turns normalised values of a frame back: `value * gain + shift`, by element."""
    if normalisation is None:
        return [1.0] * size, [0.0] * size
    scale = np.broadcast_to(np.array(normalisation.scale, np.float64), size)
    offset = np.broadcast_to(np.array(normalisation.offset, np.float64), size)
    return (1 / scale).tolist(), (-offset / scale).tolist()


class AnomalyStream:
    """One stream of predictions on its way through an anomaly detector."""

    def __init__(self, detector: Anomaly) -> None:
        self.detector = detector
        self.observed: list[npt.NDArray[np.int64]] | None = None
        """Where `push` keeps the scores that it sees, if it shall."""
        self.reset()

    def reset(self) -> None:
        """Back to the start; the first `horizon` predictions have no residual."""
        detector = self.detector
        self._forecasts = np.zeros((0, len(detector.elements)), np.int64)
        self._before = np.zeros((detector.smoothing - 1, 1), np.int64)
        self._above, self._below, self._active = 0, 0, False
        self._rise, self._last, self._peak = 0, 0, 0

    def scores(self, predictions: Array, frames: Array) -> npt.NDArray[np.int64]:
        """Sums of residuals `(n,)` of raw predictions and frames; see `Anomaly.many`."""
        detector = self.detector
        made = predictions.astype(np.int64) * detector.prediction + np.array(detector.offset)
        forecasts = np.concatenate([self._forecasts, made])
        actual = frames[:, list(detector.elements)].astype(np.int64) * detector.frame
        due = max(0, len(forecasts) - detector.horizon)  # frames that have a forecast
        residuals = np.zeros((len(predictions), 1), np.int64)
        apart = np.abs(actual[len(actual) - due :] - forecasts[:due])
        residuals[len(actual) - due :, 0] = (
            apart.max(axis=1) if detector.maximum else apart.sum(axis=1)
        )
        self._forecasts = forecasts[due:]
        sums = windowed(residuals, self._before)
        self._before = np.concatenate([self._before, residuals])[len(residuals) :]
        flat: npt.NDArray[np.int64] = sums[:, 0]
        return flat

    def push(
        self, predictions: Array, times: npt.NDArray[np.int64], frames: Array | None = None
    ) -> list[Event]:
        """See `DetectorStream.push`; needs the frames."""
        assert frames is not None, "an anomaly is a frame that differs from a prediction"
        sums = self.scores(predictions, frames)
        if self.observed is not None:
            self.observed.append(sums)
        detector = self.detector
        quiet = not (self._active or self._above)
        visit = (sums >= detector.release) if quiet else np.ones(len(sums), bool)
        if quiet:  # from the first one that matters on
            at = np.flatnonzero(sums >= detector.threshold)
            first = int(at[0]) if len(at) else len(sums)
            visit = np.arange(len(sums)) >= first
        events: list[Event] = []
        for i in np.flatnonzero(visit).tolist():
            self._step(int(sums[i]), int(times[i]), events)
        return events

    def _step(self, total: int, time: int, events: list[Event]) -> None:
        detector = self.detector
        if total >= detector.threshold:
            if not self._above and not self._active:
                self._rise, self._peak = time, 0
            self._above += 1
        else:
            self._above = 0
        if total >= detector.release:
            self._below, self._last = 0, time
            self._peak = max(self._peak, total)
        else:
            self._below += 1
        if not self._active and self._above >= detector.minimum:
            self._active = True
            events.append(self._event(total, self._rise, time, "on"))
        elif self._active and self._below >= detector.merge:
            self._active = False
            events.append(self._event(self._peak, self._rise, self._last, "off"))

    def _event(self, total: int, start: int, end: int, phase: Any) -> Event:
        score = total // self.detector.many * self.detector.unit
        return Event(LABEL, score, start / 1e6, end / 1e6, phase)

    def save(self) -> bytes:
        """The state."""
        numbers = [self._above, self._below, int(self._active)]
        numbers += [self._rise, self._last, self._peak]
        return json.dumps([numbers, self._forecasts.tolist(), self._before.tolist()]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        numbers, forecasts, before = json.loads(saved)
        self._above, self._below, active, self._rise, self._last, self._peak = numbers
        self._active = bool(active)
        elements = len(self.detector.elements)
        self._forecasts = np.array(forecasts, np.int64).reshape(-1, elements)
        self._before = np.array(before, np.int64).reshape(-1, 1)


def calibrate_threshold(
    scores: Sequence[npt.NDArray[np.floating[Any]]], rate: float, per_hour: float = 0.1
) -> float:
    """The lowest threshold with at most so many false alarms an hour on normal recordings.

    `scores` are the smoothed residuals of recordings without anomalies, in real units, `rate` is
    predictions per second. An alarm is a run of scores at or above the threshold. Where the
    recordings are too short for one alarm at that rate, it lies a tenth above their highest score.
    """
    hours = sum(len(one) for one in scores) / rate / 3600
    allowed = math.floor(per_hour * hours)
    highest = max(float(one.max()) for one in scores)
    if not allowed:
        return 1.1 * highest
    low, high = 0.0, 1.1 * highest
    for _ in range(40):
        middle = (low + high) / 2
        alarms = sum(_runs(one >= middle) for one in scores)
        # Far below the scores, all of them are a single run: that is no quiet detector.
        quiet = alarms <= allowed and np.mean([np.mean(one >= middle) for one in scores]) < 0.05
        low, high = (low, middle) if quiet else (middle, high)
    return high


def _runs(above: npt.NDArray[np.bool_]) -> int:
    return int(above[:1].sum()) + int((above[1:] & ~above[:-1]).sum())
