"""float32: conversion to and from integers, and the versions of operators for cores with an FPU.

Conversions are those of the reference to the bit. Everything else is close to it: sums are taken
in another order and exponentials by another polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgernn.tflite import Operator
from targets.expr import Expr, bare
from targets.ir import Array, Kernel, Reference, View
from targets.lowering.base import LIMITS, Model, float_literal, lowers, real, short_name
from targets.lowering.reduce import reduced_space

_HEADER: Final = ("edgernn_float.h",)
_LARGEST: Final = 3.4028234663852886e38


@lowers("QUANTIZE", floats=True)
def quantize(model: Model, op: Operator) -> None:
    """From float32 to an integer type."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    if x.dtype != "float32" or out.dtype not in ("int8", "int16"):
        raise model.unsupported(f"from {x.dtype} to {out.dtype} is not supported")
    scale, zero = model.quantization(out)
    low, high = LIMITS[out.dtype]

    def build(inputs: Sequence[Expr]) -> Expr:
        arguments = f"{bare(inputs[0].code)}, {float_literal(scale)}, {zero}, {low}, {high}"
        return Expr(f"edgernn_quantize({arguments})", low, high)

    model.elementwise(op, op.inputs, build, files=_HEADER)


@lowers("DEQUANTIZE", floats=True)
def dequantize(model: Model, op: Operator) -> None:
    """From an integer type to float32; the product is rounded once."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    if x.dtype not in ("int8", "int16") or out.dtype != "float32":
        raise model.unsupported(f"from {x.dtype} to {out.dtype} is not supported")
    scale, zero = model.quantization(x)

    def build(inputs: Sequence[Expr]) -> Expr:
        value = f"({inputs[0].code} - {zero})" if zero > 0 else f"({inputs[0].code} + {-zero})"
        code = value if zero else inputs[0].code
        return real(f"((float){code} * {float_literal(scale)})")

    model.elementwise(op, op.inputs, build, files=_HEADER)


def _limited(model: Model, code: str, activation: str) -> str:
    """A value behind a fused activation."""
    if activation == "NONE":
        return code
    if activation == "RELU":
        return f"edgernn_maxf({bare(code)}, 0.0f)"
    low, high = float_limits(model, activation)
    return f"edgernn_clampf({bare(code)}, {float_literal(low)}, {float_literal(high)})"


def float_limits(model: Model, activation: str) -> tuple[float, float]:
    """Between which values a fused activation leaves a result."""
    limits = {
        "NONE": (-_LARGEST, _LARGEST),
        "RELU": (0.0, _LARGEST),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }
    if activation not in limits:
        raise model.unsupported(f"the fused activation {activation} is not supported")
    return limits[activation]


Formula = Callable[..., str]

UNARY: Final[dict[str, Formula]] = {
    "ABS": lambda x: f"edgernn_absf({x})",
    "EXP": lambda x: f"edgernn_exp({x})",
    "LOG": lambda x: f"edgernn_log({x})",
    "LOGISTIC": lambda x: f"edgernn_sigmoid({x})",
    "NEG": lambda x: f"(-({x}))",
    "RELU": lambda x: f"edgernn_maxf({x}, 0.0f)",
    "RELU6": lambda x: f"edgernn_clampf({x}, 0.0f, 6.0f)",
    "RSQRT": lambda x: f"edgernn_rsqrtf({x})",
    "SQRT": lambda x: f"edgernn_sqrtf({x})",
    "TANH": lambda x: f"edgernn_tanh({x})",
}

BINARY: Final[dict[str, Formula]] = {
    "ADD": lambda x, y: f"({x} + {y})",
    "DIV": lambda x, y: f"({x} / {y})",
    "MAXIMUM": lambda x, y: f"edgernn_maxf({x}, {y})",
    "MINIMUM": lambda x, y: f"edgernn_minf({x}, {y})",
    "MUL": lambda x, y: f"({x} * {y})",
    "SQUARED_DIFFERENCE": lambda x, y: f"(({x} - {y}) * ({x} - {y}))",
    "SUB": lambda x, y: f"({x} - {y})",
}


@lowers(*UNARY, floats=True)
def unary(model: Model, op: Operator) -> None:
    """A function of each element."""
    (x,) = model.inputs(op, 1)
    model.same_type(x, model.output(op), among=("float32",))
    formula = UNARY[op.name]
    model.elementwise(op, op.inputs, lambda v: real(formula(bare(v[0].code))), files=_HEADER)


@lowers(*BINARY, floats=True)
def binary(model: Model, op: Operator) -> None:
    """A function of two elements, and a fused activation."""
    a, b = model.inputs(op, 2)
    model.same_type(a, b, model.output(op), among=("float32",))
    formula, activation = BINARY[op.name], str(op.options.get("fused_activation_function", "NONE"))
    float_limits(model, activation)

    def build(values: Sequence[Expr]) -> Expr:
        return real(_limited(model, formula(*(v.code for v in values)), activation))

    model.elementwise(op, op.inputs, build, files=_HEADER)


COMPARISONS: Final = {"GREATER": ">", "GREATER_EQUAL": ">=", "LESS": "<", "LESS_EQUAL": "<="}


@lowers(*COMPARISONS, floats=True)
def comparison(model: Model, op: Operator) -> None:
    """Which elements are larger or smaller."""
    a, b = model.inputs(op, 2)
    model.same_type(a, b, among=("float32",))
    sign = COMPARISONS[op.name]
    model.elementwise(
        op, op.inputs, lambda v: Expr(f"({v[0].code} {sign} {v[1].code})", 0, 1), files=_HEADER
    )


@lowers("SELECT", "SELECT_V2", floats=True)
def select(model: Model, op: Operator) -> None:
    """One of two values, by a condition."""
    condition, a, b = model.inputs(op, 3)
    model.same_type(a, b, model.output(op), among=("float32",))
    model.same_type(condition, among=("bool",))
    model.elementwise(
        op, op.inputs, lambda v: real(f"({v[0].code} ? {v[1].code} : {v[2].code})"), files=_HEADER
    )


@lowers("FULLY_CONNECTED", floats=True)
def fully_connected(model: Model, op: Operator) -> None:
    """W x + b, over the rows of a constant matrix."""
    if len(op.inputs) not in (2, 3) or min(op.inputs[:2]) < 0:
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x, w, out = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output(op)
    model.same_type(x, w, out, among=("float32",))
    if w.data is None or len(w.shape) != 2 or op.options["weights_format"] != 0:
        raise model.unsupported("its weights are not a constant matrix")
    rows, columns = w.shape
    if x.elements % columns or out.elements != x.elements // columns * rows:
        raise model.unsupported(f"weights {w.shape} fit neither {x.shape} nor {out.shape}")
    bias = None
    if len(op.inputs) == 3 and op.inputs[2] >= 0:
        tensor = model.tensor(op.inputs[2])
        if tensor.data is None or tensor.dtype != "float32" or tensor.elements != rows:
            raise model.unsupported(f"its bias is not a constant of {rows} numbers")
        bias = tensor.data
    limits = float_limits(model, str(op.options["fused_activation_function"]))
    source, target = model.view(x.index), model.define(out.index)
    dense_f32(model, op, w.data, bias, source, target, limits)


def dense_f32(
    model: Model,
    op: Operator,
    weights: Array,
    bias: Array | None,
    x: View,
    y: View,
    limits: tuple[float, float] = (-_LARGEST, _LARGEST),
) -> None:
    """Append `y = W x + b` within limits, for as many rows as x has."""
    rows, columns = weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    stem = short_name(model.layer(op))
    given = "NULL" if bias is None else model.constant(bias, f"{stem}_bias", label).name
    parameters = (
        f"{model.constant(weights, f'{stem}_weights', label).name}, {given}, {rows}, {columns}, "
        f"{x.elements // columns}, {', '.join(float_literal(limit) for limit in limits)}"
    )
    record = model.unique(f"{model.name}_{stem}_fc")
    model.records.append(("edgernn_fully_connected_f32_t", record, parameters))
    function, note = "edgernn_fully_connected_f32", f"W {list(weights.shape)}"
    _call(model, op, function, f"&{record}", x, y, note)


@lowers("SOFTMAX", floats=True)
def softmax(model: Model, op: Operator) -> None:
    """Over the last dimension."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    model.same_type(x, out, among=("float32",))
    if x.shape != out.shape or not x.shape:
        raise model.unsupported(f"from shape {x.shape} to {out.shape}")
    rows, columns = x.elements // x.shape[-1], x.shape[-1]
    beta = _finite(model, float(op.options["beta"]))
    _append(model, op, "edgernn_softmax_f32", f"{float_literal(beta)}, {rows}, {columns}")


def _finite(model: Model, value: float) -> float:
    if not abs(value) <= _LARGEST:
        raise model.unsupported(f"its parameter {value} is no number")
    return value


@lowers("MEAN", "SUM", floats=True)
def mean(model: Model, op: Operator) -> None:
    """Over neighbouring dimensions."""
    x, axes = model.inputs(op, 2)
    out = model.output(op)
    model.same_type(x, out, among=("float32",))
    outer, count, inner = reduced_space(model, x, axes, out)
    factor = float_literal(1.0 / count if op.name == "MEAN" else 1.0)
    _append(model, op, "edgernn_sum_f32", f"{outer}, {count}, {inner}, {factor}")


def _append(model: Model, op: Operator, function: str, parameters: str) -> None:
    x, y = model.view(op.inputs[0]), model.define(op.outputs[0])
    _call(model, op, function, parameters, x, y)


def _call(
    model: Model, op: Operator, function: str, parameters: str, x: View, y: View, note: str = ""
) -> None:
    def call(node: Kernel, reference: Reference) -> list[str]:
        x, y = reference(node.inputs[0]), reference(node.outputs[0])
        return [f"{function}({parameters}, {x}, {y});"]

    if note:
        note = f"{y.buffer.name} = W {x.buffer.name} + b, {note}"
    files = (f"{function}.c", *_HEADER)
    model.add(Kernel(op.name, model.layer(op), [x], [y], note=note, files=files, call=call))
