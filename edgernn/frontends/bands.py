"""From powers to features: mel bands, logarithms, cepstrum, per-channel energy normalisation."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends.logarithm import BITS, log2, power2
from edgernn.frontends.spectrum import POWER_SHIFT

Array = npt.NDArray[Any]

FRACTION: Final = 10
"""Bits behind the point of features."""

LN2: Final = round(math.log(2) * 65536)
"""Natural logarithm of two in Q16."""


@dataclass(frozen=True, eq=False)
class Mel:
    """Triangles on the mel scale, as segments between the centres of neighbouring bands.

    A bin of segment `s` gives `weight` (Q15) of its power to band `s`, and the rest to band
    `s - 1`; there is no band below the first segment and above the last. `lengths` are the bins of
    each of the `bands + 1` segments, which begin with bin `start`.
    """

    start: int
    lengths: tuple[int, ...]
    weights: npt.NDArray[np.int64]

    @property
    def bands(self) -> int:
        """How many."""
        return len(self.lengths) - 1

    @functools.cached_property
    def _segments(self) -> tuple[Array, Array]:
        """Segments that have bins, and where these begin behind `start`."""
        lengths = np.array(self.lengths)
        filled = np.flatnonzero(lengths)
        return filled, (np.cumsum(lengths) - lengths)[filled]

    def energies(self, powers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Energies `(n, bands)` of powers `(n, bins)`."""
        used = powers[:, self.start : self.start + len(self.weights)]
        up = used * self.weights
        down = (used << 15) - up
        rising = np.zeros((len(powers), self.bands + 1), np.int64)
        falling = np.zeros_like(rising)
        filled, starts = self._segments
        rising[:, filled] = np.add.reduceat(up, starts, axis=1)
        falling[:, filled] = np.add.reduceat(down, starts, axis=1)
        result: npt.NDArray[np.int64] = rising[:, :-1] + falling[:, 1:]
        return result


def mel(hertz: Array | float) -> Any:
    """O'Shaughnessy's formula."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0)


def make_mel(rate: float, size: int, bands: int, low: float, high: float) -> Mel:
    """Triangles between two frequencies, for an FFT of `size`.

    Raises:
        InputError: a band has no bin of the FFT.
    """
    edges = np.linspace(mel(low), mel(high), bands + 2)
    bins = mel(np.arange(size // 2) * rate / size)
    segment = np.searchsorted(edges, bins, side="right") - 1
    inside = (segment >= 0) & (segment <= bands)
    inside[0] = False  # an offset of the samples is no sound
    start = int(np.argmax(inside))
    segments = segment[inside]
    width = edges[1] - edges[0]
    weights = np.clip(np.rint((bins[inside] - edges[segments]) / width * 32768), 0, 32768)
    lengths = tuple(int((segments == s).sum()) for s in range(bands + 1))
    for band in range(bands):
        if not lengths[band] + lengths[band + 1]:
            raise InputError(
                f"band {band} of {bands} is narrower than the FFT of {size} can tell: take fewer "
                "bands, a higher low frequency or a longer window"
            )
    return Mel(start, lengths, weights.astype(np.int64))


def unit(size: int) -> float:
    """What an energy of 1 stands for, where a sample of full scale is 1."""
    return float(size) ** 2 * 2.0 ** (POWER_SHIFT - 75)


def log_bands(energies: Array, floor: int, offset: int) -> npt.NDArray[np.int64]:
    """Natural logarithms in Q10 of energies with a floor, minus an offset in Q10."""
    logs: npt.NDArray[np.int64] = ((log2(energies + floor) * LN2) >> (2 * BITS - FRACTION)) - offset
    return logs


@dataclass(frozen=True, eq=False)
class Cepstrum:
    """The first coefficients of the orthonormal DCT-II; `table` `(coefficients, bands)` in Q15."""

    table: npt.NDArray[np.int64]

    def __call__(self, logs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Coefficients `(n, coefficients)` of log bands `(n, bands)`, in the same unit."""
        return (logs @ self.table.T + (1 << 14)) >> 15


def make_cepstrum(bands: int, coefficients: int) -> Cepstrum:
    """For so many of each."""
    k, n = np.arange(coefficients)[:, np.newaxis], np.arange(bands) + 0.5
    basis = np.sqrt(2 / bands) * np.cos(np.pi * k * n / bands)
    basis[0] = math.sqrt(1 / bands)
    return Cepstrum(np.minimum(np.rint(basis * 32768), 32767).astype(np.int64))


@dataclass(frozen=True)
class Pcen:
    """Constants of `(E / (M + floor)^gain + bias)^root - bias^root`, M being E smoothed in time.

    All in Q15 but `scale`, the Q16 logarithm that brings energies to real units (with the gain
    taken off), and `bias` and `rest` (`bias^root`) in Q10.
    """

    smoothing: int
    gain: int
    root: int
    scale: int
    bias: int
    rest: int

    def smooth(self, energies: npt.NDArray[np.int64], before: Array) -> npt.NDArray[np.int64]:
        """M of every frame; `before` is that of the one before the first."""
        result = np.empty_like(energies)
        m = before
        for t, energy in enumerate(energies):
            m = m + (energy >> 15) * self.smoothing - (m >> 15) * self.smoothing
            result[t] = m
        return result

    def __call__(
        self, energies: npt.NDArray[np.int64], smoothed: Array, floor: int
    ) -> npt.NDArray[np.int64]:
        """Features in Q10."""
        quotient = log2(energies + 1) - ((log2(smoothed + floor) * self.gain) >> 15) + self.scale
        x = power2(np.minimum(quotient, _HIGHEST), FRACTION) + self.bias
        exponent = ((log2(x) - (FRACTION << BITS)) * self.root) >> 15
        return power2(exponent, FRACTION) - self.rest


_HIGHEST: Final = 20 * 65536 - 1
"""Of a quotient's logarithm, so that it has 31 bits with ten behind the point."""


def make_pcen(size: int, smoothing: float, gain: float, bias: float, root: float) -> Pcen:
    """From real parameters."""
    scale = (1 - round(gain * 32768) / 32768) * math.log2(unit(size))
    return Pcen(
        round(smoothing * 32768),
        round(gain * 32768),
        round(root * 32768),
        round(scale * 65536),
        round(bias * (1 << FRACTION)),
        round(bias**root * (1 << FRACTION)),
    )
