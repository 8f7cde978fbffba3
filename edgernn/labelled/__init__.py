"""Recordings with their truth: what a model is trained on, and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Span:
    """What is true from `start` to `end`, in seconds since the recording's first sample."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Labelled:
    """A recording and what is true of it.

    `samples` are int16 `(n,)` of sound, or float64 `(n, channels)` of sensors in real units, with
    int64 microseconds of each in `times` where the recording has a clock. `group` is who or what
    was recorded: recordings of one group never fall on both sides of a split. `label` is true of
    the whole recording, `spans` of parts of it.
    """

    name: str
    samples: Array
    rate: float
    group: str
    label: str | None = None
    spans: tuple[Span, ...] = ()
    times: npt.NDArray[np.int64] | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        if self.times is not None and len(self.times):
            return float(self.times[-1] - self.times[0]) / 1e6
        return len(self.samples) / self.rate
