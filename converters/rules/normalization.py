"""Normalizations: what is known after training becomes one multiplication and one addition."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.registry import rule
from converters.step import Signal, Step

Affine = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def affine_of(layer: Any, feature_shape: Sequence[int]) -> Affine | None:
    """The `(scale, offset)` of a Rescaling or Normalization layer, broadcastable to a frame.

    None for any other layer, and for statistics that are not per feature.
    """
    if isinstance(layer, keras.layers.Rescaling):
        pair = (np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64))
    elif isinstance(layer, keras.layers.Normalization):
        mean = np.asarray(layer.mean, np.float64)
        spread = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), 1e-7)  # Keras' epsilon
        pair = (spread, mean) if layer.invert else (1.0 / spread, -mean / spread)
    else:
        return None
    try:
        return (
            np.broadcast_to(np.squeeze(pair[0]), feature_shape),
            np.broadcast_to(np.squeeze(pair[1]), feature_shape),
        )
    except ValueError:
        return None


def _apply(signal: Signal, scale: npt.ArrayLike, offset: npt.ArrayLike) -> Signal:
    scale32, offset32 = np.asarray(scale, np.float32), np.asarray(offset, np.float32)
    return signal.map(lambda x: x * scale32 + offset32)


def _features(signal: Signal) -> tuple[int, ...]:
    return tuple(signal.frames[0].shape[1:])


def _last_axis(axis: Any, signal: Signal, step: Step) -> None:
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    if axes not in ([-1], [signal.rank - 1]):
        raise step.unsupported(f"normalizing over axis {axis}", "use axis=-1")


@rule(keras.layers.Rescaling, keras.layers.Normalization)
def affine(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A fixed scale and offset for each feature."""
    pair = affine_of(layer, _features(inputs[0]))
    if pair is None:
        raise step.unsupported("statistics that are not per feature", "use axis=-1")
    step.note(type(layer).__name__, "MUL, ADD")
    return _apply(inputs[0], *pair)


@rule(keras.layers.BatchNormalization)
def batch_normalization(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The moving statistics as one scale and offset; the converter folds them where it can."""
    _last_axis(layer.axis, inputs[0], step)
    mean = np.asarray(layer.moving_mean, np.float64)
    scale = 1.0 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, np.float64)
    offset = -mean * scale
    if layer.center:
        offset = offset + np.asarray(layer.beta, np.float64)
    step.note("BatchNormalization", "MUL, ADD (folded into the layer before it where possible)")
    return _apply(inputs[0], scale, offset)


@rule(keras.layers.LayerNormalization)
def layer_normalization(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Mean, SUB, MUL, mean, ADD, RSQRT, MUL: Keras' own form leaves float tensors."""
    _last_axis(layer.axis, inputs[0], step)
    gamma = np.asarray(layer.gamma, np.float32) if layer.scale else None
    beta = np.asarray(layer.beta, np.float32) if layer.center else None
    step.note("LayerNormalization", "MEAN, SUB, MUL, RSQRT, ADD")
    return inputs[0].map(lambda x: normalized(x, layer.epsilon, gamma, beta))


def normalized(x: Any, epsilon: float, gamma: Any = None, beta: Any = None) -> Any:
    """Layer normalization over the last axis, in ops that quantize (also for custom cells)."""
    y = _to_unit_power(x - tf.reduce_mean(x, axis=-1, keepdims=True), epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@rule(keras.layers.RMSNormalization)
def rms_normalization(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """LayerNormalization without the mean."""
    _last_axis(layer.axis, inputs[0], step)
    scale = np.asarray(layer.scale, np.float32)
    step.note("RMSNormalization", "MEAN, MUL, RSQRT")
    return inputs[0].map(lambda x: _to_unit_power(x, layer.epsilon) * scale)


@rule(keras.layers.UnitNormalization)
def unit_normalization(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Vectors of length one; 1e-12 is Keras' epsilon, on the sum of squares."""
    _last_axis(layer.axis, inputs[0], step)
    size = inputs[0].frames[0].shape[-1]
    step.note("UnitNormalization", "MEAN, MUL, RSQRT")
    return inputs[0].map(lambda x: _to_unit_power(x, 1e-12 / size) * float(size**-0.5))


def _to_unit_power(x: Any, epsilon: float) -> Any:
    """`x` over its root mean square along the last axis."""
    variance = tf.reduce_mean(x * x, axis=-1, keepdims=True) + epsilon
    inverse = tf.math.rsqrt(variance)
    # One step of Newton's method, r (3 - v r^2) / 2: RSQRT has only 8 bits everywhere, this gives
    # the other 8. At 0.75 instead of 0.5 the product can exceed its value in float by a third.
    three_quarters = (0.75 * variance * inverse) * inverse
    inverse = (inverse * (2.0 / 3.0)) * (2.25 - three_quarters)
    return x * inverse
