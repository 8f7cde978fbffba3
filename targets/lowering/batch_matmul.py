"""BATCH_MATMUL: products of matrices that are both computed."""

from __future__ import annotations

import math

from edgernn.tflite import Operator
from targets.fixedpoint import quantize_multiplier, reduced_multiplier
from targets.ir import Kernel, Reference
from targets.lowering.base import Model, lowers, short_name

_DEEPEST = 1 << 15
"""Products of 8 bits that a 32-bit sum surely holds."""


@lowers("BATCH_MATMUL")
def batch_matmul(model: Model, op: Operator) -> None:
    """int8 sums have 32 bits, int16 sums 64, with the reference's roundings."""
    a, b = model.inputs(op, 2)
    out = model.output(op)
    dtype = model.same_type(a, b, out, among=("int8", "int16"))
    (scale_a, zero_a), (scale_b, zero_b) = model.quantization(a), model.quantization(b)
    scale, zero = model.quantization(out)
    if dtype == "int16" and (zero_a or zero_b or zero):
        raise model.unsupported("int16 needs zero points of 0")
    multiplier, shift = quantize_multiplier(scale_a * scale_b / scale)
    if not -31 <= shift <= (30 if dtype == "int8" else 7):
        raise model.unsupported("its scales are out of range")
    if dtype == "int16":
        multiplier = reduced_multiplier(multiplier)
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_scale")
    parameters = f"{zero_a}, {zero_b}, {zero}, {multiplier}, {shift}"
    model.records.append(("edgernn_batch_matmul_scale_t", name, parameters))
    _append(model, op, f"edgernn_batch_matmul_s{dtype[3:]}", f"&{name}, ")


@lowers("BATCH_MATMUL", floats=True)
def batch_matmul_f32(model: Model, op: Operator) -> None:
    """Plain sums."""
    model.same_type(*model.inputs(op, 2), model.output(op), among=("float32",))
    _append(model, op, "edgernn_batch_matmul_f32", "")


def _append(model: Model, op: Operator, function: str, scale: str) -> None:
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_matmul")
    model.records.append(("edgernn_batch_matmul_t", name, _shape(model, op)))

    def call(node: Kernel, reference: Reference) -> list[str]:
        a, b = (reference(view) for view in node.inputs)
        return [f"{function}(&{name}, {scale}{a}, {b}, {reference(node.outputs[0])});"]

    views = [model.view(index) for index in op.inputs]
    y = model.define(op.outputs[0])
    files = (f"{function}.c", "edgernn_batch_matmul.h")
    model.add(Kernel(op.name, model.layer(op), views, [y], files=files, call=call))


def _shape(model: Model, op: Operator) -> str:
    """The initialiser of an `edgernn_batch_matmul_t`."""
    a, b = (model.tensor(index).shape for index in op.inputs)
    out = model.output(op).shape
    if min(len(a), len(b)) < 2:
        raise model.unsupported(f"from shapes {a} and {b}")
    turned = [bool(op.options["adj_x"]), bool(op.options["adj_y"])]
    rows, depth = a[-2:][::-1] if turned[0] else a[-2:]
    deep, columns = b[-2:][::-1] if turned[1] else b[-2:]
    counts = [math.prod(shape[:-2]) for shape in (a, b)]
    batches = max(counts)
    if depth != deep or depth > _DEEPEST or math.prod(out) != batches * rows * columns:
        raise model.unsupported(f"from shapes {a} and {b} to {out}")
    if any(n not in (1, batches) for n in counts) or (
        min(counts) == batches and a[:-2] != b[:-2] and batches > 1
    ):
        raise model.unsupported(f"its batches {a[:-2]} and {b[:-2]} are neither equal nor one")
    a_batch, b_batch = (rows * depth if counts[0] > 1 else 0, depth * columns * (counts[1] > 1))
    a_row, a_step = (1, rows) if turned[0] else (depth, 1)
    b_column, b_step = (depth, 1) if turned[1] else (1, columns)
    numbers = (batches, rows, columns, depth, a_batch, a_row, a_step, b_batch, b_column, b_step)
    return ", ".join(map(str, numbers))
