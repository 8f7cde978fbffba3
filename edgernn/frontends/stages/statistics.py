"""What the last samples are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends.stages.base import Array, Runner, clamp, roots

SQUARED: Final = 1 << 25
"""Values are clamped to this before they are squared in statistics."""
STATISTICS: Final = ("mean", "std", "min", "max", "range", "rms", "zero_crossings")


@dataclass(frozen=True)
class Statistics:
    """Of every channel over the last `window` samples, a row every `hop`: the statistics named.

    All of the first channel come first. The standard deviation is around the rounded mean, values
    are clamped to 2^25 units before they are squared. Zero crossings are changes of sign.
    """

    stage: ClassVar[str] = "statistics"
    window: int
    hop: int
    of_: tuple[str, ...]

    @classmethod
    def of(cls, rate: float, window: int, hop: int, statistics: Sequence[str]) -> Statistics:
        """From the fields of a configuration."""
        for name in statistics:
            if name not in STATISTICS:
                known = ", ".join(STATISTICS)
                raise InputError(f"stage 'statistics': {name!r} is not one of {known}")
        if not (1 <= hop <= window <= 4096 and statistics):
            raise InputError(
                "stage 'statistics': it takes a window of at most 4096 samples, a hop of at most "
                "that, and one statistic at least"
            )
        return cls(int(window), int(hop), tuple(statistics))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels * len(self.of_)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _StatisticsRunner(self, channels, fraction)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {
            "stage": self.stage,
            "window": self.window,
            "hop": self.hop,
            "statistics": list(self.of_),
        }


class _StatisticsRunner:
    """Keeps the samples that later windows still need."""

    def __init__(self, described: Statistics, channels: int, fraction: int) -> None:
        self._described, self._one = described, 1 << fraction
        self._held = np.empty((0, channels), np.int64)

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        window, hop = self._described.window, self._described.hop
        before = len(self._held)
        joined = np.concatenate([self._held, block])
        starts = np.arange(0, len(joined) - window + 1, hop)
        self._held = joined[len(starts) * hop :]
        if not len(starts):
            return np.empty((0, joined.shape[1] * len(self._described.of_)), np.int64), starts
        views = np.lib.stride_tricks.sliding_window_view(joined, window, axis=0)[starts]
        columns = [self._statistic(name, views) for name in self._described.of_]
        return np.stack(columns, axis=2).reshape(len(starts), -1), starts + window - 1 - before

    def _statistic(self, name: str, views: Array) -> Array:
        window = views.shape[2]
        low: Array = views.min(axis=2)
        high: Array = views.max(axis=2)
        if name in ("min", "max"):
            return low if name == "min" else high
        if name == "range":
            return clamp(high - low)
        if name == "zero_crossings":
            negative = views < 0
            crossings: Array = (negative[:, :, 1:] != negative[:, :, :-1]).sum(axis=2) * self._one
            return crossings
        mean: Array = (views.sum(axis=2) + window // 2) // window
        if name == "mean":
            return mean
        around = views - mean[:, :, np.newaxis] if name == "std" else views
        small = np.clip(around, -SQUARED, SQUARED)
        return roots((small * small).sum(axis=2) // window)

    def save(self) -> list[Any]:
        return self._held.tolist()

    def restore(self, state: list[Any]) -> None:
        self._held = np.array(state, np.int64).reshape(-1, self._held.shape[1])
