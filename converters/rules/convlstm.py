"""ConvLSTM: an LSTM over images, whose products are convolutions; the state is a small image."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell

from converters.registry import cell, rule
from converters.rules.convolution import channels_last
from converters.rules.recurrent import rnn
from converters.step import Signal, Step


@rule(keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D)
def conv_lstm(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal | list[Signal]:
    """Like any recurrent layer; the cell below is what differs."""
    channels_last(layer.cell, step)
    return rnn(layer, inputs, step)


@cell(ConvLSTMCell)
def conv_lstm_cell(one: Any, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """`c' = f c + i g`, `h' = o act(c')`, gates `W * x + b + U * h` in the order i, f, g, o.

    Like an LSTM's, every gate has convolutions of its own, and with them its own scales.
    """
    h, c = states
    kernels = tf.split(tf.convert_to_tensor(one.kernel), 4, axis=-1)
    recurrents = tf.split(tf.convert_to_tensor(one.recurrent_kernel), 4, axis=-1)
    biases = tf.split(tf.convert_to_tensor(one.bias), 4) if one.use_bias else [None] * 4

    ones = (1,) * one.rank

    def gate(name: str, w: Any, u: Any, b: Any) -> Any:
        wx = _convolved(x, w, one.strides, one.dilation_rate, one.padding, b, f"{name}_x")
        uh = _convolved(h, u, ones, ones, "same", None, f"{name}_h")
        return tf.add(wx, uh, name=f"{name}_sum")

    i, f, g, o = (gate(*parts) for parts in zip("ifgo", kernels, recurrents, biases, strict=True))
    i, f, o = (one.recurrent_activation(value) for value in (i, f, o))
    kept = tf.multiply(f, c, name="kept")
    c = kept + tf.multiply(i, one.activation(g), name="added")
    h = o * one.activation(c)
    return h, [h, c]


def _convolved(
    x: Any, kernel: Any, strides: Any, dilations: Any, padding: str, bias: Any, name: str
) -> Any:
    """CONV_2D; a line `(1, size, channels)` is an image of width 1."""
    line = len(x.shape) == 3
    if line:
        x, kernel = x[:, :, None], kernel[:, None]
        strides, dilations = (*strides, 1), (*dilations, 1)
    y = tf.nn.conv2d(x, kernel, strides, padding.upper(), dilations=dilations, name=name)
    y = y if bias is None else tf.nn.bias_add(y, bias, name=f"{name}_bias")
    return tf.reshape(y, (-1, y.shape[1], y.shape[3])) if line else y
