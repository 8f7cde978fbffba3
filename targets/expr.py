"""Integer C expressions with what is known of their value.

Knowing the range of every intermediate value lets the compiler drop clamps that cannot act and
knowing its trailing zeros lets it turn the reference's rescalings into exact shifts.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Final

from targets.fixedpoint import rescale as rescale_number

_EXACT: Final = 1 << 30
_SAFE: Final = 1 << 30
"""Magnitudes below this leave room for one doubling or one rounding constant."""

_SATURATIONS: Final = {
    (-128, 127): "edgernn_saturate_8",
    (-32768, 32767): "edgernn_saturate_16",
}


@dataclass(frozen=True)
class Expr:
    """The value `(code + offset) * 2 ** shift`; `code` is a C operand.

    `low` and `high` bound `code + offset`. Offset and shift wait until the value is used, so that
    those of several operators meet and cancel.
    """

    code: str
    low: int
    high: int
    shift: int = 0
    offset: int = 0

    @property
    def constant(self) -> int | None:
        """The value if it is one number."""
        return self.low << self.shift if self.low == self.high else None

    @property
    def bounds(self) -> tuple[int, int]:
        """Bounds of the value itself."""
        return self.low << self.shift, self.high << self.shift


def number(value: int) -> Expr:
    """A literal."""
    return Expr(f"({value})" if value < 0 else str(value), value, value)


def _shifted_number(value: int) -> Expr:
    """A literal with its trailing zeros as a pending shift."""
    zeros = (value & -value).bit_length() - 1 if value else 0
    return replace(number(value >> zeros), shift=zeros)


def shift_left(x: Expr, bits: int) -> Expr:
    """`x * 2 ** bits`."""
    return replace(x, shift=x.shift + bits)


def plain(x: Expr) -> Expr:
    """The same value with nothing pending."""
    if x.constant is not None:
        return number(x.constant)
    if x.offset:
        sign = "+" if x.offset > 0 else "-"
        x = replace(x, code=f"({x.code} {sign} {abs(x.offset)})", offset=0)
    if x.shift:
        low, high = x.bounds
        x = Expr(f"({x.code} * {1 << x.shift})", low, high)
    return x


def bare(code: str) -> str:
    """The code without parentheses around all of it."""
    depth = 0
    for i, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return code[1:-1] if code.startswith("(") and i == len(code) - 1 else code
    return code


def add(x: Expr, y: Expr, sign: int = 1) -> Expr:
    """`x + y`, or `x - y` with sign -1."""
    shift = min(x.shift, y.shift)
    x, y = (_aligned(v, v.shift - shift) for v in (x, y))
    low, high = (y.low, y.high) if sign > 0 else (-y.high, -y.low)
    offset = x.offset + sign * y.offset
    if y.constant is not None:
        value = sign * y.constant
        return Expr(x.code, x.low + value, x.high + value, shift, x.offset + value)
    if x.constant is not None:
        code, offset = (y.code, y.offset) if sign > 0 else (f"(-{y.code})", -y.offset)
        offset += x.constant
    else:
        code = f"({x.code} {'+' if sign > 0 else '-'} {y.code})"
    return Expr(code, x.low + low, x.high + high, shift, offset)


def _aligned(x: Expr, bits: int) -> Expr:
    """`x * 2 ** bits` without a pending shift; the offset may wait."""
    if x.constant is not None:
        return number(x.low << bits)
    if bits == 0:
        return replace(x, shift=0)
    code = f"({x.code} * {1 << bits})"
    return Expr(code, x.low << bits, x.high << bits, 0, x.offset << bits)


def multiply(x: Expr, y: Expr) -> Expr:
    """`x * y`."""
    x, y = (replace(plain(replace(v, shift=0)), shift=v.shift) for v in (x, y))
    corners = [a * b for a, b in itertools.product((x.low, x.high), (y.low, y.high))]
    shift = x.shift + y.shift
    if x.code == y.code:
        corners.append(0)
    low, high = min(corners), max(corners)
    if low == high:
        return replace(number(low), shift=shift)
    if x.constant is not None:
        x, y = y, x
    if y.low == y.high == 1:
        return replace(x, shift=shift)
    return Expr(f"({x.code} * {y.code})", low, high, shift)


def clamp(x: Expr, low: int, high: int) -> Expr:
    """`x` limited to [low, high]; nothing where it cannot leave it."""
    x = plain(x)
    if low <= x.low and x.high <= high:
        return x
    if x.low >= low:
        return Expr(f"edgernn_at_most({bare(x.code)}, {high})", min(x.low, high), high)
    if x.high <= high:
        return Expr(f"edgernn_at_least({bare(x.code)}, {low})", low, max(x.high, low))
    name = _SATURATIONS.get((low, high))
    return Expr(
        f"{name}({bare(x.code)})" if name else f"edgernn_clamp({bare(x.code)}, {low}, {high})",
        max(low, min(x.low, high)),
        min(high, max(x.high, low)),
    )


def rounding_shift(x: Expr, bits: int) -> Expr:
    """`x / 2 ** bits`, half away from zero; exact where the pending shift covers it."""
    exact = min(bits, x.shift)
    x, bits = replace(x, shift=x.shift - exact), bits - exact
    if bits == 0:
        return x
    x = plain(x)
    low, high = _round(x.low, bits), _round(x.high, bits)
    if low == high:
        return number(low)
    safe = max(abs(x.low), abs(x.high)) < _SAFE and bits < 31
    name = "edgernn_rounding_shift" if safe else "edgernn_rounding_shift_by"
    return Expr(f"{name}({bare(x.code)}, {bits})", low, high)


def _round(value: int, bits: int) -> int:
    return (value + (1 << (bits - 1)) - (value < 0)) >> bits


def rescale(x: Expr, multiplier: int, shift: int) -> Expr:
    """`x * multiplier * 2 ** (shift - 31)` with the reference's two roundings."""
    left, right = max(shift, 0), max(-shift, 0)
    if multiplier == 0:
        return number(0)
    if x.constant is not None:
        return _shifted_number(rescale_number(x.constant, multiplier, shift))
    low, high = x.bounds
    if not -(1 << 31) <= low << left <= high << left < 1 << 31:  # the reference wraps
        x = plain(x)
        code = f"edgernn_rescale({bare(x.code)}, {multiplier}, {left}, {right})"
        return Expr(code, -(1 << 31), (1 << 31) - 1)
    x = shift_left(x, left)
    if multiplier == _EXACT:
        if x.shift:
            return rounding_shift(replace(x, shift=x.shift - 1), right)
        code = bare(plain(add(x, number(1))).code)
        half = Expr(f"(({code}) >> 1)", (x.low + 1) >> 1, (x.high + 1) >> 1)
        return rounding_shift(half, right)
    bounds = [rescale_number(v, multiplier, 0) for v in x.bounds]
    if max(map(abs, x.bounds)) < _SAFE:
        code = f"edgernn_mul_high({bare(plain(shift_left(x, 1)).code)}, {multiplier})"
    else:
        code = f"edgernn_high_mul({bare(plain(x).code)}, {multiplier})"
    return rounding_shift(Expr(code, bounds[0], bounds[1]), right)
