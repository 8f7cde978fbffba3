"""ADD, SUB, MUL, MAXIMUM, MINIMUM and SQUARED_DIFFERENCE, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgernn.tflite import Operator
from targets import expr
from targets.expr import Expr, number
from targets.fixedpoint import quantize_multiplier
from targets.lowering.base import LIMITS, Model, lowers


def _smaller_than_one(model: Model, real: float) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(real)
    if shift > 0 or real >= 1.0:
        raise model.unsupported("its output scale is too small for its inputs")
    return multiplier, shift


@lowers("ADD", "SUB")
def sums(model: Model, op: Operator) -> None:
    """Both inputs on a common, finer scale; added; brought to the output's scale."""
    a, b = model.inputs(op, 2)
    out = model.output(op)
    dtype = model.same_type(a, b, out, among=("int8", "int16", "int32"))
    if dtype == "int32":
        _plain_sum(model, op)
        return
    (scale_a, zero_a), (scale_b, zero_b) = model.quantization(a), model.quantization(b)
    scale, zero = model.quantization(out)
    shift = 15 if dtype == "int16" else 20
    twice = 2 * max(scale_a, scale_b)
    reals = scale_a / twice, scale_b / twice, twice / ((1 << shift) * scale)
    scale_in_a, scale_in_b, scale_out = (_smaller_than_one(model, r) for r in reals)
    low, high = model.activation_range(out, str(op.options["fused_activation_function"]))
    sign = 1 if op.name == "ADD" else -1

    def build(values: Sequence[Expr]) -> Expr:
        x, y = (
            expr.rescale(expr.shift_left(expr.add(v, number(-z)), shift), *scaling)
            for v, z, scaling in zip(
                values, (zero_a, zero_b), (scale_in_a, scale_in_b), strict=True
            )
        )
        total = expr.rescale(expr.add(x, y, sign), *scale_out)
        return expr.clamp(expr.add(total, number(zero)), low, high)

    model.elementwise(op, op.inputs, build)


def _plain_sum(model: Model, op: Operator) -> None:
    """Of integers without a scale, such as the numbers of entries."""
    if op.options["fused_activation_function"] != "NONE":
        raise model.unsupported("int32 has no fused activation")
    sign = 1 if op.name == "ADD" else -1

    def build(values: Sequence[Expr]) -> Expr:
        total = expr.plain(expr.add(values[0], values[1], sign))
        low, high = LIMITS["int32"]
        if low <= total.low and total.high <= high:
            return total
        a, b = (expr.bare(expr.plain(v).code) for v in values)
        wrapped = f"(int32_t)((uint32_t)({a}) {'+' if sign > 0 else '-'} (uint32_t)({b}))"
        return Expr(f"({wrapped})", low, high)

    model.elementwise(op, op.inputs, build)


@lowers("MUL")
def product(model: Model, op: Operator) -> None:
    """The product of the differences from the zero points, rescaled."""
    a, b = model.inputs(op, 2)
    out = model.output(op)
    model.same_type(a, b, out, among=("int8", "int16"))
    (scale_a, zero_a), (scale_b, zero_b) = model.quantization(a), model.quantization(b)
    scale, zero = model.quantization(out)
    scaling = quantize_multiplier(scale_a * scale_b / scale)
    low, high = model.activation_range(out, str(op.options["fused_activation_function"]))

    def build(values: Sequence[Expr]) -> Expr:
        x, y = expr.add(values[0], number(-zero_a)), expr.add(values[1], number(-zero_b))
        total = expr.rescale(expr.multiply(x, y), *scaling)
        return expr.clamp(expr.add(total, number(zero)), low, high)

    model.elementwise(op, op.inputs, build)


@lowers("SQUARED_DIFFERENCE")
def squared_difference(model: Model, op: Operator) -> None:
    """As SUB without activation, but the difference is squared before the last rescaling."""
    a, b = model.inputs(op, 2)
    out = model.output(op)
    dtype = model.same_type(a, b, out, among=("int8", "int16"))
    (scale_a, zero_a), (scale_b, zero_b) = model.quantization(a), model.quantization(b)
    scale, zero = model.quantization(out)
    shift = 0 if dtype == "int16" else 7
    twice = 2.0 * max(scale_a, scale_b)
    scalings = [_smaller_than_one(model, s / twice) for s in (scale_a, scale_b)]
    f = np.float32
    scale_out = quantize_multiplier(twice * twice / float(f(1 << (2 * shift)) * f(scale)))
    low, high = model.activation_range(out, "NONE")

    def build(values: Sequence[Expr]) -> Expr:
        x, y = (
            expr.rescale(expr.shift_left(expr.add(v, number(-z)), shift), *scaling)
            for v, z, scaling in zip(values, (zero_a, zero_b), scalings, strict=True)
        )
        difference = expr.add(x, y, -1)
        total = expr.rescale(expr.multiply(difference, difference), *scale_out)
        return expr.clamp(expr.add(total, number(zero)), low, high)

    model.elementwise(op, op.inputs, build)


@lowers("MAXIMUM", "MINIMUM")
def extremes(model: Model, op: Operator) -> None:
    """The larger or smaller of two; the reference compares raw integers."""
    a, b = model.inputs(op, 2)
    out = model.output(op)
    model.same_type(a, b, out, among=("int8", "int16", "int32"))
    names, pick = (
        (("edgernn_max", "edgernn_at_least"), max)
        if op.name == "MAXIMUM"
        else (("edgernn_min", "edgernn_at_most"), min)
    )

    def build(values: Sequence[Expr]) -> Expr:
        x, y = (expr.plain(v) for v in values)
        if x.constant is not None:
            x, y = y, x
        function = names[y.constant is not None]
        return Expr(f"{function}({x.code}, {y.code})", pick(x.low, y.low), pick(x.high, y.high))

    model.elementwise(op, op.inputs, build)
