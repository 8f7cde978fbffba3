"""Activations, as formulas of the quantized op set or as functions to be sampled into tables.

LiteRT's and TFLM's integer kernels know RELU, LOGISTIC, TANH, SOFTMAX, MAXIMUM, ADD, SUB and MUL.
Each formula of `FORMULAS` equals Keras' own in exact arithmetic and uses nothing else, so it
quantizes without a float tensor. `min(x, c)` is said as `c - relu(c - x)`, for MINIMUM is not
among them. The formulas of `SAMPLED` take what float32 has; quantized files look their values up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from converters.sampled import Sampled, converted
from edgernn import tflite

Activation = Callable[[Any], Any]


def _at_most(x: Any, limit: float) -> Any:
    return limit - tf.nn.relu(limit - x)


def _relu6(x: Any) -> Any:
    return _at_most(tf.nn.relu(x), 6.0)


def _leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    if negative_slope > 1.0:
        return tf.nn.relu(x) - negative_slope * tf.nn.relu(-1.0 * x)
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


def _glu(x: Any, axis: int = -1) -> Any:
    value, gate = tf.split(x, 2, axis=axis)
    return value * tf.sigmoid(gate)


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
    "glu": _glu,
}
"""Keras activation (by its own name) to its formula in the quantized op set."""


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return tf.nn.relu(x) + alpha * (tf.exp(tf.minimum(x, 0.0) * (1.0 / alpha)) - 1.0)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return tf.nn.relu(x) + alpha * (tf.exp(tf.minimum(x, 0.0)) - 1.0)


def _selu(x: Any) -> Any:
    # Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * _elu(x, alpha)


_ERFC: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
"""Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26: within 1.5e-7."""


def _gelu(x: Any, approximate: bool = False) -> Any:
    if approximate:
        return 0.5 * x * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
    # x Phi(x) = relu(x) - |x| Phi(-|x|), with Phi(-a) = erfc(a / sqrt(2)) / 2.
    a = tf.abs(x)
    t = 1.0 / (1.0 + (0.3275911 / math.sqrt(2.0)) * a)
    series = t * _ERFC[4]
    for coefficient in _ERFC[3::-1]:
        series = (series + coefficient) * t
    return tf.nn.relu(x) - 0.5 * a * series * tf.exp(-0.5 * a * a)


def _softplus(x: Any) -> Any:
    return tf.nn.relu(x) + tf.math.log(1.0 + tf.exp(-1.0 * tf.abs(x)))


def _log_sigmoid(x: Any) -> Any:
    return -1.0 * _softplus(-1.0 * x)


def _mish(x: Any) -> Any:
    return x * tf.tanh(_softplus(x))


def _softsign(x: Any) -> Any:
    return x / (1.0 + tf.abs(x))


def _sparse_plus(x: Any) -> Any:
    above = tf.nn.relu(x - 1.0)
    ramp = tf.nn.relu(x + 1.0) - above
    return 0.25 * ramp * ramp + above


def _squareplus(x: Any, b: float = 4.0) -> Any:
    return 0.5 * (x + tf.sqrt(x * x + b))


SAMPLED: dict[str, Activation] = {
    "celu": _celu,
    "elu": _elu,
    "exponential": tf.exp,
    "gelu": _gelu,
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "selu": _selu,
    "softplus": _softplus,
    "softsign": _softsign,
    "sparse_plus": _sparse_plus,
    "squareplus": _squareplus,
}
"""Keras activation to its formula in float32, of which quantized files hold a table."""


def _threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` above the threshold, the default up to it."""
    return Sampled(lambda v: tf.where(v > threshold, v, default_value * tf.ones_like(v)))(x)


def _hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Nothing up to the threshold on both sides; a table of each, for a table has one jump."""
    return _threshold(x, threshold, 0.0) - _threshold(-1.0 * x, threshold, 0.0)


JUMPING: dict[str, Callable[..., Any]] = {"hard_shrink": _hard_shrink, "threshold": _threshold}
"""Keras activation to a formula that samples functions with one jump each."""

REFUSED = {
    "log_softmax": "use softmax, or leave the output linear: both decide alike",
    "sparsemax": "use softmax",
}
"""Keras activations that are no functions of single elements, and what to use instead."""

REMEDY = "use one of " + ", ".join(sorted({*FORMULAS, *SAMPLED, *JUMPING}))

QUANTIZED: Final = {
    "ADD", "SUB", "MUL", "MAXIMUM", "LOGISTIC", "TANH", "RELU", "SOFTMAX", "MEAN", "RSQRT", "SPLIT",
    "STRIDED_SLICE", "CONCATENATION", "RESHAPE", "FULLY_CONNECTED",
}  # fmt: skip
"""Operators with an integer form in every runtime."""


def formula(activation: Any) -> Activation | None:
    """The formula of a Keras activation function, layer or partial; None for one that has none.

    A user's own function is returned as it is if its operators have an integer form, and sampled
    if they have none but it works on every element alone.
    """
    if activation is None:
        return FORMULAS["linear"]
    if isinstance(activation, keras.layers.Layer):
        return layer_formula(activation)
    if isinstance(activation, partial) and not activation.args:
        if (name := _keras_name(activation.func)) is not None:
            return _by_name(name, **activation.keywords)
    elif (name := _keras_name(activation)) is not None:
        return _by_name(name)
    return _own(activation)


def _keras_name(activation: Any) -> str | None:
    name = getattr(activation, "__name__", None)
    known = name is not None and activation is getattr(keras.activations, name, None)
    return name if known else None


def _by_name(name: str, **options: Any) -> Activation | None:
    """The formula of one of Keras' activations, with its options bound."""
    if name in SAMPLED:
        function = SAMPLED[name]
        return Sampled(partial(function, **options) if options else function)
    found = FORMULAS.get(name, JUMPING.get(name))
    return partial(found, **options) if found is not None and options else found


@lru_cache(maxsize=32)
def _own(function: Activation) -> Activation:
    """A user's function, to be sampled if it needs to and can be."""
    with tf.init_scope():  # outside of the trace that goes on
        try:
            graph = tflite.read(converted(function, (1, _PROBES)))
        except Exception:  # whatever it raises, the trace raises again
            return function
        if {op.name for op in graph.operators} <= QUANTIZED or not _is_elementwise(function):
            return function
    return Sampled(function)


_PROBES: Final = 64


def _is_elementwise(function: Activation) -> bool:
    """Whether each result depends on the element in its place alone, and on no place."""
    random = np.random.default_rng(0)
    x = random.normal(0.0, 2.0, (1, _PROBES)).astype(np.float32)
    order = random.permutation(_PROBES)
    changed = np.where(np.arange(_PROBES) % 2, x, x + 1.0).astype(np.float32)
    y, moved, other = (np.asarray(function(tf.constant(v))) for v in (x, x[:, order], changed))
    if y.shape != x.shape:
        return False
    same = np.allclose(y[:, order], moved, rtol=1e-5, atol=1e-6, equal_nan=True)
    return same and bool(
        np.allclose(y[:, 1::2], other[:, 1::2], rtol=1e-5, atol=1e-6, equal_nan=True)
    )


def layer_formula(layer: Any) -> Activation | None:
    """The formula of an activation layer, on one frame."""
    if isinstance(layer, keras.layers.Activation):
        return formula(layer.activation)
    if isinstance(layer, keras.layers.ReLU):
        return relu_formula(
            None if layer.max_value is None else float(layer.max_value),
            float(layer.negative_slope or 0.0),
            float(layer.threshold or 0.0),
        )
    if isinstance(layer, keras.layers.LeakyReLU):
        return partial(_leaky_relu, negative_slope=float(layer.negative_slope))
    if isinstance(layer, keras.layers.ELU):
        return _by_name("elu", alpha=float(layer.alpha))
    if isinstance(layer, keras.layers.Softmax):
        return FORMULAS["softmax"]
    return None


def relu_formula(max_value: float | None, slope: float, threshold: float) -> Activation:
    """Keras' ReLU with its options; with a threshold it jumps there."""
    if threshold == 0.0:
        return partial(_relu, max_value=max_value, slope=slope)

    def jumping(x: Any) -> Any:
        y = x if max_value is None else tf.minimum(x, max_value)
        return tf.where(x < threshold, slope * (x - threshold), y)

    return Sampled(jumping)


def _relu(x: Any, max_value: float | None, slope: float) -> Any:
    y = _leaky_relu(x, slope) if slope else tf.nn.relu(x)
    return y if max_value is None else _at_most(y, float(max_value))


@contextmanager
def said(owner: Any, **replacements: Activation) -> Iterator[None]:
    """Give `owner` other activations while it is traced, and its own back afterwards."""
    with ExitStack() as stack:
        for name, function in replacements.items():
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, function)
        yield
