"""Mutated models: bytes of a file, or a graph after reading, with the invariants of reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np

from edgernn.foreign import step_file
from edgernn.tflite import MAX_ELEMENTS, Graph, Operator, Signature, Tensor
from edgernn.tflite_schema import ACTIVATIONS, OPERATORS, OPTIONS, TENSOR_TYPES
from targets.lowering.base import FLOAT_LOWERINGS, LOWERINGS
from tests.targets.build import TYPES, Builder, step_model
from tests.targets.fused import fused_lstm

KNOWN = sorted({*LOWERINGS, *FLOAT_LOWERINGS})
INTEGERS = [-(1 << 31), -65536, -128, -2, -1, 0, 1, 2, 3, 7, 127, 255, 32767, 65536, (1 << 31) - 1]
FLOATS = [0.0, -1.0, 1.0, 1e-38, 3e38, math.inf, -math.inf, math.nan, 1e-3, 0.5]
SCALES = [1e-44, 1e-20, 1e-7, 2.0**-15, 2.0**-7, 0.01, 1.0, 1e10, 3e38]
NAMES = ["", "*/", "\\", "int", "x" * 300, "\u00e9", "a;b", "/", "state", "%s", "\n#error"]


def seeds() -> list[bytes]:
    """Small models that between them use every lowering."""
    small = {"features": 3, "units": 4, "classes": 2}
    files = [step_model(cell, precision, **small)
             for cell in ("gru", "lstm") for precision in ("int8", "int16x8")]  # fmt: skip
    for dtype in ("int8", "int16", "float32"):
        files.append(step_file(fused_lstm(dtype, 2, True)))
        q = (None,) if dtype == "float32" else (2.0**-7,)
        known = FLOAT_LOWERINGS if dtype == "float32" else LOWERINGS
        files += [_one(name, dtype, q) for name in known if name not in ("GATHER", "SPLIT_V")]
    return files


def _one(name: str, dtype: str, q: tuple[float | None]) -> bytes:
    """One operator with inputs of roughly the right kind; some of these are refused as they are."""
    b = Builder()
    shape = (1, 4, 4, 2) if "2D" in name else (1, 4)
    x = b.tensor("layer/x", shape, dtype, *q)
    result: tuple[float | None, ...] = q
    if name in ("LOGISTIC", "SOFTMAX", "TANH") and dtype != "float32":
        result = (2.0**-8, -128) if dtype == "int8" and name != "TANH" else (2.0**-15, 0)
    inputs, outputs, options = [x], [b.tensor("layer/y", shape, dtype, *result)], {}
    weights = "float32" if dtype == "float32" else "int8"
    if name in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "DIV"):
        inputs.append(b.tensor("layer/z", shape, dtype, *q))
    elif name == "FULLY_CONNECTED":
        inputs += [b.const("w", np.ones((4, 4)), weights, *q), -1]
    elif name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        kernel = (2, 2, 2, 2) if name == "CONV_2D" else (1, 2, 2, 2)
        inputs.append(b.const("w", np.ones(kernel), weights, *q))
        options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    elif "POOL" in name:
        options = {"strideH": 1, "strideW": 1, "filterHeight": 2, "filterWidth": 2}
    elif name in ("MEAN", "SUM", "TRANSPOSE", "RESHAPE", "EXPAND_DIMS"):
        inputs.append(b.const("axes", [1] if name != "TRANSPOSE" else [0, 1], "int32"))
    elif name == "SPLIT":
        inputs = [b.const("axis", 1, "int32"), x]
        outputs = [b.tensor(n, (1, 2), dtype, *q) for n in "ab"]
    elif name in ("SLICE", "STRIDED_SLICE"):
        lists = [[0, 0], [1, 4], [1, 1]][: 3 if name == "STRIDED_SLICE" else 2]
        inputs += [b.const(n, v, "int32") for n, v in zip("bes", lists, strict=False)]
    elif name in ("CONCATENATION", "PACK"):
        outputs = [b.tensor("y", (1, 8) if name == "CONCATENATION" else (1, 2, 4), dtype, *q)]
        inputs, options = [x, x], {"axis": 1}
    elif name == "UNPACK":
        outputs, options = [b.tensor("y", (4,), dtype, *q)], {"axis": 0, "num": 1}
    elif name == "PRELU":
        inputs.append(b.const("alpha", [1, 2, 3, 4], weights, *q))
    elif name == "CAST":
        options = {"inDataType": TYPES[dtype], "outDataType": TYPES[dtype]}
    b.op(name, inputs, outputs, **options)
    fed = dict.fromkeys(i for i in inputs if i >= 0 and b.graph.tensors[i].buffer == 0)
    return b.finish(fed, outputs)


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Some bytes changed, a piece cut out, doubled or appended, or the end missing."""
    damaged = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        kind, at = random.randrange(8), random.randrange(len(damaged))
        if kind < 4:
            damaged[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 4:
            damaged[at : at + 4] = random.choice(INTEGERS).to_bytes(4, "little", signed=True)
        elif kind == 5:
            damaged[at] ^= 1 << random.randrange(8)
        elif kind == 6:
            end = min(len(damaged), at + random.randint(1, 40))
            to = random.randrange(len(damaged))
            damaged[to : to + end - at] = damaged[at:end]
        else:
            del damaged[random.randrange(max(at, 1)) : random.choice((at, len(damaged))) + 1]
            if len(damaged) < 9:
                break
    return bytes(damaged)


def mutate_graph(graph: Graph, random: Random) -> Graph:
    """A few changes that a well-formed file could hold as well."""
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        graph = random.choice(_CHANGES)(graph, random)
    return graph


def _tensor(change: Callable[[Tensor, Random], Tensor]) -> Callable[[Graph, Random], Graph]:
    def apply(graph: Graph, random: Random) -> Graph:
        tensors = list(graph.tensors)
        k = random.randrange(len(tensors))
        tensors[k] = change(tensors[k], random)
        return replace(graph, tensors=tuple(tensors))

    return apply


def _operator(
    change: Callable[[Operator, Graph, Random], Operator],
) -> Callable[[Graph, Random], Graph]:
    def apply(graph: Graph, random: Random) -> Graph:
        if not graph.operators:
            return graph
        operators = list(graph.operators)
        k = random.randrange(len(operators))
        operators[k] = change(operators[k], graph, random)
        return replace(graph, operators=tuple(operators))

    return apply


def _filled(tensor: Tensor, random: Random) -> Tensor:
    """A constant keeps being one if NumPy has its type and it is small."""
    if tensor.data is None and random.random() < 0.9:
        return tensor
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError:
        return replace(tensor, data=None)
    if not 0 < tensor.elements <= 256 or min(tensor.shape, default=1) < 0 or dtype.kind in "OU":
        return replace(tensor, data=None)
    raw = bytes(random.randrange(256) for _ in range(tensor.elements * dtype.itemsize))
    if random.random() < 0.5 and dtype.kind in "iu":
        small = np.array([random.randint(0, 4) for _ in range(tensor.elements)], dtype)
        raw = small.tobytes()
    return replace(tensor, data=np.frombuffer(raw, dtype).reshape(tensor.shape))


def _dtype(tensor: Tensor, random: Random) -> Tensor:
    kinds = random.choice((TENSOR_TYPES, ("int8", "int16", "int32", "float32")))
    return _filled(replace(tensor, dtype=random.choice(kinds)), random)


def _shape(tensor: Tensor, random: Random) -> Tensor:
    shape = list(tensor.shape)
    kind = random.randrange(5)
    if kind == 0 or not shape:
        shape.insert(random.randint(0, len(shape)), random.choice((0, 1, 1, 2, 3, -1)))
    elif kind == 1:
        shape.pop(random.randrange(len(shape)))
    elif kind == 2:
        random.shuffle(shape)
    else:
        shape[random.randrange(len(shape))] = random.choice((0, 1, 2, 3, 5, 8, 1000, 1 << 20, -1))
    if math.prod(abs(n) for n in shape) > MAX_ELEMENTS:
        return tensor
    scale, zero = (tensor.scale[:1], tensor.zero_point[:1])
    return _filled(replace(tensor, shape=tuple(shape), scale=scale, zero_point=zero), random)


def _quantization(tensor: Tensor, random: Random) -> Tensor:
    axes = [k for k, n in enumerate(tensor.shape) if 1 < n < 100]
    count, axis = random.choice((0, 1, 1, 1)), 0
    if axes and random.random() < 0.3:
        axis = random.choice(axes)
        count = tensor.shape[axis]
    scale = tuple(float(np.float32(random.choice(SCALES))) for _ in range(count))
    zero = tuple(random.choice((0, 0, -128, 127, 5, 65536, -65536)) for _ in range(count))
    return replace(tensor, scale=scale, zero_point=zero, axis=axis)


def _options(name: str, random: Random) -> dict[str, int | float | bool | str]:
    options: dict[str, int | float | bool | str] = {}
    for key, code, default in OPTIONS.get(name, ()):
        if key == "fused_activation_function":
            options[key] = random.choice(ACTIVATIONS) if random.random() < 0.3 else "NONE"
        elif random.random() < 0.5:
            options[key] = default
        elif code == "f":
            options[key] = random.choice(FLOATS)
        else:
            options[key] = random.choice((-1, 0, 1, 1, 2, 3, random.choice(INTEGERS)))
    return options


def _rename(op: Operator, graph: Graph, random: Random) -> Operator:
    name = random.choice(OPERATORS if random.random() < 0.1 else KNOWN)
    return replace(op, name=name, options=_options(name, random))


def _wires(op: Operator, graph: Graph, random: Random) -> Operator:
    side = random.choice(("inputs", "inputs", "outputs"))
    wires = list(getattr(op, side))
    kind, other = random.randrange(4), random.randrange(len(graph.tensors))
    if kind == 0 or not wires:
        wires.insert(random.randint(0, len(wires)), other)
    elif kind == 1:
        wires.pop(random.randrange(len(wires)))
    elif kind == 2:
        wires[random.randrange(len(wires))] = other if side == "outputs" else -1
    else:
        wires[random.randrange(len(wires))] = other
    return replace(op, **{side: tuple(wires)})


def _order(graph: Graph, random: Random) -> Graph:
    operators = list(graph.operators)
    kind = random.randrange(3)
    if kind == 0:
        random.shuffle(operators)
    elif kind == 1 and operators:
        operators.append(random.choice(operators))
    elif operators:
        operators.pop(random.randrange(len(operators)))
    return replace(graph, operators=tuple(operators))


def _ports(graph: Graph, random: Random) -> Graph:
    side = random.choice(("inputs", "outputs"))
    ports = list(getattr(graph, side))
    if ports and random.random() < 0.5:
        ports.pop(random.randrange(len(ports)))
    else:
        ports.append(random.randrange(len(graph.tensors)))
    return replace(graph, **{side: tuple(ports)})


def _signature(graph: Graph, random: Random) -> Graph:
    sides = []
    for ports in (graph.inputs, graph.outputs):
        names = random.sample(["x", "y", "h", "h0", "", "int", "state"], 7)
        sides.append(dict(zip(names, ports, strict=False)))
    return replace(graph, signatures={"step": Signature("step", *sides)})


def _metadata(graph: Graph, random: Random) -> Graph:
    texts = [b"", b"{", b"[]", b'{"format": 1}', b"\xff", b'{"states": [{"name": "h"}]}']
    return replace(graph, metadata={"EDGERNN": random.choice(texts)})


_CHANGES: list[Callable[[Graph, Random], Graph]] = [
    *[_tensor(_dtype)] * 3,
    *[_tensor(_shape)] * 4,
    *[_tensor(_quantization)] * 3,
    _tensor(lambda tensor, random: replace(tensor, name=random.choice(NAMES))),
    _tensor(_filled),
    *[_operator(lambda op, graph, random: replace(op, options=_options(op.name, random)))] * 2,
    *[_operator(_rename)] * 3,
    *[_operator(_wires)] * 3,
    _order,
    _ports,
    _signature,
    _metadata,
]
