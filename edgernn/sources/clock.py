"""Times of samples from a device that has no clock."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt


class SampleClock:
    """Even times, in microseconds since the first sample; later ones after a pause."""

    def __init__(self, rate: float, now: Any = time.monotonic) -> None:
        self._period, self._now = 1e6 / rate, now
        self._begun: float | None = None
        self._origin, self._count = 0.0, 0

    def stamps(self, count: int) -> npt.NDArray[np.int64]:
        """The times of the next samples."""
        if self._begun is None:
            self._begun = self._now() - count * self._period / 1e6
        numbers = np.arange(self._count + 1, self._count + count + 1)
        self._count += count
        times: npt.NDArray[np.int64] = np.rint(self._origin + numbers * self._period).astype(
            np.int64
        )
        return times

    def resume(self) -> None:
        """The device was away: its next sample is of now, never before those that it gave."""
        if self._begun is not None:
            last = self._origin + self._count * self._period
            self._origin, self._count = max(last, (self._now() - self._begun) * 1e6), 0
