"""Edit `.tflite` files through the schema's object API: signature, metadata, types at the edges."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgernn.metadata import KEY, Metadata

SIGNATURE = "step"

_VERSIONS = {
    schema.BuiltinOperator.QUANTIZE: 2,
    schema.BuiltinOperator.DEQUANTIZE: 3,
    schema.BuiltinOperator.ADD: 3,
    schema.BuiltinOperator.CAST: 1,
}
"""Version of each operator's kernel that takes int16, from lite/tools/versioning/op_version.cc."""


def unpack(data: bytes) -> Any:
    """The file as a mutable `ModelT`."""
    return schema.ModelT.InitFromPackedBuf(data, 0)


def pack(model: Any) -> bytes:
    """A `ModelT` as the bytes of a `.tflite` file."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def name_signature(data: bytes, names: dict[str, str]) -> bytes:
    """Rename the only signature to `step` and its arguments as `names` says.

    The tensors at the edge take the same names (`_next` behind a state's output), and what the
    stock converter noted in the metadata goes.
    """
    model = unpack(data)
    (signature,) = model.signatureDefs
    signature.signatureKey = SIGNATURE.encode()
    for entry in [*signature.inputs, *signature.outputs]:
        name = entry.name.decode()
        entry.name = names.get(name, name).encode()
    graph = model.subgraphs[0]
    for kind in ("inputs", "outputs"):
        entries = {e.name.decode(): e for e in getattr(signature, kind)}
        first = "x" if kind == "inputs" else "y"
        order = [first, *(n for n in names.values())]
        setattr(signature, kind, [entries[name] for name in order])
        indices = [entries[name].tensorIndex for name in order]
        setattr(graph, kind, list(dict.fromkeys(indices)))
        suffix = "" if kind == "inputs" else "_next"
        for name, index in zip(order, indices, strict=True):
            graph.tensors[index].name = (name if name == first else name + suffix).encode()
    _name_results(graph)
    model.metadata = []
    return pack(model)


def _name_results(graph: Any) -> None:
    """Name the result of a matrix product as its weights were, and that of a gate after its sum."""
    for op in graph.operators:
        source, result = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        weights = graph.tensors[op.inputs[1]] if len(op.inputs) > 1 else None
        if weights is not None and result.name.split(b";")[0] == weights.name + b"1":
            result.name = weights.name
            weights.name += b"_weights"
        if len(op.inputs) == 1 and source.name.endswith(b"_sum") and b"/" in result.name:
            result.name = source.name[: -len("_sum")]


def free_int16_scales(data: bytes) -> bytes:
    """Clear `pot_scale_int16` on ADD and SUB: with it, LiteRT takes power-of-two scales for a
    promise that one input has the output's scale, and refuses the model where that is not so."""
    model = unpack(data)
    for op in model.subgraphs[0].operators:
        if isinstance(op.builtinOptions, (schema.AddOptionsT, schema.SubOptionsT)):
            op.builtinOptions.potScaleInt16 = False
    return pack(model)


def drop_edge_quantize(data: bytes, states: tuple[str, ...]) -> bytes:
    """Make a state as wide inside as outside: drop the QUANTIZE behind its input and before its
    output, so that the int16 tensors they lead to and from are carried themselves."""
    model = unpack(data)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    quantize = _code(model, schema.BuiltinOperator.QUANTIZE)
    for kind, ends in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for entry in ends:
            if entry.name.decode() not in states:
                continue
            here, there = ("inputs", "outputs") if kind == "inputs" else ("outputs", "inputs")
            for op in [o for o in graph.operators if o.opcodeIndex == quantize]:
                if getattr(op, here)[0] != entry.tensorIndex:
                    continue
                outer, inner = graph.tensors[entry.tensorIndex], getattr(op, there)[0]
                graph.tensors[inner].name, outer.name = outer.name, outer.name + b"_dropped"
                edge = list(getattr(graph, kind))
                setattr(graph, kind, [inner if i == entry.tensorIndex else i for i in edge])
                entry.tensorIndex = inner
                graph.operators.remove(op)
                break
    return pack(model)


def widen_by_cast(data: bytes) -> bytes:
    """Say each QUANTIZE from int8 to int16 as CAST and ADD, which tflite-runtime 2.14 has too.

    A CAST keeps the integer, so the value moves by the zero point; the ADD of a constant moves it
    back, and is left out where the zero point is 0.
    """
    model = unpack(data)
    graph = model.subgraphs[0]
    quantize = _code(model, schema.BuiltinOperator.QUANTIZE)
    operators = []
    for op in graph.operators:
        operators.append(op)
        if op.opcodeIndex != quantize:
            continue
        source, target = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        if (source.type, target.type) != (schema.TensorType.INT8, schema.TensorType.INT16):
            continue
        (scale,), (zero_point,) = source.quantization.scale, source.quantization.zeroPoint
        op.opcodeIndex = _code(model, schema.BuiltinOperator.CAST)
        op.builtinOptionsType = schema.BuiltinOptions.CastOptions
        op.builtinOptions = schema.CastOptionsT()
        op.builtinOptions.inDataType = schema.TensorType.INT8
        op.builtinOptions.outDataType = schema.TensorType.INT16
        if zero_point == 0:
            target.quantization.scale = [scale]
            continue
        shifted = _int16_tensor(graph, target.name + b"_cast", target.shape, scale)
        offset = -scale * zero_point
        unit = float(np.exp2(np.ceil(np.log2(abs(offset) / 32767))))
        constant = _int16_tensor(graph, target.name + b"_zero", [], unit)
        graph.tensors[constant].buffer = len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(
            np.array(np.rint(offset / unit), "<i2").tobytes(), np.uint8
        )
        add = schema.OperatorT()
        add.opcodeIndex = _code(model, schema.BuiltinOperator.ADD)
        add.builtinOptionsType = schema.BuiltinOptions.AddOptions
        add.builtinOptions = schema.AddOptionsT()
        add.builtinOptions.potScaleInt16 = False
        add.inputs, add.outputs = [shifted, constant], op.outputs
        op.outputs = [shifted]
        operators.append(add)
    graph.operators = operators
    return pack(model)


def _int16_tensor(graph: Any, name: bytes, shape: Any, scale: float) -> int:
    """Append an int16 tensor; returns its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.INT16, 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def set_edge_type(data: bytes, name: str, dtype: str, scale: float, zero_point: int) -> bytes:
    """Give `x` or `y` another type, with a QUANTIZE or DEQUANTIZE between it and the old tensor.

    `scale` and `zero_point` are of the new tensor; a float32 edge ignores them.
    """
    model = unpack(data)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    kind = "inputs" if name == "x" else "outputs"
    (entry,) = (e for e in getattr(signature, kind) if e.name.decode() == name)
    inner = entry.tensorIndex
    outer = schema.TensorT()
    outer.shape, outer.name, outer.buffer = graph.tensors[inner].shape, name.encode(), 0
    outer.type = getattr(schema.TensorType, dtype.upper())
    if dtype != "float32":
        outer.quantization = schema.QuantizationParametersT()
        outer.quantization.scale, outer.quantization.zeroPoint = [scale], [zero_point]
    graph.tensors[inner].name += b"_quantized"
    graph.tensors.append(outer)
    index = len(graph.tensors) - 1
    to_float = kind == "outputs" and dtype == "float32"
    builtin = schema.BuiltinOperator.DEQUANTIZE if to_float else schema.BuiltinOperator.QUANTIZE
    op = schema.OperatorT()
    op.opcodeIndex = _code(model, builtin)
    op.inputs, op.outputs = ([index], [inner]) if kind == "inputs" else ([inner], [index])
    graph.operators.insert(0 if kind == "inputs" else len(graph.operators), op)
    entry.tensorIndex = index
    states = {e.tensorIndex for e in getattr(signature, kind)}
    edge = [index if i == inner else i for i in getattr(graph, kind)]
    setattr(graph, kind, edge if inner not in states else [*edge, inner])
    return pack(model)


def _code(model: Any, builtin: int) -> int:
    """Index of the operator code, added if the model does not have it yet."""
    for i, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            return i
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version = _VERSIONS.get(builtin, 1)
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def prune(data: bytes) -> bytes:
    """Remove tensors that nothing reads or writes any more."""
    model = unpack(data)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    ends = [*signature.inputs, *signature.outputs]
    used = {i for op in graph.operators for i in (*op.inputs, *op.outputs)}
    used |= {*graph.inputs, *graph.outputs, *(e.tensorIndex for e in ends)}
    kept = [i for i in range(len(graph.tensors)) if i in used]
    new = {old: position for position, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[i] for i in kept]
    for owner in (graph, *graph.operators):
        owner.inputs = [new[i] for i in owner.inputs]
        owner.outputs = [new[i] for i in owner.outputs]
    for entry in ends:
        entry.tensorIndex = new[entry.tensorIndex]
    return pack(model)


def add_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Put the EDGERNN document into the file, in place of any earlier one."""
    model = unpack(data)
    buffer = schema.BufferT()
    buffer.data = list(metadata.to_json())
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY.encode(), len(model.buffers) - 1
    kept = [m for m in model.metadata or [] if m.name.decode() != KEY]
    model.metadata = [*kept, entry]
    return pack(model)
