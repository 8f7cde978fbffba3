"""Sampled functions in quantized files, over every input, against Keras in float."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters.conversion import convert
from converters.sampled import Sampled
from converters.tables import MIN_BITS, lines, table_int8
from edgernn import tflite

L = keras.layers
FEATURES = 16


def _threshold(x):
    return keras.activations.threshold(x, 0.4, -0.2)


def _waves(x):
    return keras.ops.sin(x) * x


LAYERS = {
    **{
        name: lambda name=name: L.Activation(name)
        for name in (
            "celu", "elu", "exponential", "gelu", "hard_shrink", "log_sigmoid", "mish", "selu",
            "softplus", "softsign", "sparse_plus", "squareplus",
        )
    },
    "elu_layer": lambda: L.ELU(0.3),
    "relu_threshold": lambda: L.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.7),
    "gelu_tanh": lambda: L.Activation(lambda x: keras.activations.gelu(x, approximate=True)),
    "threshold": lambda: L.Activation(_threshold),
    "own": lambda: L.Activation(_waves),
}  # fmt: skip


def recordings(seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(0, 2, (60, FEATURES)).astype(np.float32) for _ in range(8)]


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_input_gives_what_keras_gives(name, precision):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((None, FEATURES)), LAYERS[name]()])
    result = convert(model, recordings(), precision=precision)
    graph = tflite.read(result.data)
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    limits = np.iinfo(x.dtype)
    raw = np.arange(limits.min, limits.max + 1).astype(x.dtype).reshape(-1, FEATURES)
    real = ((raw.astype(np.float64) - x.zero_point[0]) * x.scale[0]).astype(np.float32)
    levels = np.iinfo(y.dtype).min - y.zero_point[0], np.iinfo(y.dtype).max - y.zero_point[0]
    expected = np.clip(np.asarray(model(real[None]))[0].astype(np.float64) / y.scale[0], *levels)
    got = result.stream("tflm").push_raw(raw).astype(np.float64) - y.zero_point[0]
    if precision == "int8":
        assert np.abs(got - expected).max() < 0.51  # correctly rounded
    else:
        # Two bends are more than a table holds exactly: a share of 2^-10.
        share = 2.0**-10 if name == "relu_threshold" else 2.0**-12
        assert np.abs(got - expected).max() <= share * np.ptp(expected)


@pytest.mark.parametrize("name", LAYERS)
def test_float_formulas_are_those_of_keras(name):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((None, FEATURES)), LAYERS[name]()])
    result = convert(model, recordings(), precision="float32")
    x = np.linspace(-12, 12, 24 * FEATURES, dtype=np.float32).reshape(-1, FEATURES)
    expected = np.asarray(model(x[None]))[0]
    # GELU by tanh becomes one operator, which TFLM does not have.
    for backend in ("litert",) if name == "gelu_tanh" else ("litert", "tflm"):
        got = np.asarray(result.stream(backend).push(x))
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=4e-6)


def test_easy_functions_take_few_lines():
    flat = lines(Sampled(lambda x: 0.0 * x + 0.5), 2.0**-12, 2.0**-15)
    curved = lines(Sampled(tf.sin), 2.0**-12, 2.0**-15)
    assert len(flat.slope) < len(curved.slope) <= 2 ** (16 - MIN_BITS) + 1


@pytest.mark.parametrize("place", [-3.3, 0.0, 1e-4, 0.4, 7.9])
def test_a_jump_anywhere_is_exact(place):
    found = lines(Sampled(lambda x: tf.where(x > place, 0.9, -0.9)), 2.0**-12, 2.0**-15)
    assert found.error <= 2.0


@pytest.mark.parametrize("function", [tf.exp, lambda x: 1.0 / x, lambda x: tf.math.log(x) + 1.0])
def test_values_beyond_every_range_saturate(function):
    sampled = Sampled(function)
    assert table_int8(sampled, (1.0, 0), (1e-3, 0))[129] == 127
    found = lines(sampled, 2.0**-8, 2.0**-15)
    assert np.abs(found.high).max() <= 64
    assert np.isfinite(found.error)
