"""Small `.tflite` files made by hand through the schema's object API, without TensorFlow."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


class Builder:
    """Collects tensors and operators; `finish` gives the file."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = b"test"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.codes: dict[int, int] = {}

    def tensor(self, name, shape, dtype, scale=None, zero=0, data=None, axis=0) -> int:
        t = schema.TensorT()
        t.name, t.shape, t.type = name.encode(), list(shape), TYPES[dtype]
        t.hasRank = True
        t.buffer = 0
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale = [float(s) for s in np.atleast_1d(np.asarray(scale, np.float32))]
            q.zeroPoint = [int(zero)] * len(q.scale)
            q.quantizedDimension = axis
            t.quantization = q
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            t.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def const(self, name, data, dtype, scale=None, zero=0, axis=0) -> int:
        data = np.asarray(data, dtype)
        return self.tensor(name, data.shape, dtype, scale, zero, data, axis)

    def op(self, name: str, inputs, outputs, version=1, **options: Any):
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes[code] = len(self.model.operatorCodes)
            c = schema.OperatorCodeT()
            c.builtinCode, c.deprecatedBuiltinCode, c.version = code, min(code, 127), version
            self.model.operatorCodes.append(c)
        o = schema.OperatorT()
        o.opcodeIndex = self.codes[code]
        o.inputs, o.outputs = list(inputs), list(outputs)
        title = OPTIONS.get(name, "".join(p.capitalize() for p in name.split("_")))
        kind = f"{title}Options"
        if hasattr(schema, kind + "T"):
            o.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            o.builtinOptions = getattr(schema, kind + "T")()
            for key, value in options.items():
                assert hasattr(o.builtinOptions, key), key
                setattr(o.builtinOptions, key, value)
        self.graph.operators.append(o)
        return outputs[0]

    def finish(self, inputs, outputs, signature=None) -> bytes:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        if signature is not None:
            s = schema.SignatureDefT()
            s.signatureKey, s.subgraphIndex = b"step", 0
            s.inputs, s.outputs = [], []
            for names, target in zip(signature, (s.inputs, s.outputs), strict=True):
                for name, index in names.items():
                    m = schema.TensorMapT()
                    m.name, m.tensorIndex = name.encode(), index
                    target.append(m)
            self.model.signatureDefs = [s]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


OPTIONS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "AVERAGE_POOL_2D": "Pool2D",
    "MAX_POOL_2D": "Pool2D",
    "MEAN": "Reducer",
    "SUM": "Reducer",
    "MAXIMUM": "MaximumMinimum",
    "MINIMUM": "MaximumMinimum",
    "SPLIT_V": "SplitV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


class Cells(Builder):
    """Quantized recurrent cells, one FULLY_CONNECTED a gate, as the converter writes them."""

    def __init__(self, precision: str, per_channel: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.wide = precision == "int16x8"
        self.dtype = "int16" if self.wide else "int8"
        self.per_channel = per_channel
        self.random = np.random.default_rng(seed)

    def value(self, name, n, limit, sigmoid=False):
        """An activation of n elements with values up to `limit` (a power of two)."""
        if self.wide:
            return self.tensor(name, (1, n), "int16", limit / 32768)
        if sigmoid:
            return self.tensor(name, (1, n), "int8", 1 / 256, -128)
        return self.tensor(name, (1, n), "int8", limit / 128 * 0.98, 3)

    def scale(self, t):
        return self.graph.tensors[t].quantization.scale[0]

    def dense(self, name, x, n, limit, bias=True, spread=1.0):
        (_, m) = self.graph.tensors[x].shape
        w = self.random.normal(0, spread / np.sqrt(m), (n, m))
        top = np.abs(w).max(1) if self.per_channel else np.abs(w).max()
        scales = np.float32(np.atleast_1d(top) / 127)
        q = np.clip(np.rint(w / scales.reshape(-1, 1)), -127, 127)
        weights = self.const(f"{name}/kernel", q, "int8", scales)
        out = self.value(name, n, limit)
        inputs = [x, weights]
        if bias:
            b = self.random.normal(0, 0.3, n)
            bias_scales = scales.astype(np.float64) * self.scale(x)
            kind = "int64" if self.wide else "int32"
            inputs.append(self.const(f"{name}/bias", np.rint(b / bias_scales), kind, bias_scales))
        else:
            inputs.append(-1)
        self.op("FULLY_CONNECTED", inputs, [out], version=4)
        return out

    def unary(self, op, name, x):
        (_, n) = self.graph.tensors[x].shape
        if op == "TANH" and not self.wide:
            out = self.tensor(name, (1, n), "int8", 1 / 128, 0)
        else:
            out = self.value(name, n, 1, sigmoid=op == "LOGISTIC")
        return self.op(op, [x], [out])

    def binary(self, op, name, a, b, limit=None, out=None):
        n = max(self.graph.tensors[t].shape[-1] for t in (a, b))
        out = self.value(name, n, limit) if out is None else out
        if self.wide and op in ("ADD", "SUB"):
            return self.op(op, [a, b], [out], version=1, potScaleInt16=False)
        return self.op(op, [a, b], [out])

    def gru(self, layer, x, h, n, out):
        """Keras' GRU with reset_after: z, r, candidate, and the new state into `out`."""
        gates = {}
        for gate in "zr":
            a = self.dense(f"{layer}/{gate}/x", x, n, 8, spread=2)
            b = self.dense(f"{layer}/{gate}/h", h, n, 8, spread=2)
            s = self.binary("ADD", f"{layer}/{gate}/sum", a, b, 8)
            gates[gate] = self.unary("LOGISTIC", f"{layer}/{gate}", s)
        a = self.dense(f"{layer}/hh/x", x, n, 8, spread=2)
        b = self.dense(f"{layer}/hh/h", h, n, 8, spread=2)
        p = self.binary("MUL", f"{layer}/hh/reset", gates["r"], b, 8)
        s = self.binary("ADD", f"{layer}/hh/sum", a, p, 8)
        hh = self.unary("TANH", f"{layer}/hh", s)
        keep = self.binary("MUL", f"{layer}/keep", gates["z"], h, 1)
        one = self.const(
            "one",
            [32767] if self.wide else [127],
            self.dtype,
            *((1 / 32768,) if self.wide else (1 / 255, -128)),
        )
        inv = self.binary("SUB", f"{layer}/inv", one, gates["z"], 1)
        new = self.binary("MUL", f"{layer}/new", inv, hh, 1)
        return self.binary("ADD", f"{layer}/next", keep, new, out=out)

    def lstm(self, layer, x, h, c, n, h_out, c_out):
        gates = {}
        for gate in "ifgo":
            a = self.dense(f"{layer}/{gate}/x", x, n, 8, spread=2)
            b = self.dense(f"{layer}/{gate}/h", h, n, 8, bias=False, spread=2)
            s = self.binary("ADD", f"{layer}/{gate}/sum", a, b, 8)
            gates[gate] = self.unary("TANH" if gate == "g" else "LOGISTIC", f"{layer}/{gate}", s)
        keep = self.binary("MUL", f"{layer}/keep", gates["f"], c, 8)
        new = self.binary("MUL", f"{layer}/new", gates["i"], gates["g"], 1)
        self.binary("ADD", f"{layer}/cell", keep, new, out=c_out)
        t = self.unary("TANH", f"{layer}/squash", c_out)
        return self.binary("MUL", f"{layer}/next", gates["o"], t, out=h_out)


def step_model(
    cell="gru",
    precision="int16x8",
    features=40,
    units=64,
    classes=12,
    layers=1,
    per_channel=True,
    seed=0,
) -> bytes:
    """A stack of cells and a Dense layer as a step model with explicit states."""
    b = Cells(precision, per_channel, seed)
    x = b.value("x", features, 4)
    ins, outs, value = {"x": x}, {}, x
    for k in range(layers):
        names = [f"h{k}"] + ([f"c{k}"] if cell == "lstm" else [])
        limits = {"h": 1, "c": 8}
        before = [b.value(f"{s}_in", units, limits[s[0]]) for s in names]
        after = [b.value(f"{s}_out", units, limits[s[0]]) for s in names]
        ins.update(zip(names, before, strict=True))
        outs.update(zip(names, after, strict=True))
        layer = f"{cell}_{k}"
        if cell == "gru":
            value = b.gru(layer, value, before[0], units, after[0])
        else:
            value = b.lstm(layer, value, *before, units, *after)
    outs = {"y": b.dense("dense", value, classes, 16), **outs}
    return b.finish(ins.values(), outs.values(), (ins, outs))
