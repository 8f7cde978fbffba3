"""Layers that repeat, add or drop frames."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from converters.registry import rule
from converters.rings import delayed, with_zeros
from converters.rules.convolution import CONVOLUTIONS, IMAGE_CONVOLUTIONS, channels_last
from converters.step import Signal, Step


def _sequence(inputs: Sequence[Signal], step: Step) -> Signal:
    if not inputs[0].is_sequence:
        raise step.unsupported("this layer on a tensor without a time axis", "feed a sequence")
    return inputs[0]


@rule(keras.layers.UpSampling1D)
def up_sampling1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Each frame several times: the step gives as many more."""
    signal, size = _sequence(inputs, step), int(layer.size)
    step.note("UpSampling1D", f"each frame {size} times")
    frames = tuple(frame for frame in signal.frames for _ in range(size))
    return replace(signal, frames=frames, warmup=signal.warmup * size)


@rule(keras.layers.ZeroPadding1D)
def zero_padding1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Zeros before the first frame; a stream has no last one.

    A convolution behind it takes them for padding. For any other layer all frames wait.
    """
    channels_last(layer, step)
    before, behind = layer.padding
    step.looks_ahead |= behind > 0
    signal, readers = _sequence(inputs, step), layer._outbound_nodes
    if readers and all(isinstance(node.operation, CONVOLUTIONS) for node in readers):
        step.note("ZeroPadding1D", "padding of the next layer")
        return replace(signal, zeros=before)
    step.note("ZeroPadding1D", f"a delay of {before} frames")
    return with_zeros(signal, step, before)


@rule(keras.layers.ZeroPadding2D)
def zero_padding2d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Zeros before the first frame of (time, frequency): a convolution behind it becomes causal."""
    channels_last(layer, step)
    (before, behind), sides = layer.padding
    readers = layer._outbound_nodes
    if any(sides) or not inputs[0].is_sequence:
        raise step.unsupported(
            f"zeros beside the frequencies {sides}", "use padding='same' in the convolution"
        )
    if not readers or not all(isinstance(node.operation, IMAGE_CONVOLUTIONS) for node in readers):
        raise step.unsupported("zeros in front of no convolution", "put Conv2D right behind it")
    step.looks_ahead |= behind > 0
    step.note("ZeroPadding2D", "padding of the next layer")
    return replace(inputs[0], zeros=before)


@rule(keras.layers.Cropping1D)
def cropping1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Drops the first frames, and holds the last ones back: each may be the end."""
    before, behind = layer.cropping
    step.note("Cropping1D", f"drops the first {before} frames, a delay of {behind}")
    signal = _sequence(inputs, step)
    waiting = delayed(signal, step, behind)
    return replace(waiting, warmup=waiting.warmup + before, latency=signal.latency)
