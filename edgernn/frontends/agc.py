"""Automatic gain control of log-mel bands: how loud somebody speaks, and how near, does not matter.

    features = max(bands + emphasis - level, -range)

`level` is that of the loudest band of late: it rises at once, falls slowly, and never below
`least`, so that silence stays silent. `emphasis` lifts high bands as a first difference of the
samples would: the formants that tell vowels apart are much weaker than the first, and would be cut
off otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.frontends.bands import FRACTION, mel

Array = npt.NDArray[Any]

AGC: Final = {"emphasis": 0.97, "range": 22.0, "release": 11.0, "least": -20.0}
"""Coefficient of the first difference; range and least level in dB; release in dB a second."""

LIMITS: Final = {
    "emphasis": (0.0, 1.0),
    "range": (1.0, 120.0),
    "release": (0.1, 1000.0),
    "least": (-100.0, 60.0),
}
"""What each may be."""

FINER: Final = 6
"""Bits more behind the point of levels: what they fall by in a frame is little."""


@dataclass(frozen=True, eq=False)
class Agc:
    """In nepers of energy: `emphasis` by band and `range` in Q10, as the logarithms are; `least`,
    `release` by frame, and the level in Q16."""

    emphasis: npt.NDArray[np.int64]
    range: int
    release: int
    least: int

    def __call__(
        self, logs: npt.NDArray[np.int64], before: int | None
    ) -> tuple[npt.NDArray[np.int64], int]:
        """Features of log bands `(n, bands)`, and the level after them; `before` is that before."""
        lifted = logs + self.emphasis
        peaks = lifted.max(axis=1) << FINER
        levels = _levels(peaks, self.least if before is None else before, self)
        below = lifted - (levels >> FINER)[:, np.newaxis]
        return np.maximum(below, -self.range), int(levels[-1])

    def real(
        self, logs: Array, before: float | None = None
    ) -> tuple[npt.NDArray[np.float32], float]:
        """The same of float log bands in nepers: for training, which alters the bands first."""
        unit, finer = 1 << FRACTION, 1 << (FRACTION + FINER)
        start = None if before is None else round(before * finer)
        features, level = self(np.rint(logs * unit).astype(np.int64), start)
        return (features / unit).astype(np.float32), level / finer


def _levels(peaks: npt.NDArray[np.int64], before: int, agc: Agc) -> npt.NDArray[np.int64]:
    """The level at every frame: a peak that has been falling since is all that is remembered."""
    fallen = agc.release * np.arange(1, len(peaks) + 1)
    risen = np.maximum.accumulate(np.concatenate([[before], peaks + fallen]))[1:]
    return np.maximum(risen - fallen, agc.least)


def make_agc(
    rate: float, frame_rate: float, bands: int, low: float, high: float, how: Mapping[str, float]
) -> Agc:
    """For bands between two frequencies, from the real parameters of `AGC`."""
    edges = np.linspace(mel(low), mel(high), bands + 2)
    centres = 700.0 * (10.0 ** (edges[1:-1] / 2595.0) - 1.0)
    lift = np.abs(1.0 - how["emphasis"] * np.exp(-2j * np.pi * centres / rate)) ** 2
    unit = (1 << FRACTION) * math.log(10) / 10
    return Agc(
        np.rint(np.log(lift + 1e-9) * (1 << FRACTION)).astype(np.int64),
        round(how["range"] * unit),
        max(1, round(how["release"] / frame_rate * unit * (1 << FINER))),
        round(how["least"] * unit) << FINER,
    )
