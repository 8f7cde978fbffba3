"""When a trigger fires on scores that were recorded, for any thresholds, quickly.

The same as `TriggerStream` gives, prediction by prediction, but from one possible firing to the
next: a stream of hours is judged at a threshold in a fraction of a second.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.detectors.trigger import Label, Trigger

Array = npt.NDArray[Any]

_NEVER: Final = int(np.iinfo(np.int64).max)
_LAST: Final = int(np.iinfo(np.int32).max)


class Firing(NamedTuple):
    """Which prediction fired, and which of the trigger's labels."""

    row: int
    label: int


class _Candidates(NamedTuple):
    """Rows at which a label could fire, and rows at which it is released."""

    ready: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]


class Recorded:
    """Smoothed scores of one unbroken stream.

    `sums` are integers `(n, labels)`, one column for each label of the trigger: the scores' sums
    over its window, which its thresholds are compared with. `times` are int64 `(n,)` microseconds.
    """

    def __init__(self, times: npt.NDArray[np.int64], sums: Array) -> None:
        self.times, self.sums = times, sums
        self._known: dict[int, tuple[Label, _Candidates]] = {}

    def __len__(self) -> int:
        return len(self.times)

    def firings(self, trigger: Trigger) -> list[Firing]:
        """Every firing of a trigger with these labels and this window, in order."""
        candidates = [self._candidates(i, label) for i, label in enumerate(trigger.labels)]
        earliest = [0] * len(candidates)
        upcoming = [_first(one.ready, 0) for one in candidates]
        found: list[Firing] = []
        while (row := min(upcoming)) < _NEVER:
            sums = self.sums[row]
            tied = [i for i, place in enumerate(upcoming) if place == row]
            best = max(tied, key=lambda i: (sums[i], -i))
            found.append(Firing(row, best))
            released = _first(candidates[best].low, row)
            again = row + trigger.labels[best].refractory
            earliest[best] = max(released, again)
            pause = row + max(1, trigger.pause)
            for i, one in enumerate(candidates):
                if upcoming[i] < max(earliest[i], pause):
                    upcoming[i] = _first(one.ready, max(earliest[i], pause))
        return found

    def _candidates(self, column: int, label: Label) -> _Candidates:
        """Of a label; those of one whose settings did not change are remembered."""
        known = self._known.get(column)
        if known is not None and known[0] == label:
            return known[1]
        sums = self.sums[:, column]
        above = sums >= label.threshold
        if label.minimum > 1:
            rows = np.arange(len(above), dtype=np.int32)
            last_below = np.maximum.accumulate(np.where(above, -1, rows))
            above &= rows - last_below >= label.minimum
        ready, low = np.flatnonzero(above), np.flatnonzero(sums < label.release)
        made = _Candidates(ready.astype(np.int32), low.astype(np.int32))
        self._known[column] = label, made
        return made


def _first(rows: npt.NDArray[np.int32], row: int) -> int:
    """The first of the rows that is not before `row`."""
    if row > _LAST:
        return _NEVER
    place = int(np.searchsorted(rows, np.int32(row)))
    return int(rows[place]) if place < len(rows) else _NEVER
