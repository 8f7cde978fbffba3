"""Merges of several branches, frame by frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.rings import joined, same_time
from converters.step import Signal, Step


def _merge(
    inputs: Sequence[Signal], step: Step, function: Callable[[Sequence[Any]], Any]
) -> Signal:
    signals = same_time(inputs, step)
    groups = zip(*(signal.frames for signal in signals), strict=True)
    return replace(signals[0], frames=tuple(function(group) for group in groups))


@rule(keras.layers.Add)
def add(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Sum of all inputs."""
    step.note("Add", "ADD")
    return _merge(inputs, step, lambda frames: reduce(tf.add, frames))


@rule(keras.layers.Subtract)
def subtract(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """First input minus second."""
    step.note("Subtract", "SUB")
    return _merge(inputs, step, lambda frames: frames[0] - frames[1])


@rule(keras.layers.Multiply)
def multiply(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Product of all inputs."""
    step.note("Multiply", "MUL")
    return _merge(inputs, step, lambda frames: reduce(tf.multiply, frames))


@rule(keras.layers.Average)
def average(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Sum of all inputs over their number."""
    step.note("Average", "ADD, MUL")
    return _merge(inputs, step, lambda frames: reduce(tf.add, frames) * (1.0 / len(frames)))


@rule(keras.layers.Maximum)
def maximum(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The largest of all inputs."""
    step.note("Maximum", "MAXIMUM")
    return _merge(inputs, step, lambda frames: reduce(tf.maximum, frames))


@rule(keras.layers.Minimum)
def minimum(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The smallest of all inputs, as `a - relu(a - b)`: MINIMUM would leave a float tensor."""
    step.note("Minimum", "SUB, RELU")
    return _merge(inputs, step, lambda frames: reduce(lambda a, b: a - tf.nn.relu(a - b), frames))


@rule(keras.layers.Concatenate)
def concatenate(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Inputs one after the other along a feature axis."""
    rank = inputs[0].rank
    axis = layer.axis if layer.axis >= 0 else layer.axis + rank
    if axis == 0 or (axis == 1 and inputs[0].is_sequence):
        raise step.unsupported(
            f"joining along axis {layer.axis} (batch or time)", "concatenate features (axis=-1)"
        )
    step.note("Concatenate", "CONCATENATION")
    return _merge(inputs, step, lambda frames: joined(frames, axis - int(inputs[0].is_sequence)))
