"""Activations in the words of the quantized op set.

LiteRT's and TFLM's integer kernels know RELU, LOGISTIC, TANH, SOFTMAX, MAXIMUM, ADD, SUB and MUL.
Each formula below equals Keras' own in exact arithmetic and uses nothing else, so it quantizes
without a float tensor. `min(x, c)` is said as `c - relu(c - x)`, for MINIMUM is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

Activation = Callable[[Any], Any]


def _at_most(x: Any, limit: float) -> Any:
    return limit - tf.nn.relu(limit - x)


def _relu6(x: Any) -> Any:
    return _at_most(tf.nn.relu(x), 6.0)


def _leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    return tf.maximum(x, negative_slope * x)


def _silu(x: Any) -> Any:
    return x * tf.sigmoid(x)


def _hard_sigmoid(x: Any) -> Any:
    return _at_most(tf.nn.relu(x * (1.0 / 6.0) + 0.5), 1.0)


def _hard_silu(x: Any) -> Any:
    return x * _hard_sigmoid(x)


def _hard_tanh(x: Any) -> Any:
    return _at_most(tf.nn.relu(x + 1.0), 2.0) - 1.0


def _tanh_shrink(x: Any) -> Any:
    return x - tf.tanh(x)


def _soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    return tf.nn.relu(x - threshold) - tf.nn.relu(-1.0 * x - threshold)


def _sparse_sigmoid(x: Any) -> Any:
    return _at_most(tf.nn.relu(x * 0.5 + 0.5), 1.0)


FORMULAS: dict[str, Activation] = {
    "linear": lambda x: x,
    "relu": tf.nn.relu,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "softmax": tf.nn.softmax,
    "silu": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_tanh": _hard_tanh,
    "tanh_shrink": _tanh_shrink,
    "soft_shrink": _soft_shrink,
    "sparse_sigmoid": _sparse_sigmoid,
}
"""Keras activation (by its own name) to its formula."""

REFUSED = {
    "celu", "elu", "selu", "exponential", "gelu", "glu", "hard_shrink", "log_sigmoid",
    "log_softmax", "mish", "softplus", "softsign", "sparse_plus", "sparsemax", "squareplus",
    "threshold",
}  # fmt: skip
"""Keras activations that no formula in the quantized op set gives."""

REMEDY = "use one of " + ", ".join(sorted(FORMULAS))


def formula(activation: Any) -> Activation | None:
    """The formula of a Keras activation function; None for one of Keras that has none.

    A user's own function is returned as it is: its ops are judged after conversion.
    """
    if activation is None:
        return FORMULAS["linear"]
    name = getattr(activation, "__name__", None)
    if isinstance(activation, keras.layers.Layer):
        return layer_formula(activation)
    if name is not None and activation is getattr(keras.activations, name, None):
        return FORMULAS.get(name)
    return activation  # type: ignore[no-any-return]


def layer_formula(layer: Any) -> Activation | None:
    """The formula of an activation layer (`ReLU`, `LeakyReLU`, `Softmax`, `Activation`)."""
    if isinstance(layer, keras.layers.Activation):
        return formula(layer.activation)
    if isinstance(layer, keras.layers.ReLU):
        if layer.threshold:
            return None
        return partial(_relu, max_value=layer.max_value, slope=float(layer.negative_slope or 0.0))
    if isinstance(layer, keras.layers.LeakyReLU):
        return partial(_leaky_relu, negative_slope=float(layer.negative_slope))
    if isinstance(layer, keras.layers.Softmax):
        return FORMULAS["softmax"]
    return None


def _relu(x: Any, max_value: float | None, slope: float) -> Any:
    y = tf.maximum(x, slope * x) if slope else tf.nn.relu(x)
    return y if max_value is None else _at_most(y, float(max_value))


@contextmanager
def said(owner: Any, **replacements: Activation) -> Iterator[None]:
    """Give `owner` other activations while it is traced, and its own back afterwards."""
    with ExitStack() as stack:
        for name, function in replacements.items():
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, function)
        yield
