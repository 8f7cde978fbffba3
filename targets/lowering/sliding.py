"""A convolution as a loop over the positions of its window: a patch, times all filters."""

from __future__ import annotations

from dataclasses import replace

from edgernn.tflite import Operator
from targets.ir import TURN, Buffer, Kernel, Reference, View
from targets.lowering.base import LIMITS, Model, short_name
from targets.lowering.fully_connected import Dense, before_activation, matrix_product
from targets.lowering.repeat import repeated
from targets.lowering.window import Window


def sliding_product(model: Model, op: Operator, dense: Dense, window: Window) -> None:
    """Append a matrix product at each position; the patch's memory is free again after the loop."""
    (rows, columns), depth = dense.weights.shape, dense.x.shape[3]
    count = window.out[0] * window.out[1]
    y, activation = before_activation(model, op, dense)
    place = Buffer(model.unique("place"), y.dtype, rows, "cursor")
    low, high = LIMITS[y.dtype]
    one = replace(dense, y=View(place, (rows,)), low=low, high=high)
    cursors, note = [(place, y)], f"{count} positions, W {list(dense.weights.shape)}"
    if window.takes_whole_rows:
        ahead = window.stride[0] * window.image[1] * depth
        start = Buffer(model.unique("rows"), dense.x.dtype, ahead, "cursor")
        with repeated(model, op, count, [dense.x], [y], [*cursors, (start, dense.x)], note):
            matrix_product(model, op, replace(one, x=View(start, (columns,))))
    else:
        patch = View(model.scratch(dense.x.dtype, columns, "patch"), (columns,))
        with repeated(model, op, count, [dense.x], [y], cursors, note):
            matrix_product(model, op, replace(one, x=patch))
            # DSP kernels read a copy that is doubled in 16 bits: the patch is gathered as such.
            wide = next(iter(model.widened.values()), None)
            nodes = [node for node in model.nodes if wide not in node.outputs]
            model.nodes = [_gather(model, op, dense, window, wide or patch), *nodes]
    if activation is not None:
        model.add(activation)


def _gather(model: Model, op: Operator, dense: Dense, window: Window, patch: View) -> Kernel:
    """What the window covers, row after row; the input's zero point outside of the image."""
    widened = patch.dtype != dense.x.dtype
    function = "edgernn_patch_s8_dsp" if widened else "edgernn_patch"
    size = 1 if dense.x.dtype == "int8" else 2
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_patch")
    parameters = f"{window.parameters(1, dense.x.shape[3] * size)}, {dense.input_zero}"
    model.records.append(("edgernn_patch_t", name, parameters))

    def call(node: Kernel, reference: Reference) -> list[str]:
        x, y = reference(node.inputs[0]), reference(node.outputs[0])
        return [f"{function}(&{name}, {TURN}, {x}, {y});"]

    files = (f"{function}.c", "edgernn_patch.h", "edgernn_conv.h", "edgernn_math.h")
    return Kernel(op.name, model.layer(op), [dense.x], [patch], files=files, call=call)
