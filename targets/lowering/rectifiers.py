"""LEAKY_RELU, PRELU and ABS in integers: one scale above zero, another below."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgernn.tflite import Operator
from targets import expr
from targets.expr import Expr, number
from targets.fixedpoint import quantize_multiplier
from targets.lowering.base import LIMITS, Model, lowers


def _either(x: Expr, above: Expr, below: Expr) -> Expr:
    """One of two values by the sign of another."""
    above, below = expr.plain(above), expr.plain(below)
    if x.low >= 0:
        return above
    if x.high < 0:
        return below
    code = f"({x.code} >= 0 ? {above.code} : {below.code})"
    return Expr(code, min(above.low, below.low), max(above.high, below.high))


@lowers("LEAKY_RELU")
def leaky_relu(model: Model, op: Operator) -> None:
    """The slope may be negative."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    limits = LIMITS[model.same_type(x, out, among=("int8", "int16"))]
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    alpha = float(op.options["alpha"])
    if not math.isfinite(alpha):
        raise model.unsupported(f"its slope is {alpha}")
    identity = quantize_multiplier(scale / scale_out)
    slope = quantize_multiplier(abs(scale * alpha / scale_out))
    if not all(-31 <= s <= 30 for _, s in (identity, slope)):
        raise model.unsupported("its scales are out of range")

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.plain(expr.add(inputs[0], number(-zero)))
        below = expr.rescale(value, *slope)
        if alpha < 0:
            below = expr.add(number(0), below, -1)
        value = _either(value, expr.rescale(value, *identity), below)
        return expr.clamp(expr.add(value, number(zero_out)), *limits)

    model.elementwise(op, op.inputs, build)


@lowers("PRELU")
def prelu(model: Model, op: Operator) -> None:
    """A slope of each channel's own."""
    x, alpha = model.inputs(op, 2)
    out = model.output(op)
    limits = LIMITS[model.same_type(x, out, among=("int8", "int16"))]
    if alpha.dtype != "int8":
        raise model.unsupported(f"its slopes are {alpha.dtype}, not int8")
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    scale_alpha, zero_alpha = model.quantization(alpha)
    identity = quantize_multiplier(scale / scale_out)
    slope = quantize_multiplier(scale * scale_alpha / scale_out)
    if not all(-31 <= s <= 30 for _, s in (identity, slope)):
        raise model.unsupported("its scales are out of range")

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.plain(expr.add(inputs[0], number(-zero)))
        product = expr.multiply(value, expr.add(inputs[1], number(-zero_alpha)))
        value = _either(value, expr.rescale(value, *identity), expr.rescale(product, *slope))
        return expr.clamp(expr.add(value, number(zero_out)), *limits)

    model.elementwise(op, op.inputs, build)


@lowers("ABS")
def magnitude(model: Model, op: Operator) -> None:
    """The distance from the zero point, rescaled."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    limits = LIMITS[model.same_type(x, out, among=("int8", "int16"))]
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    scaling = quantize_multiplier(scale / scale_out)
    if not -31 <= scaling[1] <= 30:
        raise model.unsupported("its scales are out of range")

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.plain(expr.add(inputs[0], number(-zero)))
        distance = Expr(
            f"edgernn_abs({expr.bare(value.code)})", 0, max(abs(value.low), abs(value.high))
        )
        if scale != scale_out:
            distance = expr.rescale(distance, *scaling)
        return expr.clamp(expr.add(distance, number(zero_out)), *limits)

    model.elementwise(op, op.inputs, build)
