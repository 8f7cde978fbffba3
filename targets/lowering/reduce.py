"""MEAN and SUM over neighbouring dimensions, and RSQRT."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgernn.tflite import Operator, Tensor
from targets import expr
from targets.expr import Expr, number
from targets.fixedpoint import quantize_multiplier
from targets.ir import Kernel, Reference
from targets.lowering.base import LIMITS, Model, lowers, short_name


def reduced_space(model: Model, x: Tensor, axes: Tensor, out: Tensor) -> tuple[int, int, int]:
    """The shape of `x` as three dimensions, of which the one in the middle is summed."""
    rank = len(x.shape)
    wanted = model.integers(axes)
    if any(not -rank <= a < rank for a in wanted):
        raise model.unsupported(f"its axes {wanted} are outside the shape {x.shape}")
    reduced = sorted({a % rank for a in wanted if x.shape[a] > 1})
    between = range(reduced[0], reduced[-1] + 1) if reduced else range(0)
    if any(x.shape[a] > 1 for a in between if a not in reduced):
        raise model.unsupported(f"its axes {wanted} of the shape {x.shape} are not neighbours")
    count = math.prod(x.shape[a] for a in between)
    outer = math.prod(x.shape[: between.start]) if reduced else x.elements
    inner = math.prod(x.shape[between.stop :]) if reduced else 1
    if out.elements != outer * inner or count > 1 << 15:
        raise model.unsupported(f"its output has shape {out.shape}")
    return outer, count, inner


@lowers("MEAN", "SUM")
def mean(model: Model, op: Operator) -> None:
    """The multiplier holds the number of elements too."""
    x, axes = model.inputs(op, 2)
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    outer, count, inner = reduced_space(model, x, axes, out)
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    multiplier, shift = quantize_multiplier(scale / scale_out)
    if op.name == "MEAN":
        bits = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << bits) // count, shift - bits
    if not -31 <= shift <= 30:
        raise model.unsupported("its scales are out of range")
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_mean")
    parameters = f"{outer}, {count}, {inner}, {-zero * count}, {multiplier}, {shift}, {zero_out}"
    model.records.append(("edgernn_mean_t", name, parameters))
    function = f"edgernn_mean_s{dtype[3:]}"

    def call(node: Kernel, reference: Reference) -> list[str]:
        return [f"{function}(&{name}, {reference(node.inputs[0])}, {reference(node.outputs[0])});"]

    view, result = model.view(op.inputs[0]), model.define(op.outputs[0])
    model.add(
        Kernel(op.name, model.layer(op), [view], [result], files=(f"{function}.c",), call=call)
    )


@lowers("RSQRT")
def rsqrt(model: Model, op: Operator) -> None:
    """The reciprocal square root of what lies above the zero point, by Newton's method."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    multiplier, shift = quantize_multiplier(1.0 / (math.sqrt(scale) * scale_out))
    low, high = LIMITS[dtype]

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.bare(expr.plain(expr.add(inputs[0], number(-zero))).code)
        code = f"edgernn_rsqrt({value}, {multiplier}, {shift}, {zero_out}, {low}, {high})"
        return Expr(code, low, high)

    model.elementwise(op, op.inputs, build, files=("edgernn_fixedpoint.h",))
