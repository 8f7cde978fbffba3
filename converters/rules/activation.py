"""Activation layers."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from converters import activations
from converters.registry import rule
from converters.step import Signal, Step


def formula_of(owner: Any, activation: Any, step: Step) -> activations.Activation:
    """The formula of an activation of `owner`; raises `UnsupportedError` naming both."""
    found = activations.formula(activation)
    if found is None:
        name = getattr(activation, "__name__", None) or type(activation).__name__
        remedy = activations.REFUSED.get(name, activations.REMEDY)
        raise step.unsupported(f"activation '{name}'", remedy)
    return found


@rule(keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)
def activation(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The activation's formula on each frame."""
    owner = layer.activation if isinstance(layer, keras.layers.Activation) else layer
    step.note(type(layer).__name__, "elementwise")
    return inputs[0].map(formula_of(layer, owner, step))


@rule(keras.layers.PReLU)
def prelu(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """`relu(x) - alpha relu(-x)`, a slope for each feature."""
    alpha = tf.convert_to_tensor(layer.alpha)
    if inputs[0].is_sequence:
        if alpha.shape[0] != 1:
            raise step.unsupported("a slope for every frame", "use shared_axes=[1]")
        alpha = alpha[0]
    step.note("PReLU", "RELU, MUL")
    return inputs[0].map(lambda x: tf.nn.relu(x) - alpha * tf.nn.relu(-1.0 * x))


@rule(keras.layers.Softmax)
def softmax(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Over any one axis of a frame."""
    rank, first = inputs[0].rank, 1 + inputs[0].is_sequence
    axes = list(layer.axis) if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axis = axes[0] % rank
    if len(axes) > 1 or axis < first:
        raise step.unsupported(f"softmax over axis {layer.axis}", "use one axis of the features")
    axis -= inputs[0].is_sequence
    order = list(range(rank - inputs[0].is_sequence))
    order[axis], order[-1] = order[-1], order[axis]
    step.note("Softmax", "SOFTMAX")
    if axis == order[axis]:
        return inputs[0].map(tf.nn.softmax)
    return inputs[0].map(lambda x: tf.transpose(tf.nn.softmax(tf.transpose(x, order)), order))
