"""SOFTMAX: int8 through a table of exponentials, int16 through two interpolated tables."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgernn.tflite import Operator, Tensor
from targets import fixedpoint
from targets.fixedpoint import quantize_multiplier
from targets.ir import Kernel, Reference
from targets.lowering.base import Model, lowers


@lowers("SOFTMAX")
def softmax(model: Model, op: Operator) -> None:
    """Over the last dimension."""
    (x,) = model.inputs(op, 1)
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    if x.shape != out.shape or not x.shape:
        raise model.unsupported(f"from shape {x.shape} to {out.shape}")
    if dtype == "int8":
        _softmax8(model, op, x, out)
    else:
        _softmax16(model, op, x, out)


def _softmax8(model: Model, op: Operator, x: Tensor, out: Tensor) -> None:
    integer_bits = 5
    scale, _ = model.quantization(x)
    scale_out, zero_out = model.quantization(out)
    if zero_out != -128 or scale_out != 1 / 256:
        raise model.unsupported("its output's scale is not 1/256 with zero point -128")
    if x.shape[-1] > 4095:
        raise model.unsupported(f"{x.shape[-1]} elements overflow its sum")
    real = min(float(op.options["beta"]) * scale * (1 << (31 - integer_bits)), 2.0**31 - 1)
    if not real > 1.0:
        raise model.unsupported("its input scale or beta is too small")
    multiplier, shift = quantize_multiplier(real)
    radius = fixedpoint.input_radius(integer_bits, shift)
    table = [
        fixedpoint.exp_negative(fixedpoint.rescale(-d, multiplier, shift), integer_bits)
        if d <= radius
        else 0
        for d in range(256)
    ]
    buffer = model.constant(np.array(table, np.int32), "exp_table", f"exp of '{model.layer(op)}'")
    rows, columns = x.elements // x.shape[-1], x.shape[-1]
    _append(model, op, "edgernn_softmax_s8", f"{buffer.name}, {rows}, {columns}")


def _softmax16(model: Model, op: Operator, x: Tensor, out: Tensor) -> None:
    (scale, zero), (scale_out, zero_out) = model.quantization(x), model.quantization(out)
    if zero or zero_out or abs(scale_out - 1 / 32768) > 0.001 / 32768:
        raise model.unsupported("int16 needs zero points of 0 and an output scale of 1/32768")
    if x.shape[-1] > 65535:
        raise model.unsupported(f"{x.shape[-1]} elements overflow its sum")
    real = scale * float(op.options["beta"]) / (10.0 / 65535.0)
    if not 0 < real < 1 << 31:
        raise model.unsupported("its beta is not positive or too large")
    multiplier, shift = quantize_multiplier(real)
    if shift > 14:
        raise model.unsupported("its input scale is too large")
    f = np.float32
    exp = _interpolated(f(10.0) / f(65535), 32767, lambda v: f(math.exp(float(v))))
    inverse = _interpolated(f(1.0) / f(65535), -32768, lambda v: f(1) / (f(1) + v))
    names = [
        model.constant(t, n, f"{n} of '{model.layer(op)}'").name
        for t, n in ((exp, "exp_table"), (inverse, "inverse_table"))
    ]
    rows, columns = x.elements // x.shape[-1], x.shape[-1]
    parameters = f"{', '.join(names)}, {multiplier}, {shift}, {rows}, {columns}"
    _append(model, op, "edgernn_softmax_s16", parameters)


def _append(model: Model, op: Operator, function: str, parameters: str) -> None:
    def call(node: Kernel, reference: Reference) -> list[str]:
        x, y = reference(node.inputs[0]), reference(node.outputs[0])
        return [f"{function}({parameters}, {x}, {y});"]

    x, y = model.view(op.inputs[0]), model.define(op.outputs[0])
    files = (f"{function}.c", "edgernn_fixedpoint.h")
    model.add(Kernel(op.name, model.layer(op), [x], [y], files=files, call=call))


def _interpolated(
    scale: np.float32, zero: int, function: Callable[[np.float32], np.float32]
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """513 samples of a function over an int16 input, in Q0.15, each moved to halve the worst error.

    All in single precision and in the reference's order of operations.
    """
    f = np.float32
    first, last = f(scale * f(-32768 - zero)), f(scale * f(32767 - zero))
    out_scale = f(2.0) / f(65535)
    out_low, out_high = f(out_scale * f(-32768)), f(out_scale * f(32767))
    step = f(f(last - first) / f(512))
    half = f(step / f(2))
    factor = f(f(65536) / f(out_high - out_low))

    def rounded(v: np.float32) -> np.float32:
        return f(fixedpoint.round_half_away(float(v)))

    table = []
    for i in range(512):
        at = f(first + f(f(i) * step))
        value, middle = function(at), function(f(at + half))
        following = function(f(first + f(f(i + 1) * step)))
        sample = rounded(f(value * factor))
        between = rounded(f(f(f(following * factor) + rounded(f(value * factor))) / f(2)))
        error = f(between - rounded(f(middle * factor)))
        table.append(sample - rounded(f(error / f(2))))
    table.append(rounded(f(function(last) * factor)))
    clipped: np.ndarray[tuple[int], np.dtype[np.int16]] = np.clip(
        np.array(table), -32768, 32767
    ).astype(np.int16)
    return clipped
