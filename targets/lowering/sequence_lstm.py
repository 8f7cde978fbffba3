"""UNIDIRECTIONAL_SEQUENCE_LSTM: what stock converters make of a whole LSTM layer.

In integers the gates are sums of two products in units of 1/4096, and the cell state has 16 bits
and a power of two as its scale; all of it in the order and with the roundings of TFLM's reference
kernel (tensorflow/lite/micro/kernels/lstm_eval*). The frames of a window are turns of one loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgernn.tflite import Operator, Tensor
from targets import expr
from targets.expr import Expr, number
from targets.fixedpoint import quantize_multiplier
from targets.ir import Array, Buffer, Build, Elementwise, View
from targets.lowering.activation import interpolated
from targets.lowering.base import LIMITS, Model, float_literal, lowers, real
from targets.lowering.floats import dense_f32
from targets.lowering.fully_connected import Dense, matrix_product
from targets.lowering.repeat import repeated
from targets.lowering.wide_product import wide_product

_INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES, _HIDDEN, _CELL = 1, 5, 12, 18, 19
"""The operator's inputs, the first of four gates (tensorflow/lite/kernels/lstm_shared.h)."""

_REFUSED = {
    "a coupled input and forget gate": (1, 5, 12),
    "peepholes": (9, 10, 11),
    "a projection": (16, 17),
    "layer normalization": (20, 21, 22, 23),
}
"""What makes it another cell, by the inputs that say so."""

_TYPES = {
    ("int8", "int8", "int16", "int8"),
    ("int16", "int16", "int16", "int16"),
    ("float32", "float32", "float32", "float32"),
}
"""Frames, hidden state, cell state and rows."""

_BIAS_TYPES = {"int8": ("int32",), "int16": ("int64", "int32"), "float32": ("float32",)}
"""By the type of the frames; TFLM itself reads 64 bits beside int16, whatever the file holds."""

_GATES = (("input_gate", "sigmoid"), ("forget_gate", "sigmoid"), ("candidate", "tanh"),
          ("output_gate", "sigmoid"))  # fmt: skip
"""In the order of the operator's inputs."""

_GROUP = 4
"""Rows of a gate are padded to a multiple of this."""

_TABLE = ("edgernn_activation.h", "edgernn_sigmoid_table.c")
_FLOAT = ("edgernn_float.h",)


@lowers("UNIDIRECTIONAL_SEQUENCE_LSTM")
def sequence_lstm(model: Model, op: Operator) -> None:
    """Two products a frame, which hold all gates, then the cell and the hidden state."""
    x, h, c = _check(model, op)
    if x.dtype == "int16" and any(model.quantization(t)[1] for t in (x, h)):
        raise model.unsupported("int16 needs zero points of 0")
    scale, zero = model.quantization(c)
    if zero or abs(math.log2(scale) - round(math.log2(scale))) > 1e-3:
        raise model.unsupported("the scale of its cell state is no power of two")
    update, output = _new_cell(model, op, c), _new_hidden(model, c, h)

    def step(frame: View, hidden: View, cell: View, new: View, row: View) -> None:
        sums = (
            _gates(model, op, _INPUT_WEIGHTS, x, frame),
            _gates(model, op, _RECURRENT_WEIGHTS, h, hidden),
        )
        i, f, g, o = (_activated(model, op, [gates[k] for gates in sums], k) for k in range(4))
        _elementwise(model, op, [i, f, g, cell], new, update)
        _elementwise(model, op, [new, o], row, output, _TABLE)

    _frames(model, op, step)


@lowers("UNIDIRECTIONAL_SEQUENCE_LSTM", floats=True)
def sequence_lstm_f32(model: Model, op: Operator) -> None:
    """The same on cores with an FPU, close to the reference."""
    _check(model, op)
    clip = float(op.options["cell_clip"])
    matrices = [_stacked_f32(model, op, n) for n in (_INPUT_WEIGHTS, _RECURRENT_WEIGHTS)]
    bias = np.concatenate([_bias(model, op, k) for k in range(4)])
    rows = len(bias)
    units = rows // 4

    def update(values: Sequence[Expr]) -> Expr:
        i, f, g, old = (value.code for value in values)
        new = f"{f} * {old} + {i} * {g}"
        if not 0 < clip < math.inf:
            return real(f"({new})")
        return real(f"edgernn_clampf({new}, {float_literal(-clip)}, {float_literal(clip)})")

    def output(values: Sequence[Expr]) -> Expr:
        new, gate = (value.code for value in values)
        return real(f"({gate} * edgernn_tanh({new}))")

    def activated(sums: list[View], k: int) -> View:
        name, function = _GATES[k]
        views = [View(both.buffer, (1, units), k * units) for both in sums]
        gate = View(model.scratch("float32", units, name), (1, units))

        def build(values: Sequence[Expr]) -> Expr:
            return real(f"edgernn_{function}({values[0].code} + {values[1].code})")

        _elementwise(model, op, views, gate, build, _FLOAT)
        return gate

    def step(frame: View, hidden: View, cell: View, new: View, row: View) -> None:
        sums = [View(model.scratch("float32", rows, "gates"), (1, rows)) for _ in range(2)]
        dense_f32(model, op, matrices[0], bias, frame, sums[0])
        dense_f32(model, op, matrices[1], None, hidden, sums[1])
        i, f, g, o = (activated(sums, k) for k in range(4))
        _elementwise(model, op, [i, f, g, cell], new, update, _FLOAT)
        _elementwise(model, op, [new, o], row, output, _FLOAT)

    _frames(model, op, step)


def _check(model: Model, op: Operator) -> tuple[Tensor, Tensor, Tensor]:
    """The frames and both states of a plain LSTM."""
    if len(op.inputs) not in (20, 24):
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    for what, numbers in _REFUSED.items():
        given = [op.inputs[i] >= 0 for i in numbers if i < len(op.inputs)]
        if (any(given) and numbers[0] != 1) or (not all(given) and numbers[0] == 1):
            raise model.unsupported(f"{what} is not supported; convert with edgernn convert")
    x, h, c = (model.tensor(op.inputs[i]) for i in (0, _HIDDEN, _CELL))
    out = model.output(op)
    kinds = (x.dtype, h.dtype, c.dtype, out.dtype)
    if kinds not in _TYPES:
        raise model.unsupported(f"the types {', '.join(kinds)} are not supported together")
    if op.options["fused_activation_function"] != "TANH":
        raise model.unsupported(f"the activation {op.options['fused_activation_function']}")
    batch = 1 if op.options["time_major"] else 0
    if len(x.shape) != 3 or x.shape[batch] != 1 or out.shape != (*x.shape[:2], h.elements):
        raise model.unsupported(f"from shape {x.shape} to {out.shape}")
    same = x.dtype == "float32" or model.quantization(h) == model.quantization(out)
    if c.elements != h.elements or not same:
        raise model.unsupported("its states do not fit its output")
    if h.index == c.index:
        raise model.unsupported("its two states are one")
    states = [model.views.get(t.index) for t in (h, c)]
    if any(view is None or view.buffer.kind != "state" for view in states):
        raise model.unsupported("its states are no states of the model")
    return x, h, c


Step = Callable[[View, View, View, View, View], None]
"""Lowers a frame: the frame, the hidden and the cell state; the new cell state, and the row."""


def _frames(model: Model, op: Operator, step: Step) -> None:
    """One frame, or a loop over those of a window, which updates the states in place."""
    x, h, c = (model.tensor(op.inputs[i]) for i in (0, _HIDDEN, _CELL))
    count, features, units = x.elements // x.shape[2], x.shape[2], h.elements
    source, hidden, cell = (model.view(t.index) for t in (x, h, c))
    if source.buffer in (hidden.buffer, cell.buffer):
        raise model.unsupported("it reads its state as its frames")
    rows = model.define(op.outputs[0])
    if count == 1:
        new = View(model.scratch(c.dtype, units, "c_next"), cell.shape)
        row = View(rows.buffer, hidden.shape)
        step(source, hidden, cell, new, row)
        model.views[h.index], model.views[c.index] = row, new
        return
    frame = Buffer(model.unique("frame"), x.dtype, features, "cursor")
    place = Buffer(model.unique("row"), h.dtype, units, "cursor")
    with repeated(
        model, op, count, [source, hidden, cell], [rows, hidden, cell],
        [(frame, source), (place, rows)], f"{count} frames",
    ):  # fmt: skip
        step(View(frame, (1, features)), hidden, cell, cell, hidden)
        _elementwise(model, op, [hidden], View(place, hidden.shape), lambda values: values[0])


def _gates(model: Model, op: Operator, first: int, x: Tensor, view: View) -> list[View]:
    """The products of four matrices, from input `first` on, with x: one view for each gate."""
    units = model.tensor(op.inputs[_HIDDEN]).elements
    padded = -(-units // _GROUP) * _GROUP
    weights = np.zeros((4, padded, x.shape[-1]), np.int64)
    bias = np.zeros((4, padded), np.int64)
    scalings = []
    scale, zero = model.quantization(x)
    for k in range(4):
        w = model.tensor(op.inputs[first + k])
        if w.data is None or w.dtype != "int8" or w.shape != (units, x.shape[-1]):
            raise model.unsupported(f"'{w.name}' is not a constant int8 matrix for {x.shape}")
        scale_w, zero_w = model.quantization(w)
        if zero_w:
            raise model.unsupported(f"'{w.name}' has a zero point")
        weights[k, :units] = w.data
        if first == _INPUT_WEIGHTS:
            bias[k, :units] = _bias(model, op, k)
        scalings += [quantize_multiplier(scale * scale_w / 2.0**-12)] * padded
    sums = View(model.scratch("int16", 4 * padded, "gates"), (1, 4 * padded))
    sums.buffer.comment = f"input gate, forget gate, candidate, output gate: W {view.buffer.name}"
    dense = Dense(
        view, sums, weights.reshape(4 * padded, -1), bias.reshape(-1), scalings,
        zero, 0, 0, *LIMITS["int16"], narrow=x.dtype == "int8", batches=1,
    )  # fmt: skip
    if x.dtype == "int8":
        wide_product(model, op, dense, padded)
    else:
        matrix_product(model, op, dense)
    return [View(sums.buffer, (1, units), k * padded) for k in range(4)]


def _bias(model: Model, op: Operator, k: int) -> Array:
    """The bias of a gate."""
    bias, units = model.tensor(op.inputs[_BIASES + k]), model.tensor(op.inputs[_HIDDEN]).elements
    kinds = _BIAS_TYPES[model.tensor(op.inputs[0]).dtype]
    if bias.data is None or bias.dtype not in kinds or bias.elements != units:
        raise model.unsupported(f"its bias is not a constant of {units} {kinds[0]}")
    return bias.data.reshape(-1)


def _stacked_f32(model: Model, op: Operator, first: int) -> Array:
    """Four matrices as one."""
    matrices = [model.tensor(op.inputs[first + k]) for k in range(4)]
    columns = model.tensor(op.inputs[0 if first == _INPUT_WEIGHTS else _HIDDEN]).shape[-1]
    units = model.tensor(op.inputs[_HIDDEN]).elements
    for w in matrices:
        if w.data is None or w.dtype != "float32" or w.shape != (units, columns):
            raise model.unsupported(
                f"'{w.name}' is not a constant float32 matrix of {columns} columns; convert with a "
                "representative dataset, or without optimization"
            )
    return np.concatenate([w.data for w in matrices])


def _activated(model: Model, op: Operator, sums: Sequence[View], k: int) -> View:
    """A gate in units of 1/32768."""
    name, function = _GATES[k]
    gate = View(model.scratch("int16", sums[0].elements, name), sums[0].shape)

    def build(values: Sequence[Expr]) -> Expr:
        return interpolated(function, _sum(*values), 3, 0)

    _elementwise(model, op, list(sums), gate, build, _TABLE)
    return gate


def _new_cell(model: Model, op: Operator, c: Tensor) -> Build:
    """`c' = clip(f c + i g)`."""
    scale = model.quantization(c)[0]
    clip = float(op.options["cell_clip"])
    limit = int(min(clip / scale, 32767.0)) if clip > 0 else None
    kept, added = quantize_multiplier(2.0**-15), quantize_multiplier(2.0**-30 / scale)

    def build(values: Sequence[Expr]) -> Expr:
        i, f, g, old = values
        terms = [
            _saturated(expr.rescale(expr.multiply(a, b), *scaling))
            for a, b, scaling in ((f, old, kept), (i, g, added))
        ]
        total = _sum(*terms)
        return total if limit is None else expr.clamp(total, -limit, limit)

    return build


def _new_hidden(model: Model, c: Tensor, h: Tensor) -> Build:
    """`h' = o tanh(c')`."""
    scale, zero = model.quantization(h)
    scaling = quantize_multiplier(2.0**-30 / scale)
    # The table is in units of 1/12288; three times the cell state is, but for a power of two.
    shift = round(math.log2(model.quantization(c)[0])) + 12
    multiplier, bits = (3 << shift, 0) if shift >= 0 else (3, -shift)
    if multiplier > 32767:
        raise model.unsupported("the scale of its cell state is too large")

    def build(values: Sequence[Expr]) -> Expr:
        new, gate = values
        value = expr.multiply(interpolated("tanh", new, multiplier, bits), gate)
        return expr.clamp(expr.add(expr.rescale(value, *scaling), number(zero)), *LIMITS[h.dtype])

    return build


def _sum(a: Expr, b: Expr) -> Expr:
    return _saturated(expr.add(a, b))


def _saturated(x: Expr) -> Expr:
    return expr.clamp(x, *LIMITS["int16"])


def _elementwise(
    model: Model,
    op: Operator,
    inputs: list[View],
    output: View,
    build: Build,
    files: Sequence[str] = (),
) -> None:
    node = Elementwise(
        op.name,
        model.layer(op),
        inputs,
        [output],
        dims=(output.elements,),
        strides=[(1,)] * len(inputs),
        build=build,
        files=files,
    )
    model.add(node)
