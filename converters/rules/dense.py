"""Dense: one FULLY_CONNECTED on each frame."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.rules.activation import formula_of
from converters.step import Signal, Step


@rule(keras.layers.Dense)
def dense(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """`activation(x @ kernel + bias)` over the last axis."""
    act = formula_of(layer, layer.activation, step)
    kernel = tf.convert_to_tensor(layer.kernel)
    bias = tf.convert_to_tensor(layer.bias) if layer.use_bias else None

    def frame(x: Any) -> Any:
        rows = tf.reshape(x, (-1, x.shape[-1])) if len(x.shape) > 2 else x
        y = tf.matmul(rows, kernel)
        y = y if bias is None else tf.nn.bias_add(y, bias)
        return act(tf.reshape(y, (*x.shape[:-1], layer.units)) if len(x.shape) > 2 else y)

    step.note("Dense", "FULLY_CONNECTED")
    return inputs[0].map(frame)
