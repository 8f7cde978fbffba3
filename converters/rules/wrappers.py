"""Layers around layers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from converters.registry import rule
from converters.rewrite import apply
from converters.step import Signal, Step


@rule(keras.layers.TimeDistributed)
def time_distributed(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The wrapped layer or model on each frame, as if it had no time axis."""
    if not inputs[0].is_sequence:
        raise step.unsupported("TimeDistributed on a tensor without a time axis", "remove it")
    frames = []
    for frame in inputs[0].frames:
        result = apply(layer.layer, [Signal((frame,), is_sequence=False)], step)
        if isinstance(result, list):
            raise step.unsupported("a wrapped layer with several outputs", "give it one")
        frames.append(result.frames[0])
    step.note("TimeDistributed", f"{type(layer.layer).__name__} on each frame")
    return replace(inputs[0], frames=tuple(frames))


@rule(keras.layers.SpectralNormalization)
def spectral_normalization(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The wrapped layer, whose weights hold the normalization once it is trained."""
    result = apply(layer.layer, inputs, step)
    assert isinstance(result, Signal)
    return result
