"""CONV_2D, DEPTHWISE_CONV_2D and pooling, int8 and int16.

A convolution takes the kernels of FULLY_CONNECTED: one product where its window covers its whole
input, as in a step over buffered frames, else one at each position of the window. What those
kernels cannot say (groups, batches, scales out of their range) takes a slower kernel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgernn.tflite import Operator
from targets import expr
from targets.expr import Expr
from targets.fixedpoint import quantize_multiplier, reduced_multiplier
from targets.ir import Elementwise, Kernel, Reference, View
from targets.lowering.base import LIMITS, Model, lowers, short_name
from targets.lowering.fully_connected import Dense, bias_values, has_fast_kernel, matrix_product
from targets.lowering.sliding import sliding_product
from targets.lowering.window import Window, window_of

Integers = npt.NDArray[np.int64]


@lowers("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(model: Model, op: Operator) -> None:
    """Both kinds: a depthwise one has a group for each channel."""
    if len(op.inputs) not in (2, 3) or min(op.inputs[:2]) < 0:
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x, w, out = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    if w.data is None or w.dtype != "int8" or len(w.shape) != 4 or 0 in w.shape:
        raise model.unsupported("its weights are not a constant int8 array of rank 4")
    window = window_of(model, op, x, out, (w.shape[1], w.shape[2]))
    weights, rows, axis = w.data.astype(np.int64), w.shape[0], 0
    if op.name == "DEPTHWISE_CONV_2D":
        if w.shape[0] != 1:
            raise model.unsupported(f"its weights have the shape {w.shape}")
        weights, rows, axis = weights.transpose(3, 1, 2, 0), w.shape[3], 3
    group_depth = weights.shape[3]
    groups = x.shape[3] // group_depth
    if x.shape[3] != groups * group_depth or rows % groups or out.shape[3] != rows:
        raise model.unsupported(f"weights {w.shape} fit neither {x.shape} nor {out.shape}")
    if any(w.zero_point):
        raise model.unsupported("its weights have a zero point")
    if len(w.scale) not in (1, rows) or (len(w.scale) > 1 and w.axis != axis):
        raise model.unsupported(f"its weights have {len(w.scale)} scales along axis {w.axis}")
    bias, narrow, _ = bias_values(model, op, dtype, rows)
    if op.name == "DEPTHWISE_CONV_2D" and dtype == "int16":
        if len(op.inputs) == 3 and op.inputs[2] >= 0 and narrow:
            raise model.unsupported("its bias is not int64")
        narrow = False
    (scale_x, zero_x), (scale, zero) = model.quantization(x), model.quantization(out)
    scalings = [quantize_multiplier(scale_x * s / scale) for s in w.scale]
    if any(not -31 <= s <= (30 if narrow else 7) for _, s in scalings):
        raise model.unsupported("its scales are out of range")
    low, high = model.activation_range(out, str(op.options["fused_activation_function"]))
    matrix = weights.reshape(rows, -1)
    dense = Dense(
        model.view(x.index), model.define(out.index), matrix, bias, scalings,
        zero_x, 0, zero, low, high, narrow, x.shape[0],
    )  # fmt: skip
    if dtype == "int16" and (zero_x or zero):
        raise model.unsupported("int16 needs zero points of 0")
    largest = -LIMITS[dtype][0] + abs(zero_x)
    if narrow and (np.abs(matrix).sum(1) * largest + np.abs(bias)).max() >= 1 << 31:
        raise model.unsupported("its sums may overflow 32 bits")
    if groups == 1 and window.covers_all and max(matrix.shape) <= 32767:
        matrix_product(model, op, dense)
    elif groups == 1 and max(matrix.shape) <= 32767 and has_fast_kernel(dense):
        sliding_product(model, op, dense, window)
    elif groups == x.shape[3] and window.covers_all and _fits_depthwise(dense):
        _depthwise(model, op, dense, groups)
    else:
        _windowed(model, op, dense, window, groups, group_depth)


def _windowed(
    model: Model, op: Operator, dense: Dense, window: Window, groups: int, depth: int
) -> None:
    rows = len(dense.weights)
    factors, names = _constants(model, op, dense, dense.bias)
    parameters = (
        f"{window.parameters(dense.batches, dense.x.shape[3])}, {', '.join(names)}, {rows}, "
        f"{rows // groups}, {depth}, {int(len(factors) > 1)}, {dense.input_zero}, "
        f"{dense.output_zero}, {dense.low}, {dense.high}, {int(dense.narrow)}"
    )
    function = f"edgernn_conv_s{dense.x.dtype[3:]}"
    _append(model, op, function, "edgernn_conv_t", parameters, dense.x, dense.y)


def _constants(
    model: Model, op: Operator, dense: Dense, bias: Integers
) -> tuple[list[int], list[str]]:
    """The multipliers, and the names of weights, bias, multipliers and shifts."""
    stem, label = short_name(model.layer(op)), f"{model.layer(op)} {list(dense.weights.shape)}"
    factors = [m if dense.narrow else reduced_multiplier(m) for m, _ in dense.scalings]
    names = [
        model.constant(np.array(values, kind), f"{stem}_{part}", label).name
        for values, kind, part in (
            (dense.weights, np.int8, "weights"),
            (bias, np.int64, "bias"),
            (factors, np.int32, "multiplier"),
            ([s for _, s in dense.scalings], np.int8, "shift"),
        )
    ]
    return factors, names


_MOST_POINTS = 511
"""Sums of so many products of 16 and 8 bits fit into 32 bits."""


def _fits_depthwise(dense: Dense) -> bool:
    """Whether the kernel for a window over everything is exact: int8 rescales as `narrow` does."""
    narrow = dense.x.dtype == "int8"
    return dense.narrow == narrow and dense.batches == 1 and dense.weights.shape[1] <= _MOST_POINTS


def _depthwise(model: Model, op: Operator, dense: Dense, channels: int) -> None:
    rows, size = dense.weights.shape
    factors, names = _constants(model, op, dense, dense.folded_bias)
    parameters = (
        f"{', '.join(names)}, {size}, {channels}, {rows // channels}, "
        f"{int(len(factors) > 1)}, {dense.output_zero}, {dense.low}, {dense.high}"
    )
    function = f"edgernn_depthwise_s{dense.x.dtype[3:]}"
    _append(model, op, function, "edgernn_depthwise_t", parameters, dense.x, dense.y)


def _append(
    model: Model, op: Operator, function: str, kind: str, parameters: str, x: View, y: View
) -> None:
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_window")
    model.records.append((kind, name, parameters))

    def call(node: Kernel, reference: Reference) -> list[str]:
        return [f"{function}(&{name}, {reference(node.inputs[0])}, {reference(node.outputs[0])});"]

    files = (f"{function}.c", "edgernn_conv.h")
    model.add(Kernel(op.name, model.layer(op), [x], [y], files=files, call=call))


_MOST_VIEWS = 8
"""A loop over the results names so many points of a window at most."""


def _largest(model: Model, op: Operator, window: Window, low: int, high: int) -> None:
    """The maximum over a few points at each position: a loop over positions and channels."""
    view, out = model.view(op.inputs[0]), model.define(op.outputs[0])
    depth = out.shape[3]
    steps = (window.image[1] * depth, depth)
    sides = [
        (n, stride * step)
        for n, stride, step in zip(window.out, window.stride, steps, strict=True)
        if n > 1
    ]
    dims = (*(n for n, _ in sides), depth)
    strides = (*(step for _, step in sides), 1)
    reach = sum((n - 1) * step for n, step in zip(dims, strides, strict=True)) + 1
    offsets = [i * steps[0] + j * steps[1] for i, j in np.ndindex(*window.size)]

    def build(values: Sequence[Expr]) -> Expr:
        largest = expr.plain(values[0])
        for value in map(expr.plain, values[1:]):
            code = f"edgernn_max({largest.code}, {value.code})"
            largest = Expr(code, max(largest.low, value.low), max(largest.high, value.high))
        return expr.clamp(largest, low, high)

    node = Elementwise(
        op.name,
        model.layer(op),
        [View(view.buffer, (reach,), view.offset + offset) for offset in offsets],
        [out],
        dims=dims,
        strides=[strides for _ in offsets],
        build=build,
    )
    model.add(node)


@lowers("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool(model: Model, op: Operator) -> None:
    """The reference does not rescale, so both scales must agree."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    if (x.scale, x.zero_point) != (out.scale, out.zero_point):
        raise model.unsupported("its output has another scale than its input")
    size = int(op.options["filter_height"]), int(op.options["filter_width"])
    window = window_of(model, op, x, out, size)
    if x.shape[3] != out.shape[3] or size[0] * size[1] > 1 << 15:
        raise model.unsupported(f"from shape {x.shape} to {out.shape} with window {size}")
    low, high = model.activation_range(out, str(op.options["fused_activation_function"]))
    low, high = max(low, LIMITS[dtype][0]), min(high, LIMITS[dtype][1])
    points = size[0] * size[1]
    simple = window.stays_inside and x.shape[0] == 1 and points <= _MOST_VIEWS
    if op.name == "MAX_POOL_2D" and simple:
        _largest(model, op, window, low, high)
        return
    parameters = f"{window.parameters(x.shape[0], x.shape[3])}, {low}, {high}"
    function = f"edgernn_{op.name.removesuffix('_2D').lower()}_s{dtype[3:]}"
    y = model.define(out.index)
    _append(model, op, function, "edgernn_pool_t", parameters, model.view(op.inputs[0]), y)
