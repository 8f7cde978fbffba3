"""Edit `.tflite` files through the schema's object API: signature, metadata, types at the edges."""

from __future__ import annotations

import itertools
import math
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
    schema.BuiltinOperator.GATHER: 2,
}
"""Version of each operator's kernel that takes int16, from lite/tools/versioning/op_version.cc."""

_SAME_SCALE = (
    schema.BuiltinOperator.CONCATENATION,
    schema.BuiltinOperator.RESHAPE,
    schema.BuiltinOperator.STRIDED_SLICE,
    schema.BuiltinOperator.SPLIT,
    schema.BuiltinOperator.PACK,
    schema.BuiltinOperator.MAXIMUM,
)
"""Operators whose operands must keep the scale that the quantizer gave them."""


def unpack(data: bytes) -> Any:
    """The file as a mutable `ModelT`."""
    return schema.ModelT.InitFromPackedBuf(data, 0)


def pack(model: Any) -> bytes:
    """A `ModelT` as the bytes of a `.tflite` file."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def name_signature(
    data: bytes, inputs: dict[str, str], outputs: dict[str, str], states: dict[str, str]
) -> bytes:
    """Rename the only signature to `step` and its arguments as the names say.

    The tensors at the edge take the same names (`_next` behind a state's output), and what the
    stock converter noted in the metadata goes.
    """
    model = unpack(data)
    (signature,) = model.signatureDefs
    signature.signatureKey = SIGNATURE.encode()
    for entry in [*signature.inputs, *signature.outputs]:
        name = entry.name.decode()
        entry.name = {**inputs, **outputs, **states}[name].encode()
    graph = model.subgraphs[0]
    for kind, ends in (("inputs", inputs), ("outputs", outputs)):
        entries = {e.name.decode(): e for e in getattr(signature, kind)}
        order = [*ends.values(), *states.values()]
        setattr(signature, kind, [entries[name] for name in order])
        indices = [entries[name].tensorIndex for name in order]
        setattr(graph, kind, list(dict.fromkeys(indices)))
        suffix = "" if kind == "inputs" else "_next"
        for name, index in zip(order, indices, strict=True):
            carried = name in states.values()
            graph.tensors[index].name = (name + suffix if carried else name).encode()
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


def flat_products(data: bytes) -> bytes:
    """Give every FULLY_CONNECTED matrices to work on, with a RESHAPE on either side that needs one.

    The int16 kernel of tflite-runtime 2.14 takes the second axis of the result for its columns,
    also where `keep_num_dims` leaves more axes before the last.
    """
    model = unpack(data)
    graph = model.subgraphs[0]
    operators = []
    for op in graph.operators:
        wide = getattr(op.builtinOptions, "keepNumDims", False)
        if not wide or len(graph.tensors[op.outputs[0]].shape) == 2:
            operators.append(op)
            continue
        op.builtinOptions.keepNumDims = False
        source, result = op.inputs[0], op.outputs[0]
        # Named after the weights, the result tells of its own layer; else it would of the next.
        weights, x = (graph.tensors[i].name for i in (op.inputs[1], source))
        owner = weights if b"/" in weights else x
        before, after = _matrix(graph, source, owner + b"_rows"), _matrix(graph, result, owner)
        op.inputs = [before, *list(op.inputs)[1:]]
        op.outputs = [after]
        operators += [_reshape(model, source, before), op, _reshape(model, after, result)]
    graph.operators = operators
    return pack(model)


def _matrix(graph: Any, index: int, name: bytes) -> int:
    """Append a tensor with the elements of another, all axes but the last as one."""
    like, tensor = graph.tensors[index], schema.TensorT()
    taken = {t.name for t in graph.tensors}
    numbered = (name + str(i).encode() for i in itertools.count(1))
    tensor.name = next(n for n in numbered if n not in taken)
    tensor.type, tensor.buffer = like.type, 0
    shape = [int(n) for n in like.shape]
    tensor.shape = [math.prod(shape[:-1]), shape[-1]]
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _reshape(model: Any, source: int, target: int) -> Any:
    """A RESHAPE from one tensor to another."""
    op = schema.OperatorT()
    op.opcodeIndex = operator_code(model, schema.BuiltinOperator.RESHAPE)
    op.inputs, op.outputs = [source, _shape_behind_batch(model, target)], [target]
    return op


def open_batches(data: bytes) -> bytes:
    """Let every RESHAPE leave the number of rows open, so that many sequences can run at once."""
    model = unpack(data)
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        ends = [graph.tensors[i].shape for i in (op.inputs[0], op.outputs[0])]
        if code != schema.BuiltinOperator.RESHAPE or not all(len(s) and s[0] == 1 for s in ends):
            continue
        shape = model.buffers[graph.tensors[op.inputs[1]].buffer].data
        if np.frombuffer(bytes(shape), "<i4")[0] == 1:
            op.inputs = [op.inputs[0], _shape_behind_batch(model, op.outputs[0])]
            op.builtinOptionsType, op.builtinOptions = 0, None
    return pack(model)


def _shape_behind_batch(model: Any, index: int) -> int:
    """Append a constant: the shape of a tensor, its first axis left open."""
    graph, constant = model.subgraphs[0], schema.TensorT()
    like = graph.tensors[index]
    shape = np.array([-1, *list(like.shape)[1:]], "<i4")
    constant.name = like.name + f"_shape_{len(graph.tensors)}".encode()
    constant.type = schema.TensorType.INT32
    constant.shape, constant.buffer = [len(shape)], len(model.buffers)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(shape.tobytes(), np.uint8)
    graph.tensors.append(constant)
    return len(graph.tensors) - 1


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
    quantize = operator_code(model, schema.BuiltinOperator.QUANTIZE)
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
    quantize = operator_code(model, schema.BuiltinOperator.QUANTIZE)
    operators, ops = [], list(graph.operators)
    for op in ops:
        operators.append(op)
        if op.opcodeIndex != quantize:
            continue
        source, target = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        if (source.type, target.type) != (schema.TensorType.INT8, schema.TensorType.INT16):
            continue
        (scale,), (zero_point,) = source.quantization.scale, source.quantization.zeroPoint
        op.opcodeIndex = operator_code(model, schema.BuiltinOperator.CAST)
        op.builtinOptionsType = schema.BuiltinOptions.CastOptions
        op.builtinOptions = schema.CastOptionsT()
        op.builtinOptions.inDataType = schema.TensorType.INT8
        op.builtinOptions.outDataType = schema.TensorType.INT16
        moved = any(op.outputs[0] in o.inputs and _code_of(model, o) in _SAME_SCALE for o in ops)
        if zero_point == 0 and not moved:
            target.quantization.scale = [scale]
            continue
        shifted = _int16_tensor(graph, target.name + b"_cast", target.shape, scale)
        offset = -scale * zero_point
        unit = float(np.exp2(np.ceil(np.log2(abs(offset) / 32767)))) if offset else scale
        constant = _int16_tensor(graph, target.name + b"_zero", [], unit)
        graph.tensors[constant].buffer = len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(
            np.array(np.rint(offset / unit), "<i2").tobytes(), np.uint8
        )
        add = schema.OperatorT()
        add.opcodeIndex = operator_code(model, schema.BuiltinOperator.ADD)
        add.builtinOptionsType = schema.BuiltinOptions.AddOptions
        add.builtinOptions = schema.AddOptionsT()
        add.builtinOptions.potScaleInt16 = False
        add.inputs, add.outputs = [shifted, constant], op.outputs
        op.outputs = [shifted]
        operators.append(add)
    graph.operators = operators
    return pack(model)


def _code_of(model: Any, op: Any) -> int:
    code: int = model.operatorCodes[op.opcodeIndex].builtinCode
    return code


def _int16_tensor(graph: Any, name: bytes, shape: Any, scale: float) -> int:
    """Append an int16 tensor; returns its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.INT16, 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def set_edge_type(data: bytes, name: str, dtype: str, scale: float, zero_point: int) -> bytes:
    """Give an input or output that is no state another type.

    A QUANTIZE or DEQUANTIZE stands between it and the old tensor. `scale` and `zero_point` are
    of the new tensor; a float32 edge ignores them.
    """
    model = unpack(data)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    kind = "inputs" if any(e.name.decode() == name for e in signature.inputs) else "outputs"
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
    op.opcodeIndex = operator_code(model, builtin)
    op.inputs, op.outputs = ([index], [inner]) if kind == "inputs" else ([inner], [index])
    graph.operators.insert(0 if kind == "inputs" else len(graph.operators), op)
    entry.tensorIndex = index
    states = {e.tensorIndex for e in getattr(signature, kind)}
    edge = [index if i == inner else i for i in getattr(graph, kind)]
    setattr(graph, kind, edge if inner not in states else [*edge, inner])
    return pack(model)


def operator_code(model: Any, builtin: int) -> int:
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
    return add_entry(data, KEY, metadata.to_json())


def add_entry(data: bytes, key: str, content: bytes) -> bytes:
    """Put bytes into the file's metadata table, in place of any earlier ones under that name."""
    model = unpack(data)
    entry = next((m for m in model.metadata or [] if m.name.decode() == key), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = key.encode(), len(model.buffers)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)
    return pack(model)
