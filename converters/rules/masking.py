"""Masking: frames that count for nothing. The runtime makes no step for them."""

from collections.abc import Sequence
from typing import Any

import keras

from converters.registry import rule
from converters.step import Signal, Step


@rule(keras.layers.Masking)
def masking(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The input itself; what equals the mask value in all its elements never gets here."""
    step.note("Masking", "masked frames leave states and outputs as they are")
    return step.masking(inputs[0], inputs[0], float(layer.mask_value))
