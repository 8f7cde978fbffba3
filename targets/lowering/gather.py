"""GATHER: rows of a table, as in an embedding, or single values, as in a lookup."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgernn.tflite import Operator
from targets import expr
from targets.expr import Expr
from targets.ir import Elementwise, Kernel, Reference
from targets.lowering.base import LIMITS, Model, lowers, short_name


@lowers("GATHER")
def gather(model: Model, op: Operator) -> None:
    """A table of single numbers is read where its values are used; rows are copied."""
    table, indices = model.inputs(op, 2)
    out = model.output(op)
    model.same_type(table, out, among=("int8", "int16", "int32", "float32"))
    if indices.dtype != "int32":
        raise model.unsupported(f"its indices are {indices.dtype}, not int32")
    rank, axis = len(table.shape), int(op.options["axis"])
    if not -rank <= axis < rank or op.options["batch_dims"] != 0:
        raise model.unsupported(f"axis {axis} or batches of a table of shape {table.shape}")
    axis %= rank
    before, after = table.shape[:axis], table.shape[axis + 1 :]
    if out.elements != math.prod(before) * indices.elements * math.prod(after):
        raise model.unsupported(f"its output has shape {out.shape}")
    if table.data is not None and math.prod(before) == math.prod(after) == 1:
        _lookup(model, op, table.shape[axis])
        return
    size = np.dtype(table.dtype).itemsize * math.prod(after)
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_gather")
    parameters = f"{math.prod(before)}, {table.shape[axis]}, {size}, {indices.elements}"
    model.records.append(("edgernn_gather_t", name, parameters))

    def call(node: Kernel, reference: Reference) -> list[str]:
        x, numbers, y = (reference(v) for v in (*node.inputs, *node.outputs))
        return [f"edgernn_gather(&{name}, {numbers}, {x}, {y});"]

    views = [model.view(i) for i in op.inputs]
    result = model.define(op.outputs[0])
    files = ("edgernn_gather.c", "edgernn_gather.h")
    model.add(Kernel(op.name, model.layer(op), views, [result], files=files, call=call))


def _lookup(model: Model, op: Operator, length: int) -> None:
    table, out = model.view(op.inputs[0]).buffer, model.define(op.outputs[0])
    assert table.data is not None
    low, high = LIMITS.get(table.dtype, (0, 1))
    if table.dtype in LIMITS:
        low, high = int(table.data.min()), int(table.data.max())

    def build(inputs: Sequence[Expr]) -> Expr:
        at = expr.clamp(inputs[0], 0, length - 1)
        return Expr(f"{table.name}[{expr.bare(expr.plain(at).code)}]", low, high)

    model.add(
        Elementwise(
            op.name,
            model.layer(op),
            [model.view(op.inputs[1])],
            [out],
            dims=(out.elements,),
            strides=[(1,)],
            build=build,
        )
    )
