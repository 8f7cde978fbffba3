"""What must hold before a step model is written; a file that breaks a contract is never saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.packing import pack, unpack, unpack_rows
from converters.ports import Input
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
    carried = signature.inputs.keys() & signature.outputs.keys()
    edges = {
        index
        for entries in (signature.inputs, signature.outputs)
        for name, index in entries.items()
        if name not in carried
    }
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
    for name in carried:
        source = signature.inputs[name]
        a, b = graph.tensors[source], graph.tensors[signature.outputs[name]]
        if (a.dtype, a.shape, a.scale, a.zero_point) != (b.dtype, b.shape, b.scale, b.zero_point):
            raise UnsupportedError(
                f"state '{name}' comes out as {b.dtype} {b.scale} and goes in as {a.dtype} "
                f"{a.scale}: end its computation with an addition or a multiplication"
            )


def check_against_keras(model: Any, step: FloatStep, sequences: Sequence[Array]) -> float | None:
    """Largest difference between the float step and the Keras model on raw sequences.

    What Keras pads behind the last frame, a stream never gets, and a single answer behind a
    look-ahead has that padding in it: it is compared with the rows that lead to it. None where
    there is nothing that both compute.

    Raises:
        UnsupportedError: they differ by more than `FLOAT_TOLERANCE`.
    """
    if step.looks_ahead and not step.sequence_output:
        return _check_rows(model, step, sequences) if len(step.outputs) == 1 else None
    fixed = model.inputs[0].shape[1]
    if fixed and step.exact is not None and step.exact < fixed and not step.sequence_output:
        return None  # the only answer of Keras is about more frames than the step remembers
    worst = 0.0
    for raw, length in _windows(model, step, sequences):
        (rows,) = outputs(step.data, step, [normalise(step, raw[: step.exact])])
        wanted = keras_outputs(model, step, raw[:length])
        given = unpack_rows(step.outputs, rows)
        for output, expected, got in zip(step.outputs, wanted, given, strict=True):
            if output.is_sequence:
                count = min(len(got), len(expected))
                if count == 0:
                    return None
                expected, got = expected[:count], got[:count]
            else:
                expected, got = expected[None], got[-1:]
            worst = float(np.maximum(worst, _difference(expected, got)))  # max() drops a NaN
    return _allowed(worst)


def _difference(expected: Array, got: Array) -> float:
    """The largest, relative to values above 1."""
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(expected - got.reshape(expected.shape)).max()) / scale


def _allowed(worst: float) -> float:
    if np.isnan(worst):
        raise UnsupportedError(
            "the outputs on the calibration data are infinite or no numbers: the model is "
            "unstable; check its weights or bound its activations"
        )
    if not worst <= FLOAT_TOLERANCE:
        raise UnsupportedError(
            f"the streamed model differs from Keras by {worst:.2g} (allowed {FLOAT_TOLERANCE:g}): "
            "a layer does something across frames that its rule does not say"
        )
    return worst


def _check_rows(model: Any, step: FloatStep, sequences: Sequence[Array]) -> float | None:
    """`check_against_keras` with the running answer of every recurrent layer asked of Keras.

    None if it is not a recurrent layer that gives the answer.
    """
    single = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN) and not layer.return_sequences
    ]
    raw, length = _windows(model, step, sequences)[0]
    (got,) = outputs(step.data, step, [normalise(step, raw[:length])])
    (one,) = keras_outputs(model, step, raw[:length])
    try:
        for layer in single:
            layer.return_sequences = True
        (expected,) = keras_outputs(model, step, raw[:length])
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError):  # what follows wants one row
        return None
    finally:
        for layer in single:
            layer.return_sequences = False
    per_step = len(expected) * step.frames_per_step // length
    if not single or expected.shape[1:] != one.shape or per_step < 1:
        return None
    expected = expected[per_step - 1 :: per_step]
    rows = min(len(got), len(expected))
    return _allowed(_difference(expected[:rows], got[:rows])) if rows else None


def normalise(step: FloatStep, sequence: Array) -> Array:
    """What the runtime does to raw frames before the step sees them; both are packed."""
    if all(one.normalisation is None for one in step.inputs):
        return sequence
    parts = zip(unpack(step.inputs, sequence), step.inputs, strict=True)
    return pack(step.inputs, [_normalised(frames, one) for frames, one in parts])


def _normalised(frames: Array, one: Input) -> Array:
    if one.normalisation is None:
        return frames
    shape = frames.shape[1:]
    scale = np.reshape(one.normalisation.scale, shape)
    offset = np.reshape(one.normalisation.offset, shape)
    scaled: Array = (frames * scale + offset).astype(np.float32)
    return scaled


def with_masked_output(model: Any, step: FloatStep) -> FloatStep:
    """The step with what Keras gives while all frames are masked."""
    if step.mask is None:
        return step
    (one,) = step.inputs
    length = model.inputs[0].shape[1] or 3
    frames = np.full((length, *one.features), step.mask, np.float32)
    first = [
        y[0] if output.is_sequence else y
        for output, y in zip(step.outputs, keras_outputs(model, step, frames), strict=True)
    ]
    values = np.concatenate([np.ravel(y) for y in first])
    return replace(step, masked_output=tuple(float(v) for v in values))


def _windows(model: Any, step: FloatStep, sequences: Sequence[Array]) -> list[tuple[Array, int]]:
    """Short stretches of real data for the step, and how many of their frames are for Keras.

    That is the length which the model was built for, if it has one. A single answer comes
    `latency` frames after the last one that Keras counts.
    """
    frames = step.frames_per_step
    late = 0 if step.sequence_output else step.latency
    lengths = [
        tensor.shape[1]
        for tensor, one in zip(model.inputs, step.inputs, strict=True)
        if one.is_sequence
    ]
    fixed = next((n for n in lengths if n), None)
    steps = (fixed + late) // frames if fixed else 24 + step.warmup
    length = fixed or min(steps * frames - late, step.exact or steps * frames)
    whole = max(length, steps * frames)
    joined = np.concatenate(list(sequences[:64]))
    if len(joined) < whole:
        joined = np.tile(joined, (-(-whole // len(joined)), *[1] * (joined.ndim - 1)))
    count = min(2, len(joined) // whole)
    windows = [joined[i * whole : (i + 1) * whole].copy() for i in range(count)]
    if step.mask is not None:  # where a sequence begins, and in its middle
        for start in (0, whole // 2):
            windows[0][start : start + 2] = step.mask
    return [(window, length) for window in windows]


def keras_outputs(model: Any, step: FloatStep, raw: Array) -> list[Array]:
    """Keras' own answer to a packed sequence, for each output, from a zero state.

    The states of a stateful model stay untouched.
    """
    batch = [
        (frames if one.is_sequence else frames[0])[None].astype(one.dtype)
        for frames, one in zip(unpack(step.inputs, raw), step.inputs, strict=True)
    ]
    zeros = [
        (state, np.zeros(state.shape, np.float32))
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False)
        for state in keras.tree.flatten(getattr(layer, "states", None) or [])
    ]
    with keras.StatelessScope(state_mapping=zeros):
        result = model(batch if len(batch) > 1 else batch[0], training=False)
    return [np.asarray(y)[0] for y in keras.tree.flatten(result)]
