"""Small step models, made without a converter: h' = tanh(mean(x) + h), y = sigmoid(h')."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb

from edgernn.metadata import KEY, Metadata

TYPES = {
    "float32": fb.TensorType.FLOAT32,
    "int8": fb.TensorType.INT8,
    "int16": fb.TensorType.INT16,
    "int32": fb.TensorType.INT32,
}
# Scales and zero points of x, sum, state and y; the last two are what the kernels demand.
QUANTIZATION: dict[str, list[tuple[float, int]]] = {
    "int8": [(0.02, -1), (0.03, 3), (1 / 128, 0), (1 / 256, -128)],
    "int16": [(2.0**-12, 0), (2.0**-12, 0), (2.0**-15, 0), (2.0**-15, 0)],
}

Tweak = Callable[[Any], None]


def build(
    dtype: str = "int8",
    features: int = 4,
    frames: int = 1,
    metadata: Metadata | bytes | None = None,
    signature: str | None = "step",
    states: bool = True,
    tweak: Tweak | None = None,
) -> bytes:
    """The bytes of a step model; `tweak` may spoil the `fb.ModelT` before it is packed.

    Tensors: 0 x, 1 sum, 2 state in, 3 state out, 4 y, then for `frames` > 1: 5 axis, 6 mean.
    """
    graph = fb.SubGraphT()
    model = fb.ModelT()
    model.version, model.description, model.buffers = 3, b"a test", [fb.BufferT()]
    model.subgraphs, model.operatorCodes, graph.operators = [graph], [], []
    scales = QUANTIZATION.get(dtype)
    row = [1, features]
    shapes = [row if frames == 1 else [1, frames, features], row, row, row, row]
    kinds = [0, 1, 2, 2, 3]
    names = [b"x", b"sum", b"h_in", b"h_out", b"y"]
    graph.tensors = [
        _tensor(name, shape, TYPES[dtype], scales and scales[kind])
        for name, shape, kind in zip(names, shapes, kinds, strict=True)
    ]
    summand = 0
    if frames > 1:
        axis = fb.BufferT()
        axis.data = np.frombuffer(np.array([1], np.int32).tobytes(), np.uint8)
        model.buffers.append(axis)
        graph.tensors.append(_tensor(b"axis", [1], fb.TensorType.INT32, None, buffer=1))
        graph.tensors.append(_tensor(b"mean", row, TYPES[dtype], scales and scales[0]))
        mean = fb.ReducerOptionsT()
        _operator(model, fb.BuiltinOperator.MEAN, [0, 5], [6], "ReducerOptions", mean)
        summand = 6
    other = 2 if states else summand
    _operator(model, fb.BuiltinOperator.ADD, [summand, other], [1], "AddOptions", fb.AddOptionsT())
    _operator(model, fb.BuiltinOperator.TANH, [1], [3])
    _operator(model, fb.BuiltinOperator.LOGISTIC, [3], [4])
    graph.inputs, graph.outputs = ([0, 2], [4, 3]) if states else ([0], [4])
    model.signatureDefs = []
    if signature is not None:
        entry = fb.SignatureDefT()
        entry.signatureKey, entry.subgraphIndex = signature.encode(), 0
        entry.inputs = [_named(b"x", 0), *([_named(b"h", 2)] if states else [])]
        entry.outputs = [_named(b"y", 4), *([_named(b"h", 3)] if states else [])]
        model.signatureDefs.append(entry)
    if metadata is not None:
        add_metadata(model, metadata if isinstance(metadata, bytes) else metadata.to_json())
    if tweak is not None:
        tweak(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def add_metadata(model: Any, document: bytes) -> None:
    buffer = fb.BufferT()
    buffer.data = np.frombuffer(document, np.uint8)
    model.buffers.append(buffer)
    entry = fb.MetadataT()
    entry.name, entry.buffer = KEY.encode(), len(model.buffers) - 1
    model.metadata = [entry]


def _tensor(
    name: bytes, shape: list[int], kind: int, scale: tuple[float, int] | None, buffer: int = 0
) -> Any:
    tensor = fb.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
    if scale is not None:
        tensor.quantization = fb.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale[0]], [scale[1]]
    return tensor


def _named(name: bytes, index: int) -> Any:
    entry = fb.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def _operator(
    model: Any,
    code: int,
    inputs: list[int],
    outputs: list[int],
    options_name: str = "NONE",
    options: Any = None,
) -> None:
    entry = fb.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = code
    # Version 2 is the int8 form of these operators, 3 the int16 form of tanh and logistic.
    int16 = model.subgraphs[0].tensors[0].type == fb.TensorType.INT16
    entry.version = 3 if int16 and options is None else 2
    model.operatorCodes.append(entry)
    operator = fb.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, outputs
    operator.builtinOptionsType = getattr(fb.BuiltinOptions, options_name)
    operator.builtinOptions = options
    model.subgraphs[0].operators.append(operator)
