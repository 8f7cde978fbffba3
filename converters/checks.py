"""What must hold before a step model is written; a file that breaks a contract is never saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from converters.rolling import Array, outputs
from converters.trace import FloatStep
from edgernn import tflite
from edgernn.errors import UnsupportedError

FLOAT_TOLERANCE = 1e-5
"""Largest difference between the float step and Keras, relative to outputs above 1."""

_FORBIDDEN = ("WHILE", "IF", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


def layer_of(tensor: tflite.Tensor, last: str) -> str:
    """The Keras layer that a tensor's name tells of; `last` is the layer that gives `y`."""
    name = tensor.name.split(";")[0]
    if name == "y":
        return last
    return name.rsplit("/", 1)[0] if "/" in name else name


def check_file(data: bytes, quantized: bool, last: str) -> None:
    """Check operators, types and tied states of a finished file; `last` names the last layer.

    Raises:
        UnsupportedError: naming the layer whose operator breaks the contract.
    """
    graph = tflite.read(data)
    signature = graph.signatures["step"]
    if graph.subgraphs != 1:
        raise UnsupportedError("the model has loops or branches of its own (several subgraphs)")
    edges = {signature.inputs["x"], signature.outputs["y"]}
    for op in graph.operators:
        where = f"layer '{layer_of(graph.tensors[op.outputs[0]], last)}'"
        if op.name in _FORBIDDEN or op.name.startswith(("CUSTOM", "UNKNOWN")):
            raise UnsupportedError(
                f"{where}: it becomes {op.name}, which no small runtime has; write it with "
                "keras.ops on single frames"
            )
        if op.name in ("QUANTIZE", "DEQUANTIZE"):  # they only surround the operator to blame
            continue
        for index in (*op.inputs, *op.outputs):
            tensor = graph.tensors[index] if index >= 0 else None
            if not quantized or tensor is None or tensor.dtype != "float32" or index in edges:
                continue
            raise UnsupportedError(
                f"{where}: operator {op.name} has no integer form; write it with operators that "
                "have one (add, multiply, sigmoid, tanh, relu, maximum …) or use --precision "
                "float32"
            )
    for name, source in signature.inputs.items():
        if name == "x":
            continue
        a, b = graph.tensors[source], graph.tensors[signature.outputs[name]]
        if (a.dtype, a.shape, a.scale, a.zero_point) != (b.dtype, b.shape, b.scale, b.zero_point):
            raise UnsupportedError(
                f"state '{name}' comes out as {b.dtype} {b.scale} and goes in as {a.dtype} "
                f"{a.scale}: end its computation with an addition or a multiplication"
            )


def check_against_keras(model: Any, step: FloatStep, sequences: Sequence[Array]) -> float:
    """Largest difference between the float step and the Keras model on raw sequences.

    Raises:
        UnsupportedError: they differ by more than `FLOAT_TOLERANCE`.
    """
    worst = 0.0
    for raw in _windows(model, step, sequences):
        expected = _keras_outputs(model, raw)
        got = outputs(step.data, step.initial, [normalise(step, raw)], step.frames_per_step)[0]
        if not step.sequence_output:
            expected, got = expected[None], got[-1:]
        got = got.reshape(expected.shape)
        scale = max(1.0, float(np.abs(expected).max()))
        worst = max(worst, float(np.abs(expected - got).max()) / scale)
    if not worst <= FLOAT_TOLERANCE:
        raise UnsupportedError(
            f"the streamed model differs from Keras by {worst:.2g} (allowed {FLOAT_TOLERANCE:g}): "
            "a layer does something across frames that its rule does not say"
        )
    return worst


def normalise(step: FloatStep, sequence: Array) -> Array:
    """What the runtime does to raw frames before the step sees them."""
    if step.normalisation is None:
        return sequence
    shape = sequence.shape[1:]
    scale = np.reshape(step.normalisation.scale, shape)
    offset = np.reshape(step.normalisation.offset, shape)
    frames: Array = (sequence * scale + offset).astype(np.float32)
    return frames


def _windows(model: Any, step: FloatStep, sequences: Sequence[Array]) -> list[Array]:
    """Short stretches of real data, of the length the model was built for if it has one."""
    fixed = model.inputs[0].shape[1]
    length = fixed or 24 * step.frames_per_step
    joined = np.concatenate(list(sequences[:64]))
    if len(joined) < length:
        joined = np.tile(joined, (-(-length // len(joined)), *[1] * (joined.ndim - 1)))
    count = min(2, len(joined) // length)
    return [joined[i * length : (i + 1) * length] for i in range(count)]


def _keras_outputs(model: Any, raw: Array) -> Array:
    """Keras' own answer, from a zero state; the states of a stateful model stay untouched."""
    zeros = [
        (state, np.zeros(state.shape, np.float32))
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False)
        for state in keras.tree.flatten(getattr(layer, "states", None) or [])
    ]
    with keras.StatelessScope(state_mapping=zeros):
        result: Array = np.asarray(model(raw[None], training=False))[0]
    return result
