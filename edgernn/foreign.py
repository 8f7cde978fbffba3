"""Stock `.tflite` files whose fused LSTM keeps its state in variables: made into step models.

A variable that is named as an input and an output of the graph is read before a step and written
by it, so a stream carries it like any other state, and streams stay apart. LiteRT's built-in and
reference kernels and TFLM's give with it exactly what they give when they keep it themselves. A
window of T frames is a step of T frames, and the state lasts from window to window, as in TFLM's
reference kernels (TFLM with CMSIS-NN wipes it at every call). Frames of (1, 1, features) and
windows of (T, 1, features) are reshaped, which moves nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn import metadata as md
from edgernn import tflite
from edgernn.errors import MissingDependencyError

FUSED: Final = "UNIDIRECTIONAL_SEQUENCE_LSTM"

STATES: Final = {"h": 18, "c": 19}
"""The operator's inputs that are its state (tensorflow/lite/kernels/lstm_shared.h)."""


def step_file(data: bytes) -> bytes:
    """The bytes themselves, or those of a step model if the file hides the state of fused LSTMs.

    Raises:
        ModelFileError: the bytes are damaged.
        MissingDependencyError: the rewriting needs `ai-edge-litert`, which is not installed.
    """
    graph = tflite.read(data)
    fused = [op for op in graph.operators if op.name == FUSED and len(op.inputs) > STATES["c"]]
    hidden = {t.index for t in graph.tensors if t.is_variable} - set(graph.inputs)
    states = {
        f"{short}{i or ''}": op.inputs[number]
        for i, op in enumerate(fused)
        for short, number in STATES.items()
    }
    if not hidden or hidden != set(states.values()) or len(states) != len(hidden):
        return data  # nothing to do, or nothing that is known: find_step says what
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return data
    return _rewritten(data, graph, states)


def _rewritten(data: bytes, graph: tflite.Graph, states: dict[str, int]) -> bytes:
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise MissingDependencyError(
            "this file hides its state in variables; to make them inputs and outputs: "
            "pip install ai-edge-litert"
        ) from None
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (x,), (y,) = graph.inputs, graph.outputs
    turned = any(op.name == FUSED and op.options["time_major"] for op in graph.operators)
    document = _document(graph, states, turned)
    x = _reshaped(schema, model, x, _step_shape(graph.tensors[x], turned), before=True)
    y = _reshaped(schema, model, y, _step_shape(graph.tensors[y], turned))
    names = {"x": x, **states}, {"y": y, **states}
    model.subgraphs[0].inputs, model.subgraphs[0].outputs = (list(n.values()) for n in names)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"step", 0
    signature.inputs, signature.outputs = (_entries(schema, n) for n in names)
    model.signatureDefs = [signature]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(document.to_json(), np.uint8)
    entry.name, entry.buffer = md.KEY.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(data) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _entries(schema: Any, names: dict[str, int]) -> list[Any]:
    entries = []
    for name, index in names.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        entries.append(entry)
    return entries


def _step_shape(tensor: tflite.Tensor, turned: bool) -> list[int]:
    """`(1, features)` for one frame, `(1, T, features)` for several; `turned`: time comes first."""
    count = _frames(tensor, turned)
    if len(tensor.shape) != 3 or tensor.elements != count * tensor.shape[2]:
        return list(tensor.shape)
    return [1, tensor.shape[2]] if count == 1 else [1, count, tensor.shape[2]]


def _reshaped(schema: Any, model: Any, index: int, shape: list[int], before: bool = False) -> int:
    """A tensor that a new operator makes of this one, or `before` makes this one of it."""
    graph = model.subgraphs[0]
    given = graph.tensors[index]
    if [int(n) for n in given.shape] == shape:
        return index
    tensor = schema.TensorT()
    tensor.name, tensor.type = given.name + b"/step", given.type
    tensor.quantization = given.quantization
    tensor.shape, tensor.buffer, tensor.hasRank = shape, 0, True
    target = given if before else tensor
    wanted, content = schema.TensorT(), schema.BufferT()
    content.data = np.frombuffer(np.array(target.shape, "<i4").tobytes(), np.uint8)
    wanted.name, wanted.type = given.name + b"/shape", schema.TensorType.INT32
    wanted.shape, wanted.buffer, wanted.hasRank = [len(target.shape)], len(model.buffers), True
    model.buffers.append(content)
    graph.tensors += [tensor, wanted]
    new = len(graph.tensors) - 2
    op, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version, op.opcodeIndex = 1, len(model.operatorCodes)
    model.operatorCodes.append(code)
    op.builtinOptionsType, op.builtinOptions = (
        schema.BuiltinOptions.ReshapeOptions,
        schema.ReshapeOptionsT(),
    )
    op.builtinOptions.newShape = list(target.shape)
    op.inputs, op.outputs = [new if before else index, new + 1], [index if before else new]
    graph.operators.insert(0 if before else len(graph.operators), op)
    return new


def _document(graph: tflite.Graph, states: dict[str, int], turned: bool) -> md.Metadata:
    """How many frames a step takes and gives: the lengths of the time axes, where there are any."""
    (x,), (y,) = graph.inputs, graph.outputs
    length, given = (_frames(graph.tensors[t], turned) for t in (x, y))
    return md.Metadata(
        states=tuple(md.State(n, graph.tensors[i].shape) for n, i in states.items()),
        frames_per_step=length,
        outputs_per_step=length if given == length else 1,
    )


def _frames(tensor: tflite.Tensor, turned: bool) -> int:
    return tensor.shape[0 if turned else 1] if len(tensor.shape) == 3 else 1
