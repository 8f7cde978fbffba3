"""Pooling over time: over windows, or over everything so far.

Global pooling over a sequence whose length the model's Input fixes is a window of that length, and
where the length is open, of the length that the user gives. Without one it is a running value: the
maximum of all frames, or the mean of all frames up to `MEMORY` of them, which forgets
exponentially, as slowly as that, from there on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.registry import rule
from converters.rings import aligned, over_last, over_one, over_windows, schedule
from converters.rules.convolution import channels_last, edges, input_length
from converters.step import LOWEST, UNMASKED, Signal, Step

MEMORY = 128
"""Frames up to which a running mean is that of all of them."""


def _image(window: Any) -> Any:
    """A window `(1, size, channels)` as an image one pixel wide."""
    return tf.reshape(window, (-1, window.shape[1], 1, window.shape[2]))


def _maximum(window: Any) -> Any:
    size, channels = window.shape[1:]
    y = tf.nn.max_pool2d(_image(window), (size, 1), (1, 1), "VALID")
    return tf.reshape(y, (-1, channels))


def _mean(window: Any) -> Any:
    size, channels = window.shape[1:]
    y = tf.nn.avg_pool2d(_image(window), (size, 1), (1, 1), "VALID")
    return tf.reshape(y, (-1, channels))


def _pool(
    layer: Any, inputs: Sequence[Signal], step: Step, function: Callable[[Any], Any], value: float
) -> tuple[Signal, int, int]:
    """The pooled sequence, the frames of padding before it, and the stride."""
    channels_last(layer, step)
    size, stride = int(np.ravel(layer.pool_size)[0]), int(np.ravel(layer.strides)[0])
    if not inputs[0].is_sequence:
        return inputs[0].map(lambda x: _still(layer, x, size, stride, value == 0.0)), 0, stride
    if layer.padding == "valid":
        only = over_one(inputs[0], step, function, input_length(layer), size, stride)
        if only is not None:
            return only, 0, stride
    before, ahead = edges(layer, layer.padding, size, stride)
    pooled = over_windows(
        inputs[0], step, function, size, stride, before=before, ahead=ahead, value=value
    )
    return pooled, before, stride


def _still(layer: Any, x: Any, size: int, stride: int, mean: bool) -> Any:
    """Pooling along another axis than time."""
    operator = tf.nn.avg_pool2d if mean else tf.nn.max_pool2d
    y = operator(_image(x), (size, 1), (stride, 1), layer.padding.upper())
    return tf.reshape(y, (-1, y.shape[1], y.shape[3]))


@rule(keras.layers.MaxPooling1D)
def max_pooling1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """MAX_POOL_2D over each window; padding holds the lowest value there is."""
    step.note("MaxPooling1D", "MAX_POOL_2D over a window")
    return _pool(layer, inputs, step, _maximum, LOWEST)[0]


@rule(keras.layers.AveragePooling1D)
def average_pooling1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """AVERAGE_POOL_2D over each window; the padding of Keras does not count."""
    step.note("AveragePooling1D", "AVERAGE_POOL_2D over a window")
    pooled, before, stride = _pool(layer, inputs, step, _mean, 0.0)
    if before == 0:
        return pooled
    size = int(np.ravel(layer.pool_size)[0])
    counts = [min(size, size - before + row * stride) for row in range(-(-before // stride) + 1)]
    factors = schedule(pooled, step, [size / count for count in counts], "divisor")
    frames = tuple(y * f for y, f in zip(pooled.frames, factors, strict=True))
    return Signal(frames, True, pooled.warmup, pooled.latency)


@rule(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
def pooling2d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Over (time, frequency): one operator over each window."""
    channels_last(layer, step)
    highest = isinstance(layer, keras.layers.MaxPooling2D)
    operator = tf.nn.max_pool2d if highest else tf.nn.avg_pool2d
    size, strides, padding = layer.pool_size, layer.strides, layer.padding.upper()
    step.note(type(layer).__name__, f"{'MAX' if highest else 'AVERAGE'}_POOL_2D over a window")
    if not inputs[0].is_sequence:
        return inputs[0].map(lambda x: operator(x, size, strides, padding))
    before, ahead = edges(layer, layer.padding, size[0], strides[0])
    if before and not highest:
        raise step.unsupported("padding='same' over time", "use strides equal to the pool size")

    def frame(window: Any) -> Any:
        # A stride of the whole height leaves one position, and "same" then pads the width alone.
        y = operator(window, size, (size[0], strides[1]), padding)
        return tf.reshape(y, (-1, *y.shape[2:]))

    if layer.padding == "valid":
        only = over_one(inputs[0], step, frame, input_length(layer), size[0], strides[0])
        if only is not None:
            return only
    return over_windows(
        inputs[0], step, frame, size[0], strides[0], before=before, ahead=ahead, value=LOWEST
    )


@rule(keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)
def global_max_pooling(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The maximum of all frames so far, or of a window."""
    length, signal = _over_time(layer, inputs, step, _maximum)
    kind = type(layer).__name__
    if length is not None:
        step.note(kind, f"MAX_POOL_2D over the last {length} frames")
        return _kept(layer, over_last(signal, step, _maximum, length))
    signal = aligned(signal, step)
    n = len(signal.frames)
    lowest = np.full((1, *signal.frames[0].shape[1:]), LOWEST, np.float32)
    name, value = step.state("max", lowest, starts=signal.warmup // n)
    for frame in signal.frames:
        value = tf.maximum(value, frame)
    step.carry(name, value)
    step.note(kind, "MAXIMUM with a carried state")
    return _kept(layer, signal.without_time(value, signal.warmup // n))


@rule(keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D)
def global_average_pooling(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The mean of all frames so far, or of a window."""
    length, signal = _over_time(layer, inputs, step, _mean)
    kind = type(layer).__name__
    if length is not None:
        step.note(kind, f"AVERAGE_POOL_2D over the last {length} frames")
        return _kept(layer, over_last(signal, step, _mean, length))
    signal = aligned(signal, step)
    n = len(signal.frames)
    zeros = np.zeros((1, *signal.frames[0].shape[1:]), np.float32)
    name, mean = step.state("mean", zeros, starts=signal.warmup // n)
    step.exact_up_to((signal.warmup + MEMORY) * step.frames // n)
    shares = schedule(signal, step, [1.0 / count for count in range(1, MEMORY + 1)], "share")
    for frame, share in zip(signal.frames, shares, strict=True):
        mean = mean + (frame - mean) * share
    step.carry(name, mean)
    step.note(kind, f"a running mean; forgets after {MEMORY} frames")
    return _kept(layer, signal.without_time(mean, signal.warmup // n))


def _over_time(
    layer: Any, inputs: Sequence[Signal], step: Step, across: Callable[[Any], Any]
) -> tuple[int | None, Signal]:
    """Frames to pool, if the model or the user says, and what is left to pool over time."""
    channels_last(layer, step)
    if not inputs[0].is_sequence:
        raise step.unsupported("pooling over a tensor without a time axis", "remove it")
    pooled = inputs[0].map(across) if inputs[0].rank == 4 else inputs[0]
    # Of a masked sequence Keras counts the frames that are not masked.
    length = input_length(layer) if inputs[0].mask == UNMASKED else None
    if length is None and step.window is not None:
        step.exact_up_to((pooled.warmup + step.window) * step.frames // len(pooled.frames))
        length = step.window
    return length, pooled


def _kept(layer: Any, signal: Signal) -> Signal:
    """`keepdims` leaves a time axis of one frame, which is the running value itself."""
    if not layer.keepdims:
        return signal
    ones = (1,) if layer.input_spec.ndim == 3 else (1, 1)
    return signal.map(lambda x: tf.reshape(x, (-1, *ones, *x.shape[1:])))
