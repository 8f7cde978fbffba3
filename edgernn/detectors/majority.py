"""Segments of time from a vote of the last predictions: activities, states of a machine.

Each prediction votes for its highest score (the first of equals). The label with most of the last
`window` votes (again the first of equals) is believed once it has led for `minimum` seconds. An
event tells when a label begins to be believed (its score is its share of the votes), another when
it ends (its score is the mean of the label's scores since then); those of ignored labels are not
told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgernn.detectors import Facts
from edgernn.detectors.fields import Fields, names_of, positions, predictions
from edgernn.detectors.scores import ONE, Scorer, scorer, windowed
from edgernn.events import Event

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Majority:
    """The detector of a model; `window` and `minimum` are numbers of predictions."""

    kind: ClassVar[str] = "majority"
    labels: tuple[str, ...]
    ignored: tuple[int, ...]
    window: int
    minimum: int
    scorer: Scorer
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any], facts: Facts) -> Majority:
        """Make one from the fields of a configuration; see `edgernn.detectors.read`."""
        taken = Fields("detector 'majority'", fields)
        names = names_of(facts.labels, facts.y.shape[-1])
        if len(names) < 2:
            raise taken.wrong("the model has one output, there is nothing to vote on")
        window = predictions(taken.number("window", 1.0, 0, 3600), facts.rate)
        minimum = predictions(taken.number("minimum", 0, 0, 3600), facts.rate)
        ignored = positions(names, taken.words("ignore"), taken)
        taken.done()
        if not 1 <= window <= 4096:
            raise taken.wrong(f"window is {window} predictions and must be 1 to 4096 of them")
        return cls(names, tuple(ignored), window, max(1, minimum), scorer(facts.y), dict(fields))

    def config(self) -> dict[str, Any]:
        """The configuration that it was made from."""
        return {"kind": self.kind, **self.fields}

    def stream(self) -> MajorityStream:
        """A new stream."""
        return MajorityStream(self)


class MajorityStream:
    """One stream of predictions on its way through a vote."""

    def __init__(self, detector: Majority) -> None:
        self.detector = detector
        self.reset()

    def reset(self) -> None:
        """Back to the start, where nothing is believed."""
        self._before = np.zeros((self.detector.window - 1, len(self.detector.labels)), np.int64)
        self._believed, self._candidate = -1, -1
        self._led, self._since = 0, 0
        self._start, self._total, self._count = 0, 0, 0

    def push(
        self, predictions: Array, times: npt.NDArray[np.int64], frames: Array | None = None
    ) -> list[Event]:
        """See `DetectorStream.push`."""
        scores = self.detector.scorer(predictions)
        votes = np.zeros_like(scores)
        votes[np.arange(len(scores)), scores.argmax(axis=1)] = 1
        counts = windowed(votes, self._before)
        self._before = np.concatenate([self._before, votes])[len(votes) :]
        winners = counts.argmax(axis=1)
        events: list[Event] = []
        i, changes = 0, np.flatnonzero(np.diff(winners)) + 1
        for end in [*changes.tolist(), len(winners)]:
            while i < end:
                i = self._run(i, end, int(winners[i]), counts, scores, times, events)
        return events

    def _run(
        self,
        i: int,
        end: int,
        winner: int,
        counts: Array,
        scores: Array,
        times: Array,
        events: list[Event],
    ) -> int:
        """Predictions from `i` on, up to `end`, that have one winner; returns how far it came."""
        if winner == self._believed:
            self._candidate = -1
            self._add(scores[i:end, winner])
            return end
        if winner != self._candidate:
            self._candidate, self._led, self._since = winner, 0, int(times[i])
        turn = i + self.detector.minimum - self._led - 1  # the prediction that makes it believed
        if turn >= end:
            self._led += end - i
            if self._believed >= 0:
                self._add(scores[i:end, self._believed])
            return end
        if self._believed >= 0:
            self._add(scores[i:turn, self._believed])
        self._turn(winner, int(counts[turn, winner]), int(times[turn]), events)
        self._add(scores[turn : turn + 1, winner])
        return turn + 1

    def _add(self, scores: Array) -> None:
        self._total += int(scores.sum())
        self._count += len(scores)

    def _turn(self, winner: int, votes: int, time: int, events: list[Event]) -> None:
        """The end of what was believed, and the beginning of something else."""
        detector, believed = self.detector, self._believed
        if believed >= 0 and believed not in detector.ignored:
            mean = self._total // max(1, self._count) / ONE
            name = detector.labels[believed]
            events.append(Event(name, mean, self._start / 1e6, self._since / 1e6, "off"))
        if winner not in detector.ignored:
            share = votes * ONE // detector.window / ONE
            name = detector.labels[winner]
            events.append(Event(name, share, self._since / 1e6, time / 1e6, "on"))
        self._believed, self._candidate = winner, -1
        self._start, self._total, self._count = self._since, 0, 0

    def save(self) -> bytes:
        """The state."""
        numbers = [self._believed, self._candidate, self._led, self._since]
        numbers += [self._start, self._total, self._count]
        return json.dumps([numbers, self._before.tolist()]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        numbers, before = json.loads(saved)
        self._believed, self._candidate, self._led, self._since = numbers[:4]
        self._start, self._total, self._count = numbers[4:]
        self._before = np.array(before, np.int64).reshape(self._before.shape)
