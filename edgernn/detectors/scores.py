"""Raw predictions as scores in Q15: 32,768 stands for a probability of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

ONE: Final = 1 << 15
LIMIT: Final = 1 << 20
"""Scores are clamped to this on either side, so that sums of 1,023 of them have 32 bits."""

_BITS: Final = 30


@dataclass(frozen=True)
class Scorer:
    """`score = clamp(((raw - zero_point) * multiplier + half) >> shift)`, halves rounded up."""

    multiplier: int
    shift: int
    zero_point: int

    def __call__(self, raw: Array) -> npt.NDArray[np.int64]:
        """Scores of raw predictions, in the same shape."""
        wide = (raw.astype(np.int64) - self.zero_point) * self.multiplier
        wide += 1 << (self.shift - 1)
        wide >>= self.shift
        return np.clip(wide, -LIMIT, LIMIT, out=wide)


def scorer(y: Tensor) -> Scorer:
    """That of an output.

    Raises:
        InputError: it holds floats.
    """
    if y.dtype not in ("int8", "int16"):
        raise InputError(
            f"a detector takes integers, and the model gives {y.dtype}: convert it with "
            "--precision int8 or int16x8, without --io float32"
        )
    real = y.scale[0] * ONE
    shift = min(_BITS - math.frexp(real)[1], 40)
    if shift < 1:
        raise InputError(f"the model's output scale {y.scale[0]:g} is too large for a detector")
    return Scorer(round(real * 2.0**shift), shift, y.zero_point[0])


def windowed(scores: npt.NDArray[np.int64], before: npt.NDArray[np.int64]) -> Array:
    """Running sums of scores `(n, k)` over a window; `before`, `(window - 1, k)`, came first."""
    length = len(before) + 1
    joined = np.concatenate([before, scores])
    sums = np.cumsum(joined, axis=0)
    result: Array = sums[length - 1 :].copy()
    result[1:] -= sums[:-length]
    return result
