"""Activation layers."""

from collections.abc import Sequence
from typing import Any

import keras

from converters import activations
from converters.registry import rule
from converters.step import Signal, Step


def formula_of(owner: Any, activation: Any, step: Step) -> activations.Activation:
    """The formula of an activation of `owner`; raises `UnsupportedError` naming both."""
    found = activations.formula(activation)
    if found is None:
        name = getattr(activation, "__name__", None) or type(activation).__name__
        raise step.unsupported(f"activation '{name}'", activations.REMEDY)
    return found


@rule(
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Softmax,
)
def activation(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The activation's formula on each frame."""
    if isinstance(layer, keras.layers.Softmax):
        rank = inputs[0].rank
        if layer.axis not in (-1, rank - 1):
            raise step.unsupported(f"softmax over axis {layer.axis}", "use the last axis")
    owner = layer.activation if isinstance(layer, keras.layers.Activation) else layer
    step.note(type(layer).__name__, "elementwise")
    return inputs[0].map(formula_of(layer, owner, step))
