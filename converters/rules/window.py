"""Layers that give frames another shape, and those that join the frames of a whole window."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.rings import over_last, over_windows
from converters.rules.convolution import channels_last, input_length
from converters.step import Signal, Step


@rule(keras.layers.Flatten)
def flatten(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """All values of the window that the model's Input fixes, or of a tensor without a time axis."""
    channels_last(layer, step)
    if not inputs[0].is_sequence:
        step.note("Flatten", "RESHAPE")
        return inputs[0].map(_flat)
    length = input_length(layer)
    if length is None:
        raise step.unsupported(
            "flattening a sequence of any length",
            "fix the length in keras.Input, end with return_sequences=False, or use "
            "TimeDistributed(Flatten())",
        )
    step.note("Flatten", f"the last {length} frames side by side")
    return over_last(inputs[0], step, _flat, length)


def _flat(x: Any) -> Any:
    return tf.reshape(x, (-1, math.prod(x.shape[1:])))


@rule(keras.layers.Reshape)
def reshape(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Another shape for each frame, for several frames as one, or for a whole window."""
    target = [n if n > 0 else None for n in layer.target_shape]
    signal = inputs[0]
    if not signal.is_sequence:
        shape = _resolved(target, math.prod(signal.frames[0].shape[1:]))
        step.note("Reshape", "RESHAPE")
        return signal.map(lambda x: tf.reshape(x, (-1, *shape)))
    length, elements = input_length(layer), math.prod(signal.frames[0].shape[1:])
    total = None if length is None else length * elements
    if target[0] is None and None not in target[1:]:
        joined, left = divmod(math.prod(n for n in target[1:] if n), elements)
    elif total is not None and target[0]:
        joined, left = divmod(math.prod(_resolved(target, total)[1:]), elements)
    else:
        joined, left = 0, 0
    if joined and not left and len(target) > 1:
        shape = (-1, *(_resolved(target[1:], joined * elements)))
        step.note("Reshape", "RESHAPE" if joined == 1 else f"{joined} frames as one")
        if joined == 1:
            return signal.map(lambda x: tf.reshape(x, shape))
        return over_windows(signal, step, lambda x: tf.reshape(x, shape), joined, joined)
    if total is None or length is None:
        raise step.unsupported(
            f"the target shape {tuple(layer.target_shape)} of a sequence of any length",
            "keep the time axis first, as in Reshape((-1, features)), or fix the length in "
            "keras.Input",
        )
    shape = (-1, *_resolved(target, total))
    step.note("Reshape", f"the last {length} frames in another shape")
    return over_last(signal, step, lambda x: tf.reshape(x, shape), length)


def _resolved(target: Sequence[int | None], elements: int) -> tuple[int, ...]:
    """The shape, its open dimension worked out."""
    known = math.prod(n for n in target if n is not None)
    return tuple(elements // known if n is None else n for n in target)


@rule(keras.layers.Permute)
def permute(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The axes of each frame in another order."""
    signal, dims = inputs[0], tuple(layer.dims)
    if signal.is_sequence and dims[0] != 1:
        raise step.unsupported(
            f"dims={dims}, which moves the time axis,", "keep it first, as in Permute((1, 3, 2))"
        )
    order = [0, *(n - 1 for n in dims[1:])] if signal.is_sequence else [0, *dims]
    step.note("Permute", "TRANSPOSE")
    return signal.map(lambda x: tf.transpose(x, order))
