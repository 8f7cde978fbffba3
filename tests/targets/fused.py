"""Files with UNIDIRECTIONAL_SEQUENCE_LSTM, laid out as the stock converter writes them."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.targets.build import Builder

TANH = schema.ActivationFunctionType.TANH


def fused_lstm(
    dtype: str,
    length: int = 1,
    sequence: bool = False,
    layers: int = 1,
    *,
    features: int = 3,
    units: int = 6,
    clip: float = 10.0,
    cell_scale: float = 2.0**-14,
    spread: float = 1.0,
    scale: float | None = None,
    bias: str | None = None,
    weights: str | None = None,
    time_major: bool = False,
    seed: int = 0,
    peephole: bool = False,
    stray: bool = False,
) -> bytes:
    """`layers` LSTMs over windows of `length` frames; the last row or (`sequence`) all of them.

    `scale` is that of the input, `spread` how large weights are, `bias` and `weights` their
    types.
    """
    b, rng = Builder(), np.random.default_rng(seed)
    quantized, wide = dtype != "float32", dtype == "int16"
    finer = 256 if wide else 1
    zero = 11 if dtype == "int8" else 0
    scale = (scale or 0.03) / finer if quantized else None
    w_type = weights or ("int8" if quantized else dtype)
    b_type = bias or {"int8": "int32", "int16": "int64"}.get(dtype, dtype)

    def frames(name, columns, *quantization):
        shape = (length, 1, columns) if time_major else (1, length, columns)
        return b.tensor(name, shape, dtype, *quantization)

    x = frames("x", features, scale, zero)
    source, columns = x, features
    for layer in range(layers):
        h_scale = (0.0071 + 0.0003 * layer) / finer if quantized else None
        h_zero = 5 - layer if dtype == "int8" else 0
        matrices, biases = [], []
        for width in (columns, units):
            for gate in range(4):
                w = rng.normal(0, spread / np.sqrt(width), (units, width))
                name = f"lstm{layer}_w{width}_{gate}"
                if quantized:
                    top = float(np.float32(np.abs(w).max() / 127))
                    matrices.append(b.const(name, np.rint(w / top).clip(-127, 127), w_type, top))
                else:
                    matrices.append(b.const(name, w, w_type))
        for gate in range(4):
            v, name = rng.normal(0, 0.5, units), f"lstm{layer}_b{gate}"
            if quantized:
                each = b.graph.tensors[matrices[gate]].quantization.scale[0] * scale
                biases.append(b.const(name, np.rint(v / each), b_type, each))
            else:
                biases.append(b.const(name, v, dtype))
        h = b.tensor(f"h{layer}", (1, units), dtype, h_scale, h_zero)
        c_type = "int16" if quantized else dtype
        c = b.tensor(f"c{layer}", (1, units), c_type, cell_scale if quantized else None)
        for state in (h, c):
            b.graph.tensors[state].isVariable = True
        peepholes = [b.const(f"p{i}", np.ones(units), c_type, 0.1) for i in range(3)]
        peepholes = peepholes if peephole else [-1] * 3
        y = frames(f"rows{layer}", units, h_scale, h_zero)
        b.op(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [source, *matrices, *peepholes, *biases, -1, -1, h, c, -1, -1, -1, -1],
            [y],
            fusedActivationFunction=TANH,
            cellClip=clip,
            timeMajor=time_major,
        )
        if quantized:
            b.graph.operators[-1].intermediates = [
                *(b.tensor(f"inner{layer}_{i}", (0,), "float32") for i in range(4)),
                b.tensor(f"hidden{layer}", (0,), dtype, h_scale, h_zero),
            ]
        source, columns, scale = y, units, h_scale
    if stray:
        b.graph.tensors[b.tensor("stray", (1, units), dtype, h_scale)].isVariable = True
    if not sequence:
        like = b.graph.tensors[source].quantization
        last = b.tensor("last", (1, units), dtype, like.scale[0] if like else None, h_zero)
        begin, keep = ([-1, 0, 0], 6) if time_major else ([0, -1, 0], 5)
        corners = [b.const(n, v, "int32") for n, v in (
            ("begin", begin), ("end", [0, 0, 0]), ("strides", [1, 1, 1]))]  # fmt: skip
        b.op("STRIDED_SLICE", [source, *corners], [last],
             beginMask=keep, endMask=keep, shrinkAxisMask=7 - keep)  # fmt: skip
        source = last
    return b.finish([x], [source])
