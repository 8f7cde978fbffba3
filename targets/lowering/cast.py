"""CAST between integer types: the raw integers, whatever their scales."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.tflite import Operator
from targets import expr
from targets.expr import Expr
from targets.ir import C_TYPES
from targets.lowering.base import LIMITS, Model, lowers


@lowers("CAST")
def cast(model: Model, op: Operator) -> None:
    """The same integer; a narrower type keeps its lowest bits."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    if x.dtype not in LIMITS or out.dtype not in LIMITS:
        raise model.unsupported(f"from {x.dtype} to {out.dtype} is not supported")
    if x.elements != out.elements:
        raise model.unsupported(f"from shape {x.shape} to {out.shape}")
    low, high = LIMITS[out.dtype]

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.plain(inputs[0])
        if low <= value.low and value.high <= high:
            return value
        return Expr(f"({C_TYPES[out.dtype]})({expr.bare(value.code)})", low, high)

    model.elementwise(op, op.inputs, build)
