"""Logarithms and powers of two in integers, by tables of 128 lines; the same in C."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BITS: Final = 16
"""Bits behind the point of a logarithm."""

STEPS: Final = 128
_STEP_BITS: Final = 7


def _table(values: Array) -> npt.NDArray[np.int64]:
    table: npt.NDArray[np.int64] = np.minimum(np.rint(values), 65535).astype(np.int64)
    return table


LOG_TABLE: Final = _table(np.log2(1 + np.arange(STEPS + 1) / STEPS) * 65536)
"""log2(1 + i / 128) in Q16, the last value saturated to 16 bits."""

POWER_TABLE: Final = _table(2 ** (np.arange(STEPS + 1) / STEPS) * 32768)
"""2^(i / 128) in Q15, the last value saturated to 16 bits."""


def log2(values: Array) -> npt.NDArray[np.int64]:
    """Base-2 logarithm in Q16 of integers from 1 to 2^63 - 1; off by less than 2^-15."""
    lengths = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    lengths -= (values >> (lengths - 1)) == 0  # rounded up to a power of two as a float
    mantissa = values << (63 - lengths)  # the leading one is bit 62
    i = (mantissa >> (62 - _STEP_BITS)) & (STEPS - 1)
    rest = (mantissa >> (62 - _STEP_BITS - BITS)) & 0xFFFF
    line = LOG_TABLE[i] + (((LOG_TABLE[i + 1] - LOG_TABLE[i]) * rest) >> BITS)
    found: npt.NDArray[np.int64] = ((lengths - 1) << BITS) + line
    return found


def power2(exponents: Array, fraction: int) -> npt.NDArray[np.int64]:
    """2 to the power of a Q16 number, with `fraction` bits behind the point.

    Below 2^-fraction it is 0; the caller keeps `exponent + fraction` below 31.
    """
    whole, part = exponents >> BITS, exponents & 0xFFFF
    i, rest = part >> (BITS - _STEP_BITS), part & ((1 << (BITS - _STEP_BITS)) - 1)
    line = POWER_TABLE[i] + (((POWER_TABLE[i + 1] - POWER_TABLE[i]) * rest) >> (BITS - _STEP_BITS))
    shift = 15 - fraction - whole
    down = np.clip(shift, 0, 31)
    found: npt.NDArray[np.int64] = np.where(
        shift >= 0, line >> down, line << np.clip(-shift, 0, 31)
    )
    return found
