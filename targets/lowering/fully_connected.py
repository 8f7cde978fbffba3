"""FULLY_CONNECTED, int8 and int16x8: the fastest kernel that is exact for the weights at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.tflite import Operator, Tensor
from targets import expr
from targets.fixedpoint import quantize_multiplier, reduced_multiplier
from targets.ir import Elementwise, Kernel, Reference, View
from targets.lowering import simd
from targets.lowering.base import LIMITS, Model, lowers, short_name

_PAD = 8
"""The DSP kernel reads activations in groups of this many."""

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Dense:
    """One checked operator: W x + b in integers, and what becomes of a row's sum."""

    x: Tensor
    out: Tensor
    weights: Integers
    bias: Integers
    scalings: list[tuple[int, int]]
    input_zero: int
    weight_zero: int
    output_zero: int
    low: int
    high: int
    narrow: bool
    batches: int

    @property
    def largest_sum(self) -> int:
        """No partial sum of any row can be larger in magnitude, zero points folded in."""
        largest = 128 if self.x.dtype == "int8" else 32768
        return int((np.abs(self.weights).sum(1) * largest + np.abs(self.folded_bias)).max())

    @property
    def folded_bias(self) -> Integers:
        """The bias less what the input's zero point adds to each row."""
        folded: Integers = self.bias - self.input_zero * self.weights.sum(1)
        return folded


@lowers("FULLY_CONNECTED")
def fully_connected(model: Model, op: Operator) -> None:
    """Weights are packed and constants computed here; the kernel only multiplies."""
    matrix_product(model, op, _check(model, op))


def matrix_product(model: Model, op: Operator, dense: Dense) -> None:
    """Append the fastest kernel that is exact."""
    if not _fast(model, op, dense):
        _general(model, op, dense)


def _check(model: Model, op: Operator) -> Dense:
    if len(op.inputs) not in (2, 3) or min(op.inputs[:2]) < 0:
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x, w = model.tensor(op.inputs[0]), model.tensor(op.inputs[1])
    out = model.output(op)
    dtype = model.same_type(x, out, among=("int8", "int16"))
    if w.data is None or w.dtype != "int8" or len(w.shape) != 2:
        raise model.unsupported("its weights are not a constant int8 matrix")
    if op.options["weights_format"] != 0:
        raise model.unsupported("its weights are shuffled")
    rows, columns = w.shape
    if x.elements % columns or out.shape[-1:] != (rows,):
        raise model.unsupported(f"weights {w.shape} fit neither {x.shape} nor {out.shape}")
    batches = x.elements // columns
    if out.elements != batches * rows or max(rows, columns) > 32767:
        raise model.unsupported(f"weights {w.shape} fit neither {x.shape} nor {out.shape}")
    bias, narrow, bias_scale = bias_values(model, op, dtype, rows)
    scale_x, zero_x = model.quantization(x)
    scale, zero = model.quantization(out)
    if len(w.scale) not in (1, rows) or (len(w.scale) == rows > 1 and w.axis != 0):
        raise model.unsupported(f"its weights have {len(w.scale)} scales along axis {w.axis}")
    if len(w.scale) == 1:
        if bias_scale is not None and abs(scale_x * w.scale[0] - bias_scale) / scale > 0.02:
            raise model.unsupported("its bias has another scale than its sums")
        scalings = [quantize_multiplier(scale_x * w.scale[0] / scale)]
        weight_zero = w.zero_point[0]
    else:
        scalings = [quantize_multiplier(scale_x * s / scale) for s in w.scale]
        weight_zero = 0
        if any(w.zero_point):
            raise model.unsupported("its weights have zero points per channel")
    if dtype == "int16" and not narrow and any(s > 7 for _, s in scalings):
        raise model.unsupported("its output scale is too small for its sums")
    low, high = model.activation_range(out, str(op.options["fused_activation_function"]))
    return Dense(
        x,
        out,
        w.data.astype(np.int64),
        bias,
        scalings,
        zero_x,
        weight_zero,
        zero,
        low,
        high,
        narrow,
        batches,
    )


def bias_values(
    model: Model, op: Operator, dtype: str, rows: int
) -> tuple[Integers, bool, float | None]:
    """The bias, whether sums have 32 bits, and the bias's scale."""
    if len(op.inputs) == 2 or op.inputs[2] < 0:
        narrow = dtype == "int8" or op.options.get("quantized_bias_type", 0) == 2
        return np.zeros(rows, np.int64), narrow, None
    tensor = model.tensor(op.inputs[2])
    allowed = ("int32",) if dtype == "int8" else ("int32", "int64")
    if tensor.data is None or tensor.dtype not in allowed or tensor.elements != rows:
        raise model.unsupported(f"its bias is not a constant of {rows} integers")
    scale = tensor.scale[0] if len(tensor.scale) == 1 else None
    return tensor.data.reshape(-1).astype(np.int64), tensor.dtype == "int32", scale


def _fast(model: Model, op: Operator, dense: Dense) -> bool:
    """Append a 32-bit kernel if its arithmetic is exact for these weights and scales."""
    wide_input = dense.x.dtype == "int16"
    if (
        dense.batches != 1
        or dense.weight_zero
        or dense.largest_sum >= 1 << (31 if wide_input else 30)
    ):
        return False
    if wide_input:
        factors = _upper_half_factors(dense)
        if factors is None:
            return False
        multipliers, shifts = factors, []
    else:
        if any(shift > -1 for _, shift in dense.scalings):
            return False
        multipliers = [m for m, _ in dense.scalings]
        shifts = [-s - 1 for _, s in dense.scalings]
    if model.core.mve and dense.weights.shape[0] >= 4:
        _vectors(model, op, dense, multipliers, shifts)
    elif model.core.simd and dense.weights.min() > -128 and all(s < 22 for s in shifts):
        _simd(model, op, dense, multipliers, shifts)
    elif model.core.dsp and dense.weights.shape[0] >= 4:
        _stream(model, op, dense, multipliers, shifts)
    else:
        _row_major(model, op, dense, multipliers, shifts)
    return True


def _row_major(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the kernel of any core."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"

    def constant(values: Integers | list[int], dtype: str, part: str) -> str:
        return model.constant(np.array(values, dtype), _name(op, model, part), label).name

    names = [
        constant(dense.weights, "int8", "weights"),
        constant(dense.folded_bias, "int32", "bias"),
        constant(multipliers, "int32", "multiplier"),
        constant(shifts, "int8", "shift") if shifts else "NULL",
    ]
    function = f"edgernn_fully_connected_s{8 if shifts else 16}"
    per_row = int(len(multipliers) > 1)
    parameters = f"{', '.join(names)}, {rows}, {columns}, {per_row}, {dense.output_zero}"
    x = model.view(op.inputs[0])
    _append(model, op, function, "edgernn_fully_connected_t", parameters, x, dense)


def _stream(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the DSP kernel; kernels/edgernn_dot_dsp.h describes the stream of its parameters."""

    def pack(four: Bytes) -> bytes:
        return four.reshape(4, -1, 4).transpose(1, 0, 2)[:, :, [0, 2, 1, 3]].tobytes()

    bias = dense.folded_bias * (2 if shifts else 1)
    x = _paired(model, op, dense.x, dense.weights.shape[1])
    _append_stream(model, op, "dsp", dense, _blocks(dense, bias, multipliers, shifts, pack), x)


def _vectors(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the Helium kernel; the kernels' files describe the stream of their parameters."""

    def pack(four: Bytes) -> bytes:
        wide = four.shape[1] // 16 * 16 if shifts else 0
        parts = ((four[:, :wide], 16), (four[:, wide:], 8))
        return b"".join(p.reshape(4, -1, n).transpose(1, 0, 2).tobytes() for p, n in parts)

    left = [-s - 1 for s in shifts]
    blocks = _blocks(dense, dense.folded_bias, multipliers, left, pack)
    x = _padded(model, op, dense.weights.shape[1])
    _append_stream(model, op, "mve", dense, blocks, x)


def _blocks(
    dense: Dense,
    bias: Integers,
    multipliers: list[int],
    shifts: list[int],
    pack: Callable[[Bytes], bytes],
) -> bytes:
    """Biases, weights, multipliers and shifts of 4 rows after 4 rows; the last 4 are the last."""
    rows, columns = dense.weights.shape
    weights = np.zeros((rows, _round_up(columns)), np.int8)
    weights[:, :columns] = dense.weights
    m = np.broadcast_to(np.array(multipliers, "<i4"), rows)
    s = np.broadcast_to(np.array(shifts or [0], np.int8), rows)
    stream = b""
    for start in (*range(0, rows - 3, 4), *([rows - 4] if rows % 4 else [])):
        four = slice(start, start + 4)
        stream += bias[four].astype("<i4").tobytes() + pack(weights[four]) + m[four].tobytes()
        stream += s[four].tobytes() if shifts else b""
    return stream


def _append_stream(
    model: Model, op: Operator, kind: str, dense: Dense, stream: bytes, x: View
) -> None:
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    words = model.constant(np.frombuffer(stream, "<u4"), _name(op, model, "stream"), label)
    function = f"edgernn_fully_connected_s{8 if dense.x.dtype == 'int8' else 16}_{kind}"
    parameters = f"{words.name}, {rows}, {_round_up(columns)}, {dense.output_zero}"
    _append(model, op, function, "edgernn_fully_connected_dsp_t", parameters, x, dense)


def _round_up(columns: int) -> int:
    return -(-columns // _PAD) * _PAD


def _simd(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the kernel for vector units; kernels/edgernn_simd.h describes its parameters."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    weights = model.constant(simd.blocks(dense.weights), _name(op, model, "weights"), label)
    half_range = 1 << (7 if shifts else 15)
    # One rounding constant that holds the zero point too; the kernel's own shift is one larger.
    ends = [s + 1 for s in shifts]
    offsets = [(1 << s - 1) + (dense.output_zero << s) for s in ends]
    parameters: dict[str, npt.ArrayLike] = {
        "bias": dense.folded_bias,
        "moved_bias": simd.wrapped(dense.folded_bias - half_range * dense.weights.sum(1)),
        "multiplier": multipliers,
        "offset": offsets or [0],
        "shift": ends or [0],
    }
    names = [
        model.constant(simd.per_row(values, rows), _name(op, model, part), label).name
        for part, values in parameters.items()
    ]
    function = f"edgernn_fully_connected_s{8 if shifts else 16}_simd"
    record = f"{weights.name}, {', '.join(names)}"
    x = model.view(op.inputs[0])
    kind = "edgernn_fully_connected_simd_t"
    _append(model, op, function, kind, record, x, dense, f"{rows}, {columns}, ")


def _append(
    model: Model,
    op: Operator,
    function: str,
    kind: str,
    parameters: str,
    x: View,
    dense: Dense,
    arguments: str = "",
) -> None:
    """Append a call, its parameters, and the fused activation as a node of its own."""
    y, activation = _result(model, op, dense)
    name = model.unique(f"{model.name}_{short_name(model.layer(op))}_fc")
    model.records.append((kind, name, parameters))
    files = [f"{function}.c", "edgernn_kernels.h", "edgernn_math.h"]
    if function.endswith("_simd"):
        files = ["edgernn_simd.h"]
    elif function.endswith("_dsp"):
        files.append("edgernn_dot_dsp.h")
    elif "general" not in function:
        files.append("edgernn_dot.h")

    def call(node: Kernel, reference: Reference) -> list[str]:
        pointers = f"{reference(node.inputs[0])}, {reference(node.outputs[0])}"
        return [f"{function}(&{name}, {arguments}{pointers});"]

    note = f"{y.buffer.name} = W {x.buffer.name} + b, W {list(dense.weights.shape)}"
    model.add(Kernel(op.name, model.layer(op), [x], [y], note=note, files=files, call=call))
    if activation is not None:
        model.add(activation)


def _upper_half_factors(dense: Dense) -> list[int] | None:
    """Multipliers that make a rescaled sum the upper half of one product, where they exist."""
    if dense.narrow:
        return None
    factors = []
    for multiplier, shift in dense.scalings:
        left = 17 + shift  # 32 - (15 - shift)
        factor = reduced_multiplier(multiplier) << max(left, 0)
        if left < 0 or factor >= 1 << 31:
            return None
        factors.append(factor)
    return factors


def _paired(model: Model, op: Operator, x: Tensor, columns: int) -> View:
    """The input as int16, readable up to a multiple of 8: a copy where it is not that.

    Copies of int8 inputs are doubled, which the kernel would else do with every sum.
    """
    if x.dtype == "int16":
        return _padded(model, op, columns)
    return _copy(model, op, columns, "WIDEN", "int16", 1)


def _padded(model: Model, op: Operator, columns: int) -> View:
    """The input, readable up to a multiple of 8: a copy where it is not that."""
    view = model.view(op.inputs[0])
    if columns % _PAD == 0:
        return view
    if view.buffer.kind == "scratch":
        view.buffer.padded = True
        return view
    return _copy(model, op, columns, "COPY", view.buffer.dtype, 0)


def _copy(model: Model, op: Operator, columns: int, title: str, dtype: str, bits: int) -> View:
    """The input times 2 ** bits in a buffer of its own; one for all operators that need it."""
    view = model.view(op.inputs[0])
    key = (id(view.buffer), view.offset, columns)
    if key not in model.widened:
        buffer = model.scratch(dtype, _round_up(columns), f"{view.buffer.name}_wide")
        model.widened[key] = View(buffer, (columns,))
        model.add(
            Elementwise(
                title,
                model.layer(op),
                [view],
                [model.widened[key]],
                dims=(columns,),
                strides=[(1,)],
                build=lambda inputs: expr.shift_left(inputs[0], bits),
            )
        )
    return model.widened[key]


def _result(model: Model, op: Operator, dense: Dense) -> tuple[View, Elementwise | None]:
    """Where the kernel writes: it saturates to the type, so a fused activation is a node."""
    out = model.define(op.outputs[0])
    if (dense.low, dense.high) == LIMITS[dense.out.dtype]:
        return out, None
    before = View(model.scratch(dense.out.dtype, dense.out.elements, "sum"), out.shape)
    activation = Elementwise(
        str(op.options["fused_activation_function"]),
        model.layer(op),
        [before],
        [out],
        dims=(out.elements,),
        strides=[(1,)],
        build=lambda inputs: expr.clamp(inputs[0], dense.low, dense.high),
    )
    return before, activation


def _general(model: Model, op: Operator, dense: Dense) -> None:
    """Append the 64-bit kernel, which takes any weights, scales and batches."""
    if any(not -31 <= s <= 30 for _, s in dense.scalings):
        raise model.unsupported("its scales are out of range")
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    weights = model.constant(dense.weights.astype(np.int8), _name(op, model, "weights"), label)
    bias = model.constant(dense.bias, _name(op, model, "bias"), label)
    factors = [m if dense.narrow else reduced_multiplier(m) for m, _ in dense.scalings]
    multiplier = model.constant(np.array(factors, np.int32), _name(op, model, "multiplier"), label)
    shift = model.constant(
        np.array([s for _, s in dense.scalings], np.int8), _name(op, model, "shift"), label
    )
    parameters = (
        f"{weights.name}, {bias.name}, {multiplier.name}, {shift.name}, {rows}, {columns}, "
        f"{dense.batches}, {int(len(factors) > 1)}, {-dense.input_zero}, {-dense.weight_zero}, "
        f"{dense.output_zero}, {int(dense.narrow)}"
    )
    function = f"edgernn_fully_connected_general_s{'16' if dense.x.dtype == 'int16' else '8'}"
    kind = "edgernn_fully_connected_general_t"
    _append(model, op, function, kind, parameters, model.view(op.inputs[0]), dense)


def _name(op: Operator, model: Model, part: str) -> str:
    return f"{short_name(model.layer(op))}_{part}"
