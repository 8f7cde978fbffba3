"""FULLY_CONNECTED, int8 and int16x8: the fastest kernel that is exact for the weights at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.tflite import Operator
from targets import expr
from targets.fixedpoint import quantize_multiplier, reduced_multiplier
from targets.ir import Elementwise, Kernel, Reference, View
from targets.lowering import simd
from targets.lowering.base import LIMITS, Model, lowers, short_name

_PAD = 8
"""The DSP kernel reads activations in groups of this many."""

_ROWS = 4
"""The kernel of any core multiplies this many rows at a time."""

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Dense:
    """One checked product: y = W x + b in integers, and what becomes of a row's sum."""

    x: View
    y: View
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
    factors = _factors(dense)
    if factors is None:
        _general(model, op, dense)
    else:
        _fast(model, op, dense, *factors)


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
        model.view(x.index),
        model.define(out.index),
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


def has_fast_kernel(dense: Dense) -> bool:
    """Whether a 32-bit kernel is exact for these weights and scales."""
    return _factors(dense) is not None


def _factors(dense: Dense) -> tuple[list[int], list[int]] | None:
    """Multipliers and shifts of a 32-bit kernel, where its arithmetic is exact."""
    wide_input = dense.x.dtype == "int16"
    if (
        dense.batches != 1
        or dense.weight_zero
        or dense.largest_sum >= 1 << (31 if wide_input else 30)
    ):
        return None
    if wide_input:
        factors = _upper_half_factors(dense)
        return None if factors is None else (factors, [])
    if any(shift > -1 for _, shift in dense.scalings):
        return None
    return [m for m, _ in dense.scalings], [-s - 1 for _, s in dense.scalings]


def _fast(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the fastest 32-bit kernel of the core."""
    if model.core.mve and dense.weights.shape[0] >= 4:
        _vectors(model, op, dense, multipliers, shifts)
    elif model.core.simd and dense.weights.min() > -128 and all(s < 22 for s in shifts):
        _simd(model, op, dense, multipliers, shifts)
    elif model.core.dsp and dense.weights.shape[0] >= 4:
        _stream(model, op, dense, multipliers, shifts)
    else:
        _row_major(model, op, dense, multipliers, shifts)


def _row_major(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the kernel of any core."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"

    def constant(values: Integers | list[int], dtype: str, part: str) -> str:
        return model.constant(np.array(values, dtype), part_name(op, model, part), label).name

    below = (0, max(0, _ROWS - rows))
    names = [
        constant(np.pad(dense.weights, (below, (0, 0))), "int8", "weights"),
        constant(np.pad(dense.folded_bias, below), "int32", "bias"),
        constant(multipliers, "int32", "multiplier"),
        constant(shifts, "int8", "shift") if shifts else "NULL",
    ]
    function = function_name(dense)
    per_row = int(len(multipliers) > 1)
    parameters = f"{', '.join(names)}, {rows}, {columns}, {per_row}, {dense.output_zero}"
    append(model, op, function, "edgernn_fully_connected_t", parameters, dense.x, dense)


def _stream(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the DSP kernel; kernels/edgernn_dot_dsp.h describes the stream of its parameters."""
    bias = dense.folded_bias * (2 if shifts else 1)
    stream = blocks(dense, bias, pack_dsp, _ends(dense, multipliers, shifts))
    append_stream(model, op, "dsp", dense, stream, paired(model, op, dense))


def pack_dsp(four: Bytes) -> bytes:
    """The weights of four rows for the DSP kernels."""
    return four.reshape(4, -1, 4).transpose(1, 0, 2)[:, :, [0, 2, 1, 3]].tobytes()


def _vectors(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the Helium kernel; the kernels' files describe the stream of their parameters."""
    pack = pack_mve_s8 if shifts else pack_mve_s16
    ends = _ends(dense, multipliers, [-s - 1 for s in shifts])
    stream = blocks(dense, dense.folded_bias, pack, ends)
    append_stream(model, op, "mve", dense, stream, padded(model, op, dense))


def pack_mve_s8(four: Bytes) -> bytes:
    """The weights of four rows for the Helium kernels with 8-bit activations."""
    wide = four.shape[1] // 16 * 16
    parts = ((four[:, :wide], 16), (four[:, wide:], 8))
    return b"".join(p.reshape(4, -1, n).transpose(1, 0, 2).tobytes() for p, n in parts)


def pack_mve_s16(four: Bytes) -> bytes:
    """The weights of four rows for the Helium kernel with 16-bit activations."""
    return four.reshape(4, -1, 8).transpose(1, 0, 2).tobytes()


def _ends(dense: Dense, multipliers: list[int], shifts: list[int]) -> Callable[[slice], bytes]:
    """Multipliers and shifts of four rows."""
    rows = len(dense.weights)
    m = np.broadcast_to(np.array(multipliers, "<i4"), rows)
    s = np.broadcast_to(np.array(shifts or [0], np.int8), rows)
    return lambda four: m[four].tobytes() + (s[four].tobytes() if shifts else b"")


def blocks(
    dense: Dense,
    bias: Integers,
    pack: Callable[[Bytes], bytes],
    ends: Callable[[slice], bytes],
) -> bytes:
    """Biases, weights, and what `ends` gives, of 4 rows after 4 rows; the last 4 are the last."""
    rows, columns = dense.weights.shape
    weights = np.zeros((rows, round_up(columns)), np.int8)
    weights[:, :columns] = dense.weights
    stream = b""
    for start in (*range(0, rows - 3, 4), *([rows - 4] if rows % 4 else [])):
        four = slice(start, start + 4)
        stream += bias[four].astype("<i4").tobytes() + pack(weights[four]) + ends(four)
    return stream


def append_stream(
    model: Model, op: Operator, kind: str, dense: Dense, stream: bytes, x: View
) -> None:
    """Append a kernel whose weights, biases and scalings are one stream of words."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    words = model.constant(np.frombuffer(stream, "<u4"), part_name(op, model, "stream"), label)
    parameters = f"{words.name}, {rows}, {round_up(columns)}, {dense.output_zero}"
    function = function_name(dense, kind)
    append(model, op, function, "edgernn_fully_connected_dsp_t", parameters, x, dense)


def function_name(dense: Dense, kind: str = "") -> str:
    """The kernel for the types of activations and results."""
    types = [f"s{view.dtype[3:]}" for view in (dense.x, dense.y)]
    return "_".join(["edgernn_fully_connected", *dict.fromkeys(types), *([kind] if kind else [])])


def round_up(columns: int) -> int:
    """Columns with those that only make whole groups."""
    return -(-columns // _PAD) * _PAD


def _simd(
    model: Model, op: Operator, dense: Dense, multipliers: list[int], shifts: list[int]
) -> None:
    """Append the kernel for vector units; kernels/edgernn_simd.h describes its parameters."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    weights = model.constant(simd.blocks(dense.weights), part_name(op, model, "weights"), label)
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
        model.constant(simd.per_row(values, rows), part_name(op, model, part), label).name
        for part, values in parameters.items()
    ]
    function = function_name(dense, "simd")
    record = f"{weights.name}, {', '.join(names)}"
    kind = "edgernn_fully_connected_simd_t"
    append(model, op, function, kind, record, dense.x, dense, f"{rows}, {columns}, ")


def append(
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
    y, activation = before_activation(model, op, dense)
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


def paired(model: Model, op: Operator, dense: Dense) -> View:
    """The input as int16, readable up to a multiple of 8: a copy where it is not that.

    Copies of int8 inputs are doubled, which the kernel would else do with every sum.
    """
    if dense.x.dtype == "int16":
        return padded(model, op, dense)
    return _copy(model, op, dense, "WIDEN", "int16", 1)


def padded(model: Model, op: Operator, dense: Dense) -> View:
    """The input, readable up to a multiple of 8: a copy where it is not that."""
    if dense.weights.shape[1] % _PAD == 0:
        return dense.x
    if dense.x.buffer.kind == "scratch":
        dense.x.buffer.padded = True
        return dense.x
    return _copy(model, op, dense, "COPY", dense.x.dtype, 0)


def _copy(model: Model, op: Operator, dense: Dense, title: str, dtype: str, bits: int) -> View:
    """The input times 2 ** bits in a buffer of its own; one for all operators that need it."""
    view, columns = dense.x, dense.weights.shape[1]
    key = (id(view.buffer), view.offset, columns)
    if key not in model.widened:
        buffer = model.scratch(dtype, round_up(columns), f"{view.buffer.name}_wide")
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


def before_activation(model: Model, op: Operator, dense: Dense) -> tuple[View, Elementwise | None]:
    """Where the kernel writes: it saturates to the type, so a fused activation is a node."""
    out = dense.y
    if (dense.low, dense.high) == LIMITS[out.dtype]:
        return out, None
    before = View(model.scratch(out.dtype, out.elements, "sum"), out.shape)
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
    if any(not -31 <= s <= (30 if dense.narrow else 7) for _, s in dense.scalings):
        raise model.unsupported("its scales are out of range")
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    weights = model.constant(dense.weights.astype(np.int8), part_name(op, model, "weights"), label)
    bias = model.constant(dense.bias, part_name(op, model, "bias"), label)
    factors = [m if dense.narrow else reduced_multiplier(m) for m, _ in dense.scalings]
    shifts = [s for _, s in dense.scalings]
    multiplier, shift = (
        model.constant(np.array(values, kind), part_name(op, model, part), label)
        for values, kind, part in ((factors, np.int32, "multiplier"), (shifts, np.int8, "shift"))
    )
    parameters = (
        f"{weights.name}, {bias.name}, {multiplier.name}, {shift.name}, {rows}, {columns}, "
        f"{dense.batches}, {int(len(factors) > 1)}, {-dense.input_zero}, {-dense.weight_zero}, "
        f"{dense.output_zero}, {int(dense.narrow)}"
    )
    function = f"edgernn_fully_connected_general_s{dense.x.dtype[3:]}"
    kind = "edgernn_fully_connected_general_t"
    append(model, op, function, kind, parameters, dense.x, dense)


def part_name(op: Operator, model: Model, part: str) -> str:
    """What a constant of an operator is called."""
    return f"{short_name(model.layer(op))}_{part}"
