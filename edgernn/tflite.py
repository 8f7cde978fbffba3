"""Read a `.tflite` file into plain dataclasses, with every offset checked.

The file may come from anywhere, so nothing in it is believed: each read is bounds-checked, each
index verified, and any fault is a `ModelFileError` rather than a crash later on. The format is
FlatBuffers with the schema of TensorFlow Lite (tensorflow/lite/schema/schema.fbs); field numbers
below are positions in that schema. Needs NumPy only, so it works on the device too.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelFileError
from edgernn.tflite_schema import ACTIVATIONS, OPERATORS, OPTIONS, TENSOR_TYPES

MAX_ELEMENTS: Final = 1 << 28
"""Largest tensor accepted, in elements; far above any recurrent step, far below an overflow."""

_KERAS: Final = (b"PK\x03\x04", b"\x89HDF\r\n")
"""How the files of Keras begin: zip archives (.keras) and HDF5 (.h5)."""

OptionValue = int | float | bool | str


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph.

    `dtype` is the schema's name in lower case (`"int8"`). `scale` and `zero_point` are empty for
    an unquantized tensor, of length 1 per tensor, or one per slice along `axis`. `data` holds the
    constant's values in its shape, or None for an activation.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0
    data: npt.NDArray[np.generic] | None = None
    is_variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype; raises `ModelFileError` for a type NumPy does not have."""
        try:
            return np.dtype(self.dtype)
        except TypeError:
            raise ModelFileError(f"tensor '{self.name}' has type {self.dtype}") from None


@dataclass(frozen=True)
class Operator:
    """One operator: its schema name (`"FULLY_CONNECTED"`), tensors (-1: absent) and options."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, OptionValue] = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True)
class Signature:
    """A named entry point: tensor index by argument name."""

    name: str
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a file, in execution order, with the file's signatures and metadata."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signatures: dict[str, Signature] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    subgraphs: int = 1
    description: str = ""


class _Table:
    """A FlatBuffers table: fields by number, every access inside the buffer or an error."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        vtable = position - _scalar(data, "<i", position)
        size = _scalar(data, "<H", vtable)
        if size < 4 or size % 2 or vtable + size > len(data):
            raise ModelFileError("damaged file: a table description lies outside it")
        self._vtable, self._fields = vtable, (size - 4) // 2

    def _offset(self, number: int) -> int | None:
        if number >= self._fields:
            return None
        relative = _scalar(self._data, "<H", self._vtable + 4 + 2 * number)
        return self._position + relative if relative else None

    def scalar(self, number: int, code: str, default: OptionValue) -> OptionValue:
        offset = self._offset(number)
        return default if offset is None else _scalar(self._data, "<" + code, offset)

    def integer(self, number: int, code: str = "i", default: int = 0) -> int:
        return int(self.scalar(number, code, default))

    def table(self, number: int) -> _Table | None:
        offset = self._offset(number)
        return None if offset is None else _Table(self._data, self._follow(offset))

    def _follow(self, offset: int) -> int:
        return offset + int(_scalar(self._data, "<I", offset))

    def _vector(self, number: int, item_size: int) -> tuple[int, int]:
        """Start and length of a vector whose items all lie inside the buffer."""
        offset = self._offset(number)
        if offset is None:
            return 0, 0
        start = self._follow(offset)
        length = int(_scalar(self._data, "<I", start))
        if start + 4 + length * item_size > len(self._data):
            raise ModelFileError("damaged file: a list runs past its end")
        return start + 4, length

    def tables(self, number: int) -> list[_Table]:
        start, length = self._vector(number, 4)
        return [_Table(self._data, self._follow(start + 4 * i)) for i in range(length)]

    def raw(self, number: int) -> bytes:
        start, length = self._vector(number, 1)
        return self._data[start : start + length]

    def text(self, number: int) -> str:
        return self.raw(number).decode("utf-8", "replace")

    def numbers(self, number: int, dtype: str) -> npt.NDArray[np.generic]:
        start, length = self._vector(number, np.dtype(dtype).itemsize)
        return np.frombuffer(self._data, dtype, length, start) if length else np.empty(0, dtype)


def _scalar(data: bytes, code: str, offset: int) -> int:
    if offset < 0:
        raise ModelFileError("damaged file: an offset points before its start")
    try:
        return struct.unpack_from(code, data, offset)[0]  # type: ignore[no-any-return]
    except struct.error:
        raise ModelFileError("damaged file: an offset points past its end") from None


def read(data: bytes) -> Graph:
    """Parse the bytes of a `.tflite` file.

    Raises:
        ModelFileError: the bytes are not a TFLite model, are damaged, or hold an index, shape or
            constant that contradicts the rest of the file.
    """
    if data.startswith(_KERAS):
        raise ModelFileError(
            "not a TFLite model; if it is a Keras model, run `edgernn convert` on it first"
        )
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelFileError("not a TFLite model (the TFL3 mark is missing)")
    model = _Table(data, _scalar(data, "<I", 0))
    buffers = [_buffer(table, data) for table in model.tables(4)]
    subgraphs = model.tables(2)
    if not subgraphs:
        raise ModelFileError("the model holds no graph")
    graph = subgraphs[0]
    codes = [_operator_code(table) for table in model.tables(1)]
    tensors = tuple(_tensor(i, table, buffers) for i, table in enumerate(graph.tables(0)))
    operators = tuple(
        _operator(i, table, codes, len(tensors)) for i, table in enumerate(graph.tables(3))
    )
    return Graph(
        tensors=tensors,
        operators=operators,
        inputs=_indices(graph, 1, len(tensors), "graph inputs"),
        outputs=_indices(graph, 2, len(tensors), "graph outputs"),
        signatures=_signatures(model, len(tensors)),
        metadata=_metadata(model, buffers),
        subgraphs=len(subgraphs),
        description=model.text(3),
    )


def _buffer(table: _Table, data: bytes) -> bytes:
    offset, size = table.integer(1, "Q"), table.integer(2, "Q")
    if offset > 1:  # a large model keeps its data behind the flatbuffer
        if offset + size > len(data):
            raise ModelFileError("damaged file: a buffer runs past its end")
        return data[offset : offset + size]
    return table.raw(0)


def _operator_code(table: _Table) -> tuple[str, int]:
    # Codes below 127 stand in the old byte field, later ones in the wide field.
    code = max(table.integer(0, "b"), table.integer(3, "i"))
    name = OPERATORS[code] if 0 <= code < len(OPERATORS) else f"UNKNOWN_{code}"
    if name == "CUSTOM":
        name = f"CUSTOM:{table.text(1)}"
    return name, table.integer(2, "i", 1)


def _tensor(index: int, table: _Table, buffers: list[bytes]) -> Tensor:
    name = table.text(3)
    where = f"tensor {index} '{name}'"
    shape = tuple(int(n) for n in table.numbers(0, "<i4"))
    if any(n < -1 for n in shape) or math.prod(abs(n) for n in shape) > MAX_ELEMENTS:
        raise ModelFileError(f"{where} has the impossible shape {shape}")
    code = table.integer(1, "b")
    if code not in range(len(TENSOR_TYPES)):
        raise ModelFileError(f"{where} has the unknown type {code}")
    dtype = TENSOR_TYPES[code]
    scale, zero_point, axis = _quantization(table.table(4), where, shape)
    buffer = table.integer(2, "I")
    if buffer >= len(buffers):
        raise ModelFileError(f"{where} names buffer {buffer} of {len(buffers)}")
    return Tensor(
        index=index,
        name=name,
        shape=shape,
        dtype=dtype,
        scale=scale,
        zero_point=zero_point,
        axis=axis,
        data=_constant(buffers[buffer], shape, dtype, where),
        is_variable=bool(table.integer(5, "?")),
    )


def _quantization(
    table: _Table | None, where: str, shape: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    if table is None:
        return (), (), 0
    scale = tuple(float(s) for s in table.numbers(2, "<f4"))
    zero_point = tuple(int(z) for z in table.numbers(3, "<i8")) or (0,) * len(scale)
    axis = table.integer(6)
    if any(not math.isfinite(s) or s <= 0 for s in scale):
        raise ModelFileError(f"{where} has a scale that is not a positive number")
    if len(zero_point) not in (len(scale), 1) and scale:
        raise ModelFileError(f"{where} has {len(scale)} scales and {len(zero_point)} zero points")
    if any(abs(z) > 1 << 16 for z in zero_point):
        raise ModelFileError(f"{where} has a zero point outside its type")
    if len(scale) > 1 and (not 0 <= axis < len(shape) or shape[axis] != len(scale)):
        raise ModelFileError(f"{where} has {len(scale)} scales that fit no axis of shape {shape}")
    return scale, zero_point * len(scale) if len(zero_point) == 1 else zero_point, axis


def _constant(
    raw: bytes, shape: tuple[int, ...], dtype: str, where: str
) -> npt.NDArray[np.generic] | None:
    if not raw:
        return None
    try:
        numpy_dtype = np.dtype(dtype).newbyteorder("<")
    except TypeError:  # strings, sub-byte and other types: kept as bytes for inspection only
        return np.frombuffer(raw, np.uint8)
    if any(n < 0 for n in shape) or len(raw) != math.prod(shape) * numpy_dtype.itemsize:
        raise ModelFileError(f"{where} of shape {shape} holds {len(raw)} bytes")
    return np.frombuffer(raw, numpy_dtype).reshape(shape)


def _indices(
    table: _Table, number: int, count: int, where: str, absent: bool = False
) -> tuple[int, ...]:
    indices = tuple(int(i) for i in table.numbers(number, "<i4"))
    lowest = -1 if absent else 0
    for index in indices:
        if not lowest <= index < count:
            raise ModelFileError(f"{where}: there is no tensor {index}")
    return indices


def _operator(index: int, table: _Table, codes: list[tuple[str, int]], count: int) -> Operator:
    code = table.integer(0, "I")
    if code >= len(codes):
        raise ModelFileError(f"operator {index} has no code")
    name, version = codes[code]
    where = f"operator {index} ({name})"
    options = table.table(4)
    return Operator(
        index=index,
        name=name,
        inputs=_indices(table, 1, count, where, absent=True),
        outputs=_indices(table, 2, count, where),
        options=_options(name, options, where),
        version=version,
    )


def _options(name: str, table: _Table | None, where: str) -> dict[str, OptionValue]:
    options: dict[str, OptionValue] = {}
    for number, (key, code, default) in enumerate(OPTIONS.get(name, ())):
        value = default if table is None else table.scalar(number, code, default)
        if key == "fused_activation_function":
            if value not in range(len(ACTIVATIONS)):
                raise ModelFileError(f"{where} has the unknown activation {value}")
            value = ACTIVATIONS[int(value)]
        options[key] = value
    return options


def _signatures(model: _Table, count: int) -> dict[str, Signature]:
    signatures = {}
    for table in model.tables(7):
        if table.integer(4, "I") != 0:
            continue
        name = table.text(2)
        maps = []
        for number in (0, 1):
            entries = {t.text(0): t.integer(1, "I") for t in table.tables(number)}
            for key, index in entries.items():
                if index >= count:
                    raise ModelFileError(f"signature '{name}': '{key}' has no tensor {index}")
            maps.append(entries)
        signatures[name] = Signature(name, maps[0], maps[1])
    return signatures


def _metadata(model: _Table, buffers: list[bytes]) -> dict[str, bytes]:
    metadata = {}
    for table in model.tables(6):
        name, buffer = table.text(0), table.integer(1, "I")
        if buffer >= len(buffers):
            raise ModelFileError(f"metadata '{name}' names buffer {buffer} of {len(buffers)}")
        metadata[name] = buffers[buffer]
    return metadata
