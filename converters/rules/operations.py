"""Operations between the layers of a functional model, such as `x * 0.5 + y`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.ops import nn, numpy

from converters import activations
from converters.registry import rule
from converters.rings import same_time
from converters.step import Signal, Step


def _minimum(a: Any, b: Any) -> Any:
    return a - tf.nn.relu(a - b)  # MINIMUM would leave a float tensor


BINARY: dict[type, Callable[[Any, Any], Any]] = {
    numpy.Add: tf.add,
    numpy.Subtract: tf.subtract,
    numpy.Multiply: tf.multiply,
    numpy.Maximum: tf.maximum,
    numpy.Minimum: _minimum,
}

UNARY: dict[type, Callable[[Any], Any]] = {
    numpy.Negative: lambda x: x * -1.0,
    numpy.Square: lambda x: x * x,
    numpy.Absolute: lambda x: tf.maximum(x, x * -1.0),
    numpy.Tanh: tf.tanh,
    nn.Relu: tf.nn.relu,
    nn.Sigmoid: tf.sigmoid,
    nn.Silu: activations.FORMULAS["silu"],
}


@rule(*BINARY)
def binary(operation: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Two tensors, or a tensor and a constant."""
    step.note(type(operation).__name__, "elementwise")
    return _applied(operation, inputs, step, BINARY[type(operation)])


@rule(numpy.Divide, numpy.TrueDivide)
def divide(operation: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """By a constant: a multiplication."""
    operands = _operands(operation)
    if isinstance(operands[1], keras.KerasTensor):
        raise step.unsupported("division by a tensor", "multiply, or divide by a constant")
    step.note(type(operation).__name__, "MUL")
    inverse = 1.0 / np.asarray(operands[1], np.float32)
    return inputs[0].map(lambda x: x * inverse)


@rule(*UNARY)
def unary(operation: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A function of each element."""
    step.note(type(operation).__name__, "elementwise")
    return inputs[0].map(UNARY[type(operation)])


@rule(numpy.Concatenate)
def concatenate(operation: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Along the last axis."""
    rank = inputs[0].rank
    if operation.axis not in (-1, rank - 1):
        raise step.unsupported(f"joining along axis {operation.axis}", "join features (axis=-1)")
    step.note("Concatenate", "CONCATENATION")
    timed = same_time(inputs, step)
    groups = zip(*(signal.frames for signal in timed), strict=True)
    return replace(timed[0], frames=tuple(tf.concat(group, axis=-1) for group in groups))


def _operands(operation: Any) -> list[Any]:
    arguments = operation._inbound_nodes[0].arguments
    return [*arguments.args, *arguments.kwargs.values()][:2]


def _applied(
    operation: Any, inputs: Sequence[Signal], step: Step, function: Callable[[Any, Any], Any]
) -> Signal:
    timed = iter(same_time(inputs, step))
    found: list[Any] = [
        next(timed) if isinstance(one, keras.KerasTensor) else np.asarray(one, np.float32)
        for one in _operands(operation)
    ]
    a, b = found
    for one in (a, b):
        if isinstance(one, np.ndarray) and one.ndim > 1 and max(one.shape[:-1]) > 1:
            raise step.unsupported("a constant that differs between frames", "use one per feature")
    if isinstance(a, Signal) and isinstance(b, Signal):
        pairs = zip(a.frames, b.frames, strict=True)
        return replace(a, frames=tuple(function(x, y) for x, y in pairs))
    if isinstance(a, Signal):
        return a.map(lambda x: function(x, b.reshape(b.shape[-1:])))
    mapped: Signal = b.map(lambda y: function(a.reshape(a.shape[-1:]), y))
    return mapped
