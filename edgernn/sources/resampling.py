"""Sound at another rate: a windowed sinc, as one filter for each position between two samples.

J. O. Smith, "Digital Audio Resampling", ccrma.stanford.edu/~jos/resample.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError

ZEROS: Final = 24
"""Zero crossings of the sinc on either side."""
BETA: Final = 8.0
"""Of the Kaiser window: some 80 dB of attenuation."""
PASS: Final = 0.9
"""Where the band ends, as a part of the lower Nyquist frequency; behind it is the slope."""
PHASES: Final = 4096
"""More positions between two samples are taken for a mistake in a rate."""


class Resampler:
    """One stream of int16 samples `(n,)` on its way from one rate to another.

    Output `m` is the sound at `m / to_rate` seconds; any split of the input gives the same.
    """

    def __init__(self, from_rate: float, to_rate: float) -> None:
        """Make the filters.

        Raises:
            InputError: the rates have no ratio of small numbers.
        """
        ratio = Fraction(to_rate) / Fraction(from_rate)
        self._up, self._down = ratio.numerator, ratio.denominator
        if self._up > PHASES:
            raise InputError(
                f"{from_rate:g} samples a second cannot be made {to_rate:g}: the ratio "
                f"{self._up}/{self._down} is not of small numbers"
            )
        cutoff = PASS * min(1.0, to_rate / from_rate)
        self._half = math.ceil(ZEROS / cutoff)
        # Tap k of phase p is at distance k - (half - 1) - p / up from the output, in samples.
        taps = np.arange(2 * self._half) - (self._half - 1)
        distance = taps[np.newaxis] - np.arange(self._up)[:, np.newaxis] / self._up
        inside = np.sqrt(np.maximum(0.0, 1 - (distance / self._half) ** 2))
        filters = np.sinc(cutoff * distance) * np.i0(BETA * inside)
        self._filters = filters / filters.sum(axis=1, keepdims=True)
        self._known = np.zeros(self._half - 1)
        self._first = -(self._half - 1)
        self._given = self._taken = 0

    def run(self, samples: npt.NDArray[np.int16], last: bool = False) -> npt.NDArray[np.int16]:
        """The samples that these complete; `last` when no more will come."""
        self._taken += len(samples)
        known: npt.NDArray[Any] = np.concatenate([self._known, samples])
        if last:
            known = np.concatenate([known, np.zeros(2 * self._half)])
        # Output m needs the samples up to m * down // up + half.
        end = self._first + len(known) - self._half
        total = -(-end * self._up // self._down)
        if last:
            total = -(-self._taken * self._up // self._down)
        positions = np.arange(self._given, max(self._given, total)) * self._down
        starts = positions // self._up - (self._half - 1) - self._first
        windows = known[starts[:, np.newaxis] + np.arange(2 * self._half)]
        made: npt.NDArray[np.float64] = np.einsum(
            "ij,ij->i", windows, self._filters[positions % self._up]
        )
        self._given += len(positions)
        keep = self._given * self._down // self._up - (self._half - 1)
        self._known, self._first = known[max(0, keep - self._first) :], max(keep, self._first)
        return np.rint(made).clip(-32768, 32767).astype(np.int16)
