"""Convolutions over time: a ring of past frames and one product with each window.

A window of Conv1D is one row of a matrix product, which small devices are fastest at; a dilated
one leaves the frames between out of it. Over a tensor without a time axis (in TimeDistributed) the
layer is an ordinary convolution.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.rings import over_one, over_windows, with_zeros
from converters.rules.activation import formula_of
from converters.step import Signal, Step

Frame = Callable[[Any], Any]

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.DepthwiseConv1D, keras.layers.SeparableConv1D)
IMAGE_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
"""Layers that take `Signal.zeros` for a padding of their own."""


def input_length(layer: Any) -> int | None:
    """Frames of the layer's input, where the model fixes them."""
    length = layer._inbound_nodes[0].input_tensors[0].shape[1]
    return None if length is None else int(length)


def edges(layer: Any, padding: str, reach: int, stride: int) -> tuple[int, int]:
    """Frames that Keras pads before the first and behind the last, for windows of `reach` frames.

    With strides, "same" depends on the length of the sequence. Where the model leaves that open it
    is taken for a whole number of strides.
    """
    if padding == "causal":
        return reach - 1, 0
    if padding == "same":
        length = input_length(layer) or stride
        total = max(reach - (length % stride or stride), 0)
        return total // 2, total - total // 2
    return 0, 0


def over_time(
    layer: Any, signal: Signal, step: Step, function: Frame, size: int, stride: int, dilation: int
) -> Signal:
    """`function` of each window of the layer, its dilation already applied."""
    reach = (size - 1) * dilation + 1
    dilated = function if dilation == 1 else lambda window: function(window[:, ::dilation])
    if layer.padding == "valid" and not signal.zeros:
        only = over_one(signal, step, dilated, input_length(layer), reach, stride)
        if only is not None:
            return only
    before, ahead = edges(layer, layer.padding, reach, stride)
    # Windows of nothing but zeros are no padding.
    padding = min(before + signal.zeros, reach - 1)
    signal = with_zeros(replace(signal, zeros=0), step, before + signal.zeros - padding)
    return over_windows(
        signal,
        step,
        dilated,
        reach,
        stride,
        before=padding,
        ahead=ahead,
    )


def channels_last(layer: Any, step: Step) -> None:
    """Refuse the other order of axes."""
    if layer.data_format != "channels_last":
        raise step.unsupported("data_format='channels_first'", "rebuild it with channels_last")


def _bias(layer: Any) -> Any:
    return tf.convert_to_tensor(layer.bias) if layer.use_bias else None


def _biased(y: Any, bias: Any) -> Any:
    return y if bias is None else tf.nn.bias_add(y, bias)


def _matrix(kernel: Any, bias: Any) -> Frame:
    """A window `(1, size, channels)` to `(1, filters)`: one matrix product."""
    size, channels, filters = kernel.shape
    weights = tf.reshape(kernel, (size * channels, filters))
    return lambda x: _biased(tf.matmul(tf.reshape(x, (-1, size * channels)), weights), bias)


def _grouped(kernel: Any, bias: Any, groups: int) -> Frame:
    """The same with a matrix for each group of channels."""
    channels = kernel.shape[1]
    kernels = tf.split(kernel, groups, axis=2)
    biases = [None] * groups if bias is None else tf.split(bias, groups)
    parts = [_matrix(k, b) for k, b in zip(kernels, biases, strict=True)]

    def product(x: Any) -> Any:
        inputs = [x[:, :, g * channels : (g + 1) * channels] for g in range(groups)]
        return tf.concat([part(i) for part, i in zip(parts, inputs, strict=True)], axis=-1)

    return product


def _depthwise(kernel: Any, bias: Any) -> Frame:
    """A window `(1, size, channels)` to `(1, channels * multiplier)`."""
    size, channels, multiplier = kernel.shape
    weights = tf.reshape(kernel, (size, 1, channels, multiplier))

    def product(x: Any) -> Any:
        image = tf.reshape(x, (-1, size, 1, channels))
        y = tf.nn.depthwise_conv2d(image, weights, (1, 1, 1, 1), "VALID")
        return tf.reshape(_biased(y, bias), (-1, channels * multiplier))

    return product


def _one(values: Any) -> int:
    return int(values[0] if isinstance(values, (tuple, list)) else values)


@rule(keras.layers.Conv1D)
def conv1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A FULLY_CONNECTED over each window, or one for each group of channels."""
    kernel = tf.convert_to_tensor(layer.kernel)
    if layer.groups == 1:
        product = _matrix(kernel, _bias(layer))
    elif kernel.shape[1] == 1:
        # Filter g * multiplier + m of a group of one channel is that channel's filter m.
        by_channel = tf.reshape(kernel, (kernel.shape[0], layer.groups, -1))
        product = _depthwise(by_channel, _bias(layer))
    else:
        product = _grouped(kernel, _bias(layer), layer.groups)
    return _layer(layer, inputs, step, product, "FULLY_CONNECTED over a window")


@rule(keras.layers.DepthwiseConv1D)
def depthwise_conv1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A DEPTHWISE_CONV_2D over each window."""
    product = _depthwise(tf.convert_to_tensor(layer.kernel), _bias(layer))
    return _layer(layer, inputs, step, product, "DEPTHWISE_CONV_2D over a window")


@rule(keras.layers.SeparableConv1D)
def separable_conv1d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A DEPTHWISE_CONV_2D over each window, and a FULLY_CONNECTED behind it."""
    each = _depthwise(tf.convert_to_tensor(layer.depthwise_kernel), None)
    mix = _matrix(tf.convert_to_tensor(layer.pointwise_kernel), _bias(layer))
    became = "DEPTHWISE_CONV_2D over a window, FULLY_CONNECTED"
    return _layer(layer, inputs, step, lambda x: mix(each(x)), became)


def _layer(layer: Any, inputs: Sequence[Signal], step: Step, product: Frame, became: str) -> Signal:
    channels_last(layer, step)
    act = formula_of(layer, layer.activation, step)
    if not inputs[0].is_sequence:
        return _still(layer, inputs[0], step, act)
    step.note(type(layer).__name__, became)
    return over_time(
        layer,
        inputs[0],
        step,
        lambda window: act(product(window)),
        _one(layer.kernel_size),
        _one(layer.strides),
        _one(layer.dilation_rate),
    )


def _still(layer: Any, signal: Signal, step: Step, act: Frame) -> Signal:
    """Conv1D along another axis than time: a CONV_2D over an image one pixel wide."""
    if type(layer) is not keras.layers.Conv1D or layer.groups != 1 or layer.padding == "causal":
        raise step.unsupported("this convolution over another axis than time", "use a plain Conv1D")
    kernel, bias = tf.convert_to_tensor(layer.kernel)[:, tf.newaxis], _bias(layer)
    stride, dilation = _one(layer.strides), _one(layer.dilation_rate)

    def frame(x: Any) -> Any:
        image = tf.reshape(x, (-1, x.shape[1], 1, x.shape[2]))
        options = {"padding": layer.padding.upper(), "dilations": (1, dilation, 1, 1)}
        y = _biased(tf.nn.conv2d(image, kernel, (1, stride, 1, 1), **options), bias)
        return act(tf.reshape(y, (-1, y.shape[1], y.shape[3])))

    step.note("Conv1D", "CONV_2D")
    return signal.map(frame)


@rule(keras.layers.Conv2D)
def conv2d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Over (time, frequency): a CONV_2D over the ring, which moves along the frequency alone."""
    kernel = tf.convert_to_tensor(layer.kernel)

    def product(x: Any, strides: Sequence[int], dilations: Sequence[int], padding: str) -> Any:
        return tf.nn.conv2d(x, kernel, (1, *strides, 1), padding, dilations=(1, *dilations, 1))

    if layer.groups != 1:
        raise step.unsupported(f"groups={layer.groups}", "use groups=1 or DepthwiseConv2D")
    return _image_layer(layer, inputs, step, product, "CONV_2D over a window")


@rule(keras.layers.DepthwiseConv2D)
def depthwise_conv2d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Over (time, frequency): a DEPTHWISE_CONV_2D over the ring."""
    kernel = tf.convert_to_tensor(layer.kernel)

    def product(x: Any, strides: Sequence[int], dilations: Sequence[int], padding: str) -> Any:
        return tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), padding, dilations=dilations)

    return _image_layer(layer, inputs, step, product, "DEPTHWISE_CONV_2D over a window")


@rule(keras.layers.SeparableConv2D)
def separable_conv2d(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Over (time, frequency): a DEPTHWISE_CONV_2D over the ring, and a CONV_2D of single points."""
    kernel = tf.convert_to_tensor(layer.depthwise_kernel)
    mix = tf.convert_to_tensor(layer.pointwise_kernel)

    def product(x: Any, strides: Sequence[int], dilations: Sequence[int], padding: str) -> Any:
        y = tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), padding, dilations=dilations)
        return tf.nn.conv2d(y, mix, (1, 1, 1, 1), "VALID")

    return _image_layer(layer, inputs, step, product, "DEPTHWISE_CONV_2D, CONV_2D over a window")


def _image_layer(
    layer: Any,
    inputs: Sequence[Signal],
    step: Step,
    product: Callable[[Any, Sequence[int], Sequence[int], str], Any],
    became: str,
) -> Signal:
    channels_last(layer, step)
    act, bias = formula_of(layer, layer.activation, step), _bias(layer)
    size, strides = tuple(layer.kernel_size), tuple(layer.strides)
    dilation = tuple(layer.dilation_rate)
    padding = layer.padding.upper()
    step.note(type(layer).__name__, became)
    if not inputs[0].is_sequence:
        return inputs[0].map(lambda x: act(_biased(product(x, strides, dilation, padding), bias)))

    def frame(window: Any) -> Any:
        # A stride of the whole height leaves one position, and "same" then pads the width alone.
        y = _biased(product(window, (size[0], strides[1]), (1, dilation[1]), padding), bias)
        return act(tf.reshape(y, (-1, *y.shape[2:])))

    return over_time(layer, inputs[0], step, frame, size[0], strides[0], dilation[0])
