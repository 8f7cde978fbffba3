"""LOGISTIC, TANH and the RELU family, and QUANTIZE between integer types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgernn.tflite import Operator, Tensor
from targets import expr, fixedpoint
from targets.expr import Expr, number
from targets.ir import Kernel, Reference
from targets.lowering.base import LIMITS, Model, lowers

Table = Callable[[int], int]


def lookup(model: Model, op: Operator, function: Table) -> None:
    """A unary function of an int8 tensor as a table of 256 bytes."""
    values = np.array([function(x) for x in range(-128, 128)], np.int8)
    table = model.constant(values, f"{op.name.lower()}_table", f"{op.name} of '{model.layer(op)}'")
    if model.core.simd:
        _lookup_kernel(model, op, table.name)
        return
    low, high = int(values.min()), int(values.max())

    def build(inputs: Sequence[Expr]) -> Expr:
        x = expr.plain(expr.add(inputs[0], number(128)))
        return Expr(f"edgernn_lookup_s8({table.name}, {expr.bare(x.code)})", low, high)

    model.elementwise(op, op.inputs, build)


def _lookup_kernel(model: Model, op: Operator, table: str) -> None:
    """Many bytes at a time, where an instruction does that; the loops around are vectorised."""
    x, y = model.view(op.inputs[0]), model.define(op.outputs[0])

    def call(node: Kernel, reference: Reference) -> list[str]:
        pointers = f"{reference(node.inputs[0])}, {reference(node.outputs[0])}"
        return [f"edgernn_lookup_simd({table}, {x.elements}, {pointers});"]

    files = ["edgernn_lookup_simd.h", "edgernn_simd.h"]
    model.add(Kernel(op.name, model.layer(op), [x], [y], files=files, call=call))


@lowers("LOGISTIC", "TANH")
def sigmoids(model: Model, op: Operator) -> None:
    """A table for int8, interpolation in the common table for int16."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    if model.same_type(x, out, among=("int8", "int16")) == "int8":
        lookup(model, op, _sigmoid8(model, op, x, out))
    else:
        _sigmoid16(model, op, x, out)


def _sigmoid8(model: Model, op: Operator, x: Tensor, out: Tensor) -> Table:
    integer_bits = 4
    scale, zero = model.quantization(x)
    _, zero_out = model.quantization(out)
    is_logistic = op.name == "LOGISTIC"
    if is_logistic and zero_out != -128:
        raise model.unsupported("its output's zero point is not -128")
    fraction, shift = math.frexp(scale * (1 << (31 - integer_bits)))
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if not -31 <= shift <= 30 or multiplier >= 1 << 31:
        raise model.unsupported("its input scale is out of range")
    radius = fixedpoint.input_radius(integer_bits, shift)

    def function(raw: int) -> int:
        value = raw - zero
        if abs(value) >= radius:
            return 127 if value > 0 or (value == 0 and radius < 0) else -128
        scaled = fixedpoint.rescale(value, multiplier, shift)
        if is_logistic:
            result = fixedpoint.rounding_shift(fixedpoint.logistic(scaled, integer_bits), 23) - 128
        else:
            result = fixedpoint.rounding_shift(fixedpoint.tanh(scaled, integer_bits), 24)
        return max(-128, min(127, result))

    return function


def _sigmoid16(model: Model, op: Operator, x: Tensor, out: Tensor) -> None:
    scale, zero = model.quantization(x)
    scale_out, zero_out = model.quantization(out)
    if zero or zero_out or round(math.log2(scale_out)) != -15:
        raise model.unsupported("int16 needs zero points of 0 and an output scale of 1/32768")
    exponent = math.log2(scale)
    nearest = round(exponent)
    extra = nearest + 12
    exact = abs(exponent - nearest) < 1e-3 and extra in ((0,) if op.name == "LOGISTIC" else (0, 1))
    if exact:
        multiplier, bits = 3 << extra, 0
    else:  # the argument in units of 1/12288, with a 15-bit multiplier
        real, bits = scale * 4096.0 * 3.0, 0
        while real <= 32767.0 / 2.0 and bits <= 30:
            real, bits = real * 2.0, bits + 1
        multiplier = int(real)
    if multiplier > 32767:
        raise model.unsupported("its input scale is too large")
    while bits and multiplier % 2 == 0 and bits > 0:
        multiplier, bits = multiplier // 2, bits - 1
    if multiplier == 0:
        multiplier, bits = 0, 0
    name = "sigmoid" if op.name == "LOGISTIC" else "tanh"

    def build(inputs: Sequence[Expr]) -> Expr:
        return interpolated(name, inputs[0], multiplier, bits)

    model.elementwise(
        op, op.inputs, build, files=("edgernn_activation.h", "edgernn_sigmoid_table.c")
    )


def interpolated(name: str, x: Expr, multiplier: int, bits: int) -> Expr:
    """`sigmoid` or `tanh` in the int16 table, of `x * multiplier / 2 ** bits` in 1/12288."""
    limit = 255 * (512 if name == "sigmoid" else 256)
    function = fixedpoint.sigmoid16 if name == "sigmoid" else fixedpoint.tanh16
    argument = expr.plain(expr.multiply(x, number(multiplier)))
    if bits:
        low, high = ((v + (1 << (bits - 1))) >> bits for v in (argument.low, argument.high))
        argument = Expr(f"(({argument.code} + {1 << (bits - 1)}) >> {bits})", low, high)
    inside = max(abs(argument.low), abs(argument.high)) < limit
    suffix = "s16" if inside else "any_s16"
    code = expr.bare(argument.code)
    return Expr(f"edgernn_{name}_{suffix}({code})", function(argument.low), function(argument.high))


@lowers("RELU")
def relu(model: Model, op: Operator) -> None:
    """A rescaling with zero as its lower limit."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    scaling = fixedpoint.quantize_multiplier(scale / scale_out)
    low, high = LIMITS[dtype]

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.rescale(expr.add(inputs[0], number(-zero)), *scaling)
        return expr.clamp(expr.add(value, number(zero_out)), max(low, zero_out), high)

    model.elementwise(op, op.inputs, build)


@lowers("RELU6")
def relu6(model: Model, op: Operator) -> None:
    """Raw integers between those of 0 and 6: the reference does not rescale."""
    (x,) = model.inputs(op, 1)
    dtype = model.same_type(x, model.output(op), among=("int8", "int16"))
    scale, zero = model.quantization(x)
    low, high = LIMITS[dtype]
    six = zero + fixedpoint.round_half_away(float(np.float32(6.0) / np.float32(scale)))
    six = max(low, min(high, six))

    def build(inputs: Sequence[Expr]) -> Expr:
        return expr.clamp(inputs[0], zero, six)

    model.elementwise(op, op.inputs, build)


@lowers("QUANTIZE")
def requantize(model: Model, op: Operator) -> None:
    """From one integer type, scale and zero point to another."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    if x.dtype not in LIMITS or out.dtype not in LIMITS:
        raise model.unsupported(f"from {x.dtype} to {out.dtype} is not supported")
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    scaling = fixedpoint.quantize_multiplier(scale / scale_out)
    limits = LIMITS[out.dtype]

    def build(inputs: Sequence[Expr]) -> Expr:
        value = expr.rescale(expr.add(inputs[0], number(-zero)), *scaling)
        return expr.clamp(expr.add(value, number(zero_out)), *limits)

    model.elementwise(op, op.inputs, build)
