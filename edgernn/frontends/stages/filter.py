"""High-pass and low-pass filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends.stages.base import LIMIT, Array, Runner

COEFFICIENT_BITS: Final = 30


@dataclass(frozen=True)
class Filter:
    """A Butterworth filter of second order, `highpass` or `lowpass` at `cutoff` Hz.

    Coefficients by the bilinear transform (R. Bristow-Johnson's cookbook, Q = 1/sqrt 2). Direct
    form I with error feedback: what rounding cuts off goes into the next two sums, with the whole
    numbers next to the filter's own feedback, which takes its noise out where the filter would
    amplify it: a low cutoff neither drifts nor rings for ever.
    """

    stage: ClassVar[str] = "filter"
    hop: ClassVar[int] = 1
    kind: str
    cutoff: float
    rate: float

    @classmethod
    def of(cls, rate: float, kind: str, cutoff: float) -> Filter:
        """From the fields of a configuration."""
        if kind not in ("highpass", "lowpass"):
            raise InputError(f"stage 'filter': kind {kind!r} is not one of highpass, lowpass")
        if not 1e-4 * rate <= cutoff < 0.5 * rate:
            raise InputError(
                f"stage 'filter': cutoff {cutoff:g} Hz is not between {1e-4 * rate:g} and half of "
                f"{rate:g} samples a second"
            )
        return cls(kind, float(cutoff), float(rate))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels

    def coefficients(self) -> tuple[int, int, int, int]:
        """b0 (= b2), b1, a1 and a2 with 30 bits behind the point."""
        angle = 2 * math.pi * self.cutoff / self.rate
        alpha, cosine = math.sin(angle) / math.sqrt(2), math.cos(angle)
        one = 2.0**COEFFICIENT_BITS / (1 + alpha)
        if self.kind == "highpass":  # with a true zero at 0 Hz
            b = round((1 + cosine) / 2 * one)
            return b, -2 * b, round(-2 * cosine * one), round((1 - alpha) * one)
        a1, a2 = round(-2 * cosine * one), round((1 - alpha) * one)
        total = (1 << COEFFICIENT_BITS) + a1 + a2  # of 4 b: unity at 0 Hz
        b = total // 4
        return b, total - 2 * b, a1, a2

    def feedback(self) -> tuple[int, int]:
        """What the last two remainders are multiplied with."""
        _, _, a1, a2 = self.coefficients()
        half = 1 << (COEFFICIENT_BITS - 1)
        return -((a1 + half) >> COEFFICIENT_BITS), -((a2 + half) >> COEFFICIENT_BITS)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _FilterRunner((*self.coefficients(), *self.feedback()), channels)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "kind": self.kind, "cutoff": self.cutoff}


class _FilterRunner:
    """The state of a channel: two inputs, two outputs, two remainders."""

    def __init__(self, coefficients: Sequence[int], channels: int) -> None:
        self._coefficients = coefficients
        self._channels = [[0] * 6 for _ in range(channels)]

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        result = np.empty_like(block)
        b0, b1, a1, a2, c1, c2 = self._coefficients
        mask = (1 << COEFFICIENT_BITS) - 1
        for channel, state in enumerate(self._channels):
            x1, x2, y1, y2, e1, e2 = state
            column = []
            for x0 in block[:, channel].tolist():
                total = b0 * (x0 + x2) + b1 * x1 - a1 * y1 - a2 * y2 + c1 * e1 + c2 * e2
                y0 = max(-LIMIT, min(LIMIT, total >> COEFFICIENT_BITS))
                column.append(y0)
                x2, x1, y2, y1, e2, e1 = x1, x0, y1, y0, e1, total & mask
            self._channels[channel] = [x1, x2, y1, y2, e1, e2]
            result[:, channel] = column
        return result, np.arange(len(block))

    def save(self) -> list[Any]:
        return self._channels

    def restore(self, state: list[Any]) -> None:
        self._channels = state
