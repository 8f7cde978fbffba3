"""Single events from scores that rise and fall: a keyword, a gesture.

Scores are averaged over the last `smoothing` predictions (zeros before the first). A label fires
when its average has been at `threshold` or above for `minimum` seconds; then it must fall below
`release` to be armed again, and `refractory` seconds must pass. For `pause` seconds after any label
nothing fires. Of several labels that could fire with one prediction, the one with the highest
average does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.detectors import Facts
from edgernn.detectors.fields import Fields, names_of, positions, predictions
from edgernn.detectors.scores import ONE, Scorer, scorer, windowed
from edgernn.events import Event

Array = npt.NDArray[Any]

_OF_A_LABEL: Final = ("threshold", "release", "minimum", "refractory")


@dataclass(frozen=True)
class Label:
    """One label that can fire: sums of scores at which it fires and is released, and counts."""

    name: str
    output: int
    threshold: int
    release: int
    minimum: int
    refractory: int


@dataclass(frozen=True)
class Trigger:
    """The detector of a model; all thresholds are of sums over the window, all times are counts."""

    kind: ClassVar[str] = "trigger"
    labels: tuple[Label, ...]
    smoothing: int
    pause: int
    both: bool
    scorer: Scorer
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any], facts: Facts) -> Trigger:
        """Make one from the fields of a configuration; see `edgernn.detectors.read`."""
        taken = Fields("detector 'trigger'", fields)
        names = names_of(facts.labels, facts.y.shape[-1])
        smoothing = taken.count("smoothing", 1, 1, 1000)
        pause = predictions(taken.number("pause", 0, 0, 3600), facts.rate)
        both = taken.choice("report", "on", ("on", "both")) == "both"
        ignored = set(positions(names, taken.words("ignore"), taken))
        single = taken.table("labels")
        positions(names, tuple(single), taken)
        common = {name: fields[name] for name in _OF_A_LABEL if name in fields}
        made = [
            _label(name, i, {**common, **_own(single, name)}, smoothing, facts.rate)
            for i, name in enumerate(names)
            if i not in ignored
        ]
        for name in common:
            taken.number(name, 0, -math.inf, math.inf)
        taken.done(_OF_A_LABEL)
        if not made:
            raise taken.wrong("every label is ignored")
        scores = scorer(facts.y)
        largest = int(scores(np.array([np.iinfo(facts.y.dtype).max]))[0])
        for one in made:
            if one.threshold > largest * smoothing:
                raise taken.wrong(
                    f"threshold {one.threshold / smoothing / ONE:g} of '{one.name}' is never "
                    f"reached: the model's highest score is {largest / ONE:g}"
                )
        return cls(tuple(made), smoothing, pause, both, scores, dict(fields))

    def config(self) -> dict[str, Any]:
        """The configuration that it was made from."""
        return {"kind": self.kind, **self.fields}

    def stream(self) -> TriggerStream:
        """A new stream."""
        return TriggerStream(self)


def _own(single: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    own = single.get(name, {})
    return own if isinstance(own, Mapping) else {"threshold": own}


def _label(name: str, output: int, fields: Mapping[str, Any], smoothing: int, rate: float) -> Label:
    taken = Fields(f"detector 'trigger', label '{name}'", fields)
    threshold = taken.number("threshold", 0.5, 1e-4, 30)
    release = taken.number("release", 0.6 * threshold, -30, 30)
    if release > threshold:
        raise taken.wrong(f"release {release:g} is above threshold {threshold:g}")
    minimum = predictions(taken.number("minimum", 0, 0, 60), rate)
    refractory = predictions(taken.number("refractory", 0, 0, 3600), rate)
    taken.done()
    sums = [round(value * ONE * smoothing) for value in (threshold, release)]
    return Label(name, output, sums[0], sums[1], max(1, minimum), refractory)


@dataclass
class _State:
    """Of one label. `quiet` is the number of the prediction from which on it may fire again."""

    above: int = 0
    quiet: int = 0
    armed: bool = True
    rising: bool = False
    active: bool = False
    rise: int = 0
    peak: int = 0


class TriggerStream:
    """One stream of predictions on its way through a trigger."""

    def __init__(self, detector: Trigger) -> None:
        self.detector = detector
        self._outputs = [label.output for label in detector.labels]
        self._thresholds = np.array([label.threshold for label in detector.labels])
        self._releases = np.array([label.release for label in detector.labels])
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        labels = len(self.detector.labels)
        self._before = np.zeros((self.detector.smoothing - 1, labels), np.int64)
        self._states = [_State() for _ in range(labels)]
        self._done = 0
        self._pause = 0

    def push(
        self, predictions: Array, times: npt.NDArray[np.int64], frames: Array | None = None
    ) -> list[Event]:
        """See `DetectorStream.push`."""
        scores = self.detector.scorer(predictions[:, self._outputs])
        sums = windowed(scores, self._before)
        self._before = np.concatenate([self._before, scores])[len(scores) :]
        # Where no label is above its threshold, and none crosses its release, nothing changes.
        low = sums < self._releases
        was_low = np.array([[not state.rising for state in self._states]])
        changes = low != np.concatenate([was_low, low[:-1]])
        visit = ((sums >= self._thresholds) | changes).any(axis=1)
        # A label that was above must be seen to fall below its threshold.
        visit[1:] |= visit[:-1]
        visit[:1] = True
        events: list[Event] = []
        for i in np.flatnonzero(visit).tolist():
            self._step(self._done + i, sums[i].tolist(), int(times[i]), events)
        self._done += len(sums)
        return events

    def _step(self, number: int, sums: list[int], time: int, events: list[Event]) -> None:
        best = -1
        for i, (label, state) in enumerate(zip(self.detector.labels, self._states, strict=True)):
            if sums[i] < label.release:
                if state.active and self.detector.both:
                    events.append(self._event(label, state.peak, state.rise, time, "off"))
                state.above, state.armed, state.rising, state.active = 0, True, False, False
                continue
            if not state.rising:
                state.rising, state.rise, state.peak = True, time, sums[i]
            state.peak = max(state.peak, sums[i])
            state.above = state.above + 1 if sums[i] >= label.threshold else 0
            ready = state.armed and state.above >= label.minimum and number >= state.quiet
            if ready and number >= self._pause and (best < 0 or sums[i] > sums[best]):
                best = i
        if best >= 0:
            label, state = self.detector.labels[best], self._states[best]
            events.append(self._event(label, sums[best], state.rise, time, "on"))
            state.armed, state.active = False, True
            state.quiet, self._pause = number + label.refractory, number + self.detector.pause

    def _event(self, label: Label, total: int, start: int, end: int, phase: Any) -> Event:
        n = self.detector.smoothing
        score = (total + n // 2) // n / ONE
        return Event(label.name, score, start / 1e6, end / 1e6, phase)

    def save(self) -> bytes:
        """The state."""
        states = [list(vars(state).values()) for state in self._states]
        return json.dumps([self._done, self._pause, self._before.tolist(), states]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        self._done, self._pause, before, states = json.loads(saved)
        self._before = np.array(before, np.int64).reshape(self._before.shape)
        self._states = [_State(*values) for values in states]
