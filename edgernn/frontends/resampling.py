"""Samples with times of their own onto an even grid: gaps and jitter seen, never passed on.

Times are microseconds. The grid starts with the first sample; each of its points is interpolated
between the samples around it. Between two samples further apart than `max_gap` the policy holds:
`interpolate` goes on as before, `hold` repeats the last sample, `reset` leaves the gap out and
begins a new grid behind it. So does a step of the clock: back by more than `max_gap`, or ahead by
more than both `JUMP` and `max_gap`. A sample that is not later than the one before is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

POLICIES: Final = ("interpolate", "hold", "reset")
JUMP: Final = 60_000_000
"""Microseconds: a longer gap is a step of the clock, whatever the policy; or `max_gap` is."""
FINE: Final = 8
"""Bits behind the point of the grid's times."""
WEIGHT: Final = 15
"""Bits behind the point of an interpolation's weight."""


@dataclass(frozen=True)
class Grid:
    """An even grid: `period` in microseconds with `FINE` bits behind the point."""

    period: int
    max_gap: int
    policy: str


_Point = tuple[int, int, int, int, bool]
"""Of the grid: the samples around it, the weight of the second, its time, whether a grid begins."""


class Resampler:
    """One stream of samples on its way onto a grid."""

    def __init__(self, grid: Grid, channels: int) -> None:
        self.grid, self._channels = grid, channels
        self.reset()

    def reset(self) -> None:
        """Back to the start; counters too."""
        self.counters = dict.fromkeys(
            ("gaps", "missed", "late", "clock_jumps", "largest_gap_us"), 0
        )
        self.jitter = [0, 0]
        """Sum of |interval - period| in microseconds over unbroken intervals, and their number."""
        self._last: list[int] | None = None
        self._time = 0
        self._next = 0

    def run(self, samples: Array, times: Array) -> tuple[Array, Array, Array]:
        """Values `(m, channels)` on the grid, their times `(m,)`, and where a grid begins anew."""
        before = [] if self._last is None else [self._last]
        known = np.array([*before, *samples.tolist()], np.int64).reshape(-1, self._channels)
        plan: list[_Point] = []
        last = 0 if before else -1
        for i, time in enumerate(times.tolist(), start=len(before)):
            last = self._take(i, time, last, plan)
        if last >= 0:
            self._last = known[last].tolist()
        if not plan:
            return known[:0], np.empty(0, np.int64), np.empty(0, bool)
        columns = np.array([p[:4] for p in plan], np.int64).T
        a, b, weight, stamps = columns
        values = known[a] + (
            ((known[b] - known[a]) * weight[:, np.newaxis] + (1 << (WEIGHT - 1))) >> WEIGHT
        )
        return values, stamps, np.array([p[4] for p in plan], bool)

    def _take(
        self, i: int, time: int, last: int, plan: list[tuple[int, int, int, int, bool]]
    ) -> int:
        """Plan the points up to a sample; returns the sample that counts as the last one."""
        grid, counters = self.grid, self.counters
        apart = time - self._time
        if last < 0:
            self._begin(i, time, plan, anew=False)
            return i
        if -grid.max_gap <= apart <= 0:
            counters["late"] += 1
            return last
        gap = apart > grid.max_gap
        if apart < 0 or apart > max(JUMP, grid.max_gap):
            counters["clock_jumps"] += 1
            self._begin(i, time, plan, anew=True)
            return i
        if gap:
            counters["gaps"] += 1
            counters["missed"] += max(0, ((apart << FINE) + grid.period // 2) // grid.period - 1)
            counters["largest_gap_us"] = max(counters["largest_gap_us"], apart)
            if grid.policy == "reset":
                self._begin(i, time, plan, anew=True)
                return i
        else:
            self.jitter[0] += abs(apart - (grid.period >> FINE))
            self.jitter[1] += 1
        hold = gap and grid.policy == "hold"
        while self._next >> FINE <= time:
            point = self._next >> FINE
            weight = ((point - self._time) << WEIGHT) // apart
            if hold and point < time:
                weight = 0
            plan.append((last, i, weight, point, False))
            self._next += grid.period
        self._time = time
        return i

    def _begin(self, i: int, time: int, plan: list[_Point], anew: bool) -> None:
        plan.append((i, i, 0, time, anew))
        self._time, self._next = time, (time << FINE) + self.grid.period

    def save(self) -> list[Any]:
        """The state as JSON."""
        return [self.counters, self.jitter, self._last, self._time, self._next]

    def restore(self, state: list[Any]) -> None:
        """Take back what `save` gave."""
        self.counters, self.jitter, self._last, self._time, self._next = state
