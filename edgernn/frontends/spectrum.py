"""From samples to powers: a Hann window and a real FFT of 32-bit integers.

The FFT of N real numbers is one of N/2 complex ones (decimation in time, radix 2), whose stages
halve what they add, and a last step that takes the two apart and halves again: nothing can
overflow, and the power of a bin is that of the samples, times 2^20 / N^2. Twiddle factors have 16
bits; a product is `(a * w) >> 16`, rounded down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

POWER_SHIFT: Final = 10
"""Bits that a power loses, so that a mel band fits into 63."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Tables of one size: window `(window,)` in Q15, twiddles `(size / 2,)` in Q15."""

    size: int
    window: npt.NDArray[np.int64]
    real: npt.NDArray[np.int64]
    imaginary: npt.NDArray[np.int64]
    order: npt.NDArray[np.intp]

    @property
    def bins(self) -> int:
        """Bins from 0 Hz on; that of half of the rate is left out."""
        return self.size // 2

    def powers(self, frames: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        """Powers `(n, bins)` of frames of samples `(n, window)`."""
        half = self.bins
        x = np.zeros((len(frames), self.size), np.int64)
        x[:, : len(self.window)] = frames * self.window
        re, im = x[:, 0::2][:, self.order], x[:, 1::2][:, self.order]
        width = 1
        while width < half:
            self._stage(re, im, width)
            width *= 2
        return self._apart(re, im)

    def _stage(self, re: Array, im: Array, width: int) -> None:
        """Butterflies between halves of blocks of `2 width` numbers, in place."""
        shape = (len(re), -1, 2, width)
        step = self.bins // width
        wr, wi = (t[: step * width : step] for t in (self.real, self.imaginary))
        r, i = re.reshape(shape), im.reshape(shape)
        br, bi = r[:, :, 1], i[:, :, 1]
        tr = ((br * wr) >> 16) - ((bi * wi) >> 16)
        ti = ((br * wi) >> 16) + ((bi * wr) >> 16)
        tr[..., 0], ti[..., 0] = br[..., 0] >> 1, bi[..., 0] >> 1
        ar, ai = r[:, :, 0] >> 1, i[:, :, 0] >> 1
        r[:, :, 0], r[:, :, 1] = ar + tr, ar - tr
        i[:, :, 0], i[:, :, 1] = ai + ti, ai - ti

    def _apart(self, re: Array, im: Array) -> npt.NDArray[np.int64]:
        """The spectrum of the real numbers from that of their pairs, as powers."""
        half = self.bins
        powers = np.empty_like(re)
        first = (re[:, 0] >> 1) + (im[:, 0] >> 1)
        powers[:, 0] = first * first
        k = np.arange(1, half // 2 + 1)
        m = half - k
        wr, wi = self.real[k], self.imaginary[k]
        even_r, even_i = (re[:, k] >> 2) + (re[:, m] >> 2), (im[:, k] >> 2) - (im[:, m] >> 2)
        odd_r, odd_i = (re[:, k] >> 1) - (re[:, m] >> 1), (im[:, k] >> 1) + (im[:, m] >> 1)
        turned_r = ((odd_i * wr) >> 16) + ((odd_r * wi) >> 16)
        turned_i = ((odd_r * wr) >> 16) - ((odd_i * wi) >> 16)
        xr, xi = even_r + turned_r, even_i - turned_i
        yr, yi = even_r - turned_r, even_i + turned_i
        powers[:, m] = yr * yr + yi * yi
        powers[:, k] = xr * xr + xi * xi
        powers >>= POWER_SHIFT
        return powers


def make_spectrum(window: int, size: int) -> Spectrum:
    """Tables for frames of `window` samples and an FFT of `size`, a power of two."""
    turn = 2 * np.pi * np.arange(size // 2) / size
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    bits = (size // 2).bit_length() - 1
    order = np.array(
        [int(format(i, f"0{bits}b")[::-1], 2) if bits else 0 for i in range(size // 2)]
    )
    return Spectrum(size, _q15(hann), _q15(np.cos(turn)), _q15(-np.sin(turn)), order)


def _q15(values: Array) -> npt.NDArray[np.int64]:
    table: npt.NDArray[np.int64] = np.clip(np.rint(values * 32768), -32768, 32767).astype(np.int64)
    return table
