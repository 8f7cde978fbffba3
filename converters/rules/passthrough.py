"""Layers that do nothing once a model is trained."""

from collections.abc import Sequence
from typing import Any

import keras

from converters.registry import rule
from converters.step import Signal, Step


@rule(
    keras.layers.InputLayer,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
)
def passthrough(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The input itself."""
    step.note(type(layer).__name__, "nothing (training only)")
    return inputs[0]
