"""Lookup tables in place of sampled functions, in supported operators.

int8: one of 256 entries, correctly rounded, as CAST, ADD and GATHER.

int16: straight lines. The input's high bits say which line, its low bits how far along:
`line = floor(q / 2^bits)`, `y = start[line] + slope[line] * (q - line * 2^bits)`. The floor is a
SUB whose constant lies half a step off every rounding tie: it is the same in every runtime.
TFLM gathers bytes only: the start comes in two of them, in steps of two last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from converters import flatfile
from converters.sampled import Sampled, Site

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PLACE: Final = schema.BuiltinOperator.GELU
PLACE_NAME: Final = "GELU"
"""What the quantizer sees in a table's place: an operator with any scale on either side."""

TOLERANCE: Final = 2.0**-13
"""Largest error of an int16 table, as a share of the function's range, if `MAX_LINES` allow it …"""

LEAST: Final = 3.0
"""… but no less than this many last bits, which the steps of the start alone may cost."""

MIN_BITS: Final = 6
"""2^(16 - 6) = 1024 lines are the most, of three bytes each."""

MAX_BITS: Final = 11


def collapse(data: bytes, sites: Sequence[Site]) -> bytes:
    """The float step with one operator in place of every sampled function's formula."""
    if not sites:
        return data
    model = flatfile.unpack(data)
    graph = model.subgraphs[0]
    for site in sites:
        writers = {int(o): op for op in graph.operators for o in op.outputs}
        inside: list[Any] = []
        frontier = [site.target]
        while frontier:
            op = writers.get(frontier.pop())
            if op is not None and not any(op is other for other in inside):
                inside.append(op)
                frontier += [int(i) for i in op.inputs if i not in (site.source, -1)]
        place = schema.OperatorT()
        place.opcodeIndex = flatfile.operator_code(model, PLACE)
        place.builtinOptionsType = schema.BuiltinOptions.GeluOptions
        place.builtinOptions = schema.GeluOptionsT()
        place.inputs, place.outputs = [site.source], [site.target]
        last = next(k for k, op in enumerate(graph.operators) if site.target in op.outputs)
        graph.operators[last] = place
        graph.operators = [op for op in graph.operators if not any(op is i for i in inside)]
    return flatfile.pack(model)


def fill(data: bytes, functions: dict[str, Sampled]) -> bytes:
    """The quantized step with a table in every place that `collapse` left.

    Args:
        data: the quantized file.
        functions: by the name of the tensor that each gives.
    """
    if not functions:
        return data
    writer = _Writer(flatfile.unpack(data))
    graph = writer.graph
    code = flatfile.operator_code(writer.model, PLACE)
    before, graph.operators = graph.operators, []
    for op in before:
        name = graph.tensors[op.outputs[0]].name.decode() if op.opcodeIndex == code else ""
        if name not in functions:
            graph.operators.append(op)
        elif graph.tensors[op.inputs[0]].type == schema.TensorType.INT8:
            _fill_int8(writer, op, functions[name])
        else:
            _fill_int16(writer, op, functions[name])
    return flatfile.pack(writer.model)


def _values(function: Sampled, x: npt.NDArray[Any]) -> FloatArray:
    """The function's values, infinite ones as large numbers; float32 inside."""
    y = np.asarray(function.function(tf.constant(x.astype(np.float32)))).astype(np.float64)
    return np.nan_to_num(y, posinf=1e30, neginf=-1e30)


def table_int8(
    function: Sampled, source: tuple[float, int], target: tuple[float, int]
) -> npt.NDArray[np.int8]:
    """All 256 results, for these scales and zero points."""
    (scale, zero), (scale_out, zero_out) = source, target
    y = _values(function, (np.arange(-128, 128) - zero) * scale)
    table: npt.NDArray[np.int8] = np.clip(np.rint(y / scale_out) + zero_out, -128, 127).astype(
        np.int8
    )
    return table


def _fill_int8(writer: _Writer, op: Any, function: Sampled) -> None:
    source, target = int(op.inputs[0]), int(op.outputs[0])
    table = table_int8(function, writer.quantization(source), writer.quantization(target))
    entry = writer.index(source, 128)
    constant = writer.constant(table, *writer.quantization(target), f"{writer.name(target)}_table")
    writer.gather(constant, entry, target)


@dataclass(frozen=True)
class Lines:
    """Straight lines in integers: see the head of this file.

    Line `first + i` holds for inputs from `2^bits (first + i) + offset` on, for `2^bits` of them.
    It begins at `512 high[i] + 2 low[i]`, and rises by `slope[i] / 2^slope_bits` for each step.
    `error` is the largest over all inputs, in last bits.
    """

    bits: int
    offset: int
    first: int
    high: IntArray
    low: IntArray
    slope: IntArray
    slope_bits: int
    error: float


def lines(function: Sampled, scale: float, scale_out: float) -> Lines:
    """As few lines as keep to the tolerance; one of them begins at 0, or at the sharpest bend."""
    q = np.arange(-32768, 32768)
    wanted = _values(function, q * scale) / scale_out
    tolerance = max(LEAST, TOLERANCE * float(np.ptp(np.clip(wanted, -32768, 32767))))
    bends = np.abs(np.diff(np.clip(wanted, -32768, 32767), 2))
    bend = int(bends.argmax()) + 1 - 32768
    for bits in range(MAX_BITS, MIN_BITS - 1, -1):
        places = {place % (1 << bits) for place in (0, bend, bend + 1)}
        found = min((_fit(wanted, bits, p) for p in sorted(places)), key=lambda fit: fit.error)
        if found.error <= tolerance:
            break
    return found


def _fit(wanted: FloatArray, bits: int, offset: int) -> Lines:
    """Lines of `2^bits` inputs each through the values `wanted` of all inputs."""
    length = 1 << bits
    first, last = (-32768 - offset) >> bits, (32767 - offset) >> bits
    starts = np.arange(first, last + 1)[:, None] * length
    along = np.arange(offset, offset + length)[None, :]
    raw = wanted[np.clip(starts + along, -32768, 32767) + 32768]
    y = np.clip(raw, -32768, 32767)
    # Where the output saturates, the line is through what lies before, and the last ADD saturates.
    counts = (y == raw) | (y != raw).all(axis=1, keepdims=True)
    rows, begin, end = np.arange(len(y)), counts.argmax(axis=1), counts[:, ::-1].argmax(axis=1)
    end = length - 1 - end
    exact = (y[rows, end] - y[rows, begin]) / np.maximum(end - begin, 1)
    steepest = float(np.abs(exact).max())
    slope_bits = int(np.clip(np.floor(np.log2(127 / steepest)), 0, 24)) if steepest else 0
    slope = np.clip(np.rint(exact * 2.0**slope_bits), -127, 127).astype(np.int64)
    rise = slope[:, None] * along / 2.0**slope_bits
    rest = y - rise
    most = np.where(counts, rest, -np.inf).max(axis=1)
    least = np.where(counts, rest, np.inf).min(axis=1)
    start = np.rint((most + least) / 4).astype(np.int64)
    high = np.clip((start + 128) >> 8, -64, 64)
    low = np.clip(start - 256 * high, -128, 127)
    got = np.clip((512 * high + 2 * low)[:, None], -32768, 32767) + np.rint(rise)
    error = float(np.abs(np.clip(got, -32768, 32767) - y).max())
    return Lines(bits, offset, first, high, low, slope, slope_bits, error)


def _fill_int16(writer: _Writer, op: Any, function: Sampled) -> None:
    source, target = int(op.inputs[0]), int(op.outputs[0])
    (scale, _), (scale_out, _) = writer.quantization(source), writer.quantization(target)
    found = lines(function, scale, scale_out)
    length, stem = 1 << found.bits, writer.name(target)

    half = writer.constant(
        np.array(2 * found.offset + length - 1, np.int16), scale / 2, 0, f"{stem}_half"
    )
    line = writer.wide(source, scale * length, f"{stem}_line")
    writer.sum("SUB", source, half, line)
    along = writer.wide(source, scale, f"{stem}_along")
    writer.sum("SUB", source, line, along)
    entry = writer.index(line, -found.first)

    slope_scale = scale_out / scale * 2.0**-found.slope_bits
    parts = {
        "high": (found.high, scale_out * 512),
        "low": (found.low, scale_out * 2),
        "slope": (found.slope, slope_scale),
    }
    wide = {}
    for part, (values, unit) in parts.items():
        table = writer.constant(values.astype(np.int8), unit, 0, f"{stem}_{part}_table")
        narrow = writer.tensor(source, schema.TensorType.INT8, f"{stem}_{part}_byte", unit)
        writer.gather(table, entry, narrow)
        wide[part] = writer.wide(source, unit, f"{stem}_{part}")
        writer.cast(narrow, wide[part])
    start = writer.wide(source, scale_out, f"{stem}_start")
    writer.sum("ADD", wide["high"], wide["low"], start)
    rise = writer.wide(source, scale_out, f"{stem}_rise")
    writer.add("MUL", [wide["slope"], along], rise)
    writer.sum("ADD", start, rise, target)


class _Writer:
    """Appends tensors and operators to a model; equal tables are kept once."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self._constants: dict[tuple[bytes, str, float, int], int] = {}

    def name(self, index: int) -> str:
        """A tensor's name."""
        text: str = self.graph.tensors[index].name.decode().split(";")[0]
        return text

    def quantization(self, index: int) -> tuple[float, int]:
        """A tensor's scale and zero point."""
        found = self.graph.tensors[index].quantization
        return float(found.scale[0]), int(found.zeroPoint[0])

    def tensor(self, like: int, kind: int, name: str, scale: float | None = None) -> int:
        """Append a tensor of another's shape; without a scale it holds plain integers."""
        return self._append(self.graph.tensors[like].shape, kind, name, scale, 0)

    def wide(self, like: int, scale: float, name: str) -> int:
        """Append an int16 tensor of another's shape."""
        return self.tensor(like, schema.TensorType.INT16, name, scale)

    def constant(self, values: Any, scale: float | None, zero_point: int, name: str) -> int:
        """A constant tensor, the same one for equal content."""
        key = (values.tobytes(), values.dtype.name, scale or 0.0, zero_point)
        if key not in self._constants:
            kind = getattr(schema.TensorType, values.dtype.name.upper())
            index = self._append(list(values.shape), kind, name, scale, zero_point)
            self.graph.tensors[index].buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
            self._constants[key] = index
        return self._constants[key]

    def _append(self, shape: Any, kind: int, name: str, scale: float | None, zero: int) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), shape, kind, 0
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add(self, kind: str, inputs: list[int], output: int, **options: Any) -> None:
        """Append an operator."""
        op = schema.OperatorT()
        op.opcodeIndex = flatfile.operator_code(self.model, getattr(schema.BuiltinOperator, kind))
        title = f"{kind.capitalize()}Options"
        op.builtinOptionsType = getattr(schema.BuiltinOptions, title)
        op.builtinOptions = getattr(schema, f"{title}T")()
        for name, value in options.items():
            setattr(op.builtinOptions, name, value)
        op.inputs, op.outputs = inputs, [output]
        self.graph.operators.append(op)

    def sum(self, kind: str, a: int, b: int, output: int) -> None:
        """Append an ADD or SUB."""
        self.add(kind, [a, b], output, potScaleInt16=False)

    def cast(self, source: int, target: int) -> None:
        """Append a CAST, which keeps the integers."""
        before, after = (self.graph.tensors[i].type for i in (source, target))
        self.add("CAST", [source], target, inDataType=before, outDataType=after)

    def index(self, source: int, offset: int) -> int:
        """Append what makes integers from `-offset` on the numbers of entries."""
        name = self.name(source)
        raw = self.tensor(source, schema.TensorType.INT32, f"{name}_number")
        self.cast(source, raw)
        shift = self.constant(np.array(offset, np.int32), None, 0, "table_offset")
        entry = self.tensor(source, schema.TensorType.INT32, f"{name}_entry")
        self.sum("ADD", raw, shift, entry)
        return entry

    def gather(self, table: int, entry: int, output: int) -> None:
        """Append a GATHER."""
        self.add("GATHER", [table, entry], output, axis=0)
