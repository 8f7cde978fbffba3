"""CONV_2D, DEPTHWISE_CONV_2D and pooling in float32."""

from __future__ import annotations

import numpy as np

from edgernn.tflite import Operator
from targets.ir import Array, Kernel, Reference
from targets.lowering.base import Model, float_literal, lowers, short_name
from targets.lowering.floats import float_limits
from targets.lowering.window import window_of


@lowers("CONV_2D", "DEPTHWISE_CONV_2D", floats=True)
def convolution(model: Model, op: Operator) -> None:
    """Both kinds: a depthwise one has a group for each channel."""
    if len(op.inputs) not in (2, 3) or min(op.inputs[:2]) < 0:
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x, w, out = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output(op)
    model.same_type(x, w, out, among=("float32",))
    if w.data is None or len(w.shape) != 4 or 0 in w.shape:
        raise model.unsupported("its weights are not a constant array of rank 4")
    window = window_of(model, op, x, out, (w.shape[1], w.shape[2]))
    weights = w.data
    if op.name == "DEPTHWISE_CONV_2D":
        if w.shape[0] != 1:
            raise model.unsupported(f"its weights have the shape {w.shape}")
        weights = weights.transpose(3, 1, 2, 0)
    rows, depth = weights.shape[0], weights.shape[3]
    groups = x.shape[3] // depth
    if x.shape[3] != groups * depth or groups < 1 or rows % groups or out.shape[3] != rows:
        raise model.unsupported(f"weights {w.shape} fit neither {x.shape} nor {out.shape}")
    bias: Array = np.zeros(rows, np.float32)
    if len(op.inputs) == 3 and op.inputs[2] >= 0:
        tensor = model.tensor(op.inputs[2])
        if tensor.data is None or tensor.dtype != "float32" or tensor.elements != rows:
            raise model.unsupported(f"its bias is not a constant of {rows} numbers")
        bias = tensor.data.reshape(-1)
    stem, label = short_name(model.layer(op)), f"{model.layer(op)} {list(weights.shape)}"
    names = [
        model.constant(values, f"{stem}_{part}", label).name
        for values, part in ((weights, "weights"), (bias, "bias"))
    ]
    low, high = float_limits(model, str(op.options["fused_activation_function"]))
    parameters = (
        f"{window.parameters(x.shape[0], x.shape[3])}, {', '.join(names)}, {rows}, "
        f"{rows // groups}, {depth}, {float_literal(low)}, {float_literal(high)}"
    )
    _append(model, op, "edgernn_conv_f32", parameters)


@lowers("AVERAGE_POOL_2D", "MAX_POOL_2D", floats=True)
def pool(model: Model, op: Operator) -> None:
    """The mean or the largest value of each channel."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    model.same_type(x, out, among=("float32",))
    size = int(op.options["filter_height"]), int(op.options["filter_width"])
    window = window_of(model, op, x, out, size)
    if x.shape[3] != out.shape[3]:
        raise model.unsupported(f"from shape {x.shape} to {out.shape} with window {size}")
    low, high = float_limits(model, str(op.options["fused_activation_function"]))
    parameters = (
        f"{window.parameters(x.shape[0], x.shape[3])}, {int(op.name == 'AVERAGE_POOL_2D')}, "
        f"{float_literal(low)}, {float_literal(high)}"
    )
    _append(model, op, "edgernn_pool_f32", parameters)


def _append(model: Model, op: Operator, function: str, parameters: str) -> None:
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_window")
    model.records.append((f"{function}_t", name, parameters))

    def call(node: Kernel, reference: Reference) -> list[str]:
        return [f"{function}(&{name}, {reference(node.inputs[0])}, {reference(node.outputs[0])});"]

    x, y = model.view(op.inputs[0]), model.define(op.outputs[0])
    files = (f"{function}.c", "edgernn_conv.h", "edgernn_float.h")
    model.add(Kernel(op.name, model.layer(op), [x], [y], files=files, call=call))
