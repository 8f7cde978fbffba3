"""Round weights so that the layer's *outputs* move least on the data that calibration saw.

Rounding each weight to its nearest level is best only for inputs that are independent of each
other. A recurrent state is not: it is slow and correlated, and whatever a rounded weight adds to it
stays there for as long as it remembers. So each weight's rounding error is made up for by the
weights not yet rounded, as their inputs' second moments tell (Frantar et al., "GPTQ", ICLR 2023).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters import flatfile
from converters.calibration import Sample

FloatArray = npt.NDArray[np.float64]

LEVELS: Final = 127
DAMPING: Final = 0.01
"""Share of the mean squared input added to every input's own, so that the inverse exists."""

MAX_INPUTS: Final = 1024
"""Wider layers keep plain rounding: the moments would take longer than they are worth."""


def round_weights(data: bytes, sample: Sample, per_tensor: bool) -> bytes:
    """The float step with the weights of every FULLY_CONNECTED on their int8 levels.

    The largest weight of each channel stays, so that the quantizer finds the same scale again; the
    bias takes up what is left of the mean error.
    """
    model = flatfile.unpack(data)
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        if code != schema.BuiltinOperator.FULLY_CONNECTED or op.inputs[0] not in sample.values:
            continue
        weights = _read(model, graph.tensors[op.inputs[1]])
        if weights is None or weights.shape[1] > MAX_INPUTS:
            continue
        x = sample.values[op.inputs[0]].reshape(-1, weights.shape[1]).astype(np.float64)
        axis = None if per_tensor else 1
        scale = np.abs(weights).max(axis=axis, keepdims=True) / LEVELS
        rounded = _rounded(weights, np.where(scale == 0, 1.0, scale), x.T @ x / len(x))
        _write(model, graph.tensors[op.inputs[1]], rounded)
        if op.inputs[2] >= 0:
            bias = graph.tensors[op.inputs[2]]
            _write(model, bias, _read(model, bias) - (rounded - weights) @ x.mean(axis=0))
    return flatfile.pack(model)


def _rounded(weights: FloatArray, scale: FloatArray, moments: FloatArray) -> FloatArray:
    """Weights `(outputs, inputs)` on multiples of `scale`, for inputs of these second moments."""
    count = weights.shape[1]
    damped = moments + np.eye(count) * (DAMPING * np.trace(moments) / count + 1e-12)
    order = np.argsort(-np.diag(damped))  # strongest first, while there is most to adjust
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = weights[:, order].copy()
    levels = np.broadcast_to(scale, weights.shape)
    result = np.empty_like(left)
    for j in range(count):
        step = levels[:, 0]
        result[:, j] = np.clip(np.rint(left[:, j] / step), -LEVELS, LEVELS) * step
        error = (left[:, j] - result[:, j]) / factor[j, j]
        left[:, j + 1 :] -= np.outer(error, factor[j, j + 1 :])
    rounded = np.empty_like(result)
    rounded[:, order] = result
    largest = np.abs(weights) >= LEVELS * levels * (1 - 1e-9)
    return np.where(largest, weights, rounded)


def _read(model: Any, tensor: Any) -> FloatArray | None:
    raw = model.buffers[tensor.buffer].data
    if raw is None or not len(raw):
        return None
    values: FloatArray = np.frombuffer(bytes(raw), np.float32).reshape(tensor.shape).astype(float)
    return values


def _write(model: Any, tensor: Any, values: Any) -> None:
    model.buffers[tensor.buffer].data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
