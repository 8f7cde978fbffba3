"""Integer arithmetic of TensorFlow Lite Micro's reference kernels, on Python integers.

The compiler computes every constant with these functions, and the tests compare the generated C
with them. Numbers are raw fixed-point values; `Q` formats are named by their integer bits, as in
"Q4": 4 integer bits and 27 fractional ones in an int32.
"""

from __future__ import annotations

import functools
import math
from typing import Final

INT32_MAX: Final = (1 << 31) - 1
INT32_MIN: Final = -(1 << 31)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive real number as `multiplier * 2 ** (shift - 31)`, multiplier in [2^30, 2^31)."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def high_mul(a: int, b: int) -> int:
    """Upper half of the doubled product, rounded half up and saturated."""
    if a == b == INT32_MIN:
        return INT32_MAX
    return (a * b + (1 << 30)) >> 31


def rounding_shift(x: int, bits: int) -> int:
    """`x / 2 ** bits`, rounded half away from zero."""
    if bits == 0:
        return x
    return (x + (1 << (bits - 1)) - (x < 0)) >> bits


def rescale(x: int, multiplier: int, shift: int) -> int:
    """`x * multiplier * 2 ** (shift - 31)` as an int32, rounded twice as the reference does."""
    return rounding_shift(high_mul(x << max(shift, 0), multiplier), max(-shift, 0))


def reduced_multiplier(multiplier: int) -> int:
    """The 16-bit multiplier that the reference uses on 64-bit accumulators."""
    return 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16


def rescale_wide(x: int, multiplier: int, shift: int) -> int:
    """The same for a 64-bit accumulator: one rounding, half up."""
    total = 15 - shift
    return (x * reduced_multiplier(multiplier) + (1 << (total - 1))) >> total


def input_radius(integer_bits: int, left_shift: int, total_bits: int = 31) -> int:
    """Largest difference whose rescaled value still fits the fixed-point format."""
    largest = ((1 << integer_bits) - 1) * (1 << (total_bits - integer_bits))
    return math.floor(largest / (1 << left_shift)) if left_shift >= 0 else largest << -left_shift


def round_half_away(x: float) -> int:
    """C's `round`."""
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)


# Fixed-point functions. `_saturate` is what a left shift does at the end of the format.


def _saturate(x: int) -> int:
    return max(INT32_MIN, min(INT32_MAX, x))


def _half_sum_with_one(a: int) -> int:
    """(a + 1) / 2 in Q0, where one is the largest int32."""
    return (a + INT32_MAX + 1) >> 1


# exp(-2^k) in Q0 for k = -2 … 4: the factors of exp over the bits of its argument.
_EXP_FACTORS: Final = tuple(
    min(INT32_MAX, math.floor(math.exp(-(2.0**k)) * (1 << 31) + 0.5)) for k in range(-2, 5)
)
_EXP_MINUS_EIGHTH: Final = math.floor(math.exp(-0.125) * (1 << 31) + 0.5)
_THIRD: Final = math.floor((1 << 31) / 3 + 0.5)


def _exp_last_quarter(a: int) -> int:
    """Exp of a Q0 number in [-1/4, 0): a fourth-order polynomial around -1/8."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4_over_4 = rounding_shift(high_mul(x2, x2), 2)
    tail = rounding_shift(high_mul(x4_over_4 + x3, _THIRD) + x2, 1)
    return _saturate(_EXP_MINUS_EIGHTH + high_mul(_EXP_MINUS_EIGHTH, x + tail))


def exp_negative(a: int, integer_bits: int) -> int:
    """Exp of a number that is not positive, with `integer_bits` integer bits, in Q0."""
    if a == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    last = (a & (quarter - 1)) - quarter
    result = _exp_last_quarter(_saturate(last << integer_bits))
    remainder = last - a
    for exponent, factor in zip(range(-2, 5), _EXP_FACTORS, strict=True):
        if integer_bits > exponent and remainder & (1 << (fraction_bits + exponent)):
            result = high_mul(result, factor)
    return result


_48_OVER_17: Final = math.floor(48 / 17 * (1 << 29) + 0.5)
_NEG_32_OVER_17: Final = -math.floor(32 / 17 * (1 << 29) + 0.5)


def _newton(a: int) -> int:
    """2 / (1 + a) in Q2 for a Q0 number in [0, 1], by three Newton steps."""
    half_denominator = _half_sum_with_one(a)
    x = _48_OVER_17 + high_mul(half_denominator, _NEG_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - high_mul(half_denominator, x)
        x += _saturate(high_mul(x, error) << 2)
    return x


def reciprocal(a: int) -> int:
    """1 / (1 + a) in Q0 for a Q0 number in [0, 1]."""
    return _saturate(_newton(a) << 1)


def logistic(a: int, integer_bits: int) -> int:
    """The logistic function in Q0."""
    if a == 0:
        return 1 << 30
    positive = reciprocal(exp_negative(-abs(a), integer_bits))
    return positive if a > 0 else INT32_MAX - positive


def tanh(a: int, integer_bits: int) -> int:
    """The hyperbolic tangent in Q0."""
    if a == 0:
        return 0
    magnitude = _saturate((_newton(exp_negative(-abs(a), integer_bits + 1)) - (1 << 29)) << 2)
    return magnitude if a > 0 else -magnitude


# Where the reference's table lies one above the rounded value, to balance its interpolation.
_TABLE_ABOVE: Final = frozenset(
    int(i)
    for i in """4 8 12 14 15 16 17 19 20 21 22 25 27 28 29 30 31 33 34 35 37 39 40 41 43 44 45
    46 49 50 54 62 63 64 66 82 86 93 100 103 112 116 135 255""".split()
)


@functools.cache
def sigmoid_table() -> tuple[int, ...]:
    """Sigmoid of i/24 for i = 0 … 255 in 0.16 format: the table of the int16 activations."""
    return tuple(
        math.floor(65536 / (1 + math.exp(-i / 24)) + 0.5) + (i in _TABLE_ABOVE) for i in range(256)
    )


def sigmoid16(x: int) -> int:
    """Sigmoid of `x` (in units of 1/12288) in Q0.15, interpolated in the table."""
    table, magnitude = sigmoid_table(), abs(x)
    index = magnitude >> 9
    if index >= 255:
        value = 0x7FFF << 10
    else:
        step = table[index + 1] - table[index]
        value = (table[index] << 9) + (magnitude & 511) * step
    return (value + 512 if x >= 0 else (1 << 25) - value + 511) >> 10


def tanh16(x: int) -> int:
    """Hyperbolic tangent of `x` (in units of 1/12288) in Q0.15, from the same table."""
    table, magnitude = sigmoid_table(), abs(x)
    index = magnitude >> 8
    if index >= 255:
        value = 0xFFFF << 8
    else:
        step = table[index + 1] - table[index]
        value = (table[index] << 8) + (magnitude & 255) * step
    return (value - (1 << 23) + 128 if x >= 0 else (1 << 23) - value + 127) >> 8
