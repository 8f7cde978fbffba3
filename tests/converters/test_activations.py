"""Activations as Keras lets one give them: by name, layer, partial or a function of one's own."""

import functools

import keras
import numpy as np
import pytest

from converters.activations import FORMULAS, JUMPING, SAMPLED, formula
from converters.conversion import convert
from converters.sampled import Sampled
from converters.trace import trace
from edgernn.errors import UnsupportedError
from tests.converters.test_trace import randomized

L = keras.layers


def recordings():
    random = np.random.default_rng(0)
    return [random.normal(0, 1, (60, 5)).astype(np.float32) for _ in range(8)]


def wave(x):
    return keras.ops.sin(x)


LAYERS = {
    "leaky_above_one": lambda: L.LeakyReLU(1.7),
    "relu_slope_above_one": lambda: L.ReLU(negative_slope=1.5, max_value=1.0),
    "prelu": lambda: L.PReLU(alpha_initializer="glorot_uniform", shared_axes=[1]),
    "glu": lambda: L.Dense(6, activation="glu"),
    "elu_instance": lambda: L.Dense(4, activation=L.ELU(0.5)),
    "partial": lambda: L.Dense(4, activation=functools.partial(keras.activations.elu, alpha=0.3)),
    "own": lambda: L.Dense(4, activation=wave),
    "own_said": lambda: L.Dense(4, activation=lambda x: keras.ops.tanh(x) * 0.5),
    "conv": lambda: L.Conv1D(4, 3, padding="causal", activation="mish"),
    "gru": lambda: L.GRU(4, activation="softsign", recurrent_activation="softsign"),
    "lstm": lambda: L.LSTM(4, activation="softsign", recurrent_activation="sparse_sigmoid"),
    "lstm_own": lambda: L.LSTM(4, activation=wave),
    "simple": lambda: L.SimpleRNN(4, activation="selu", recurrent_initializer="zeros"),
    "cell": lambda: L.RNN([L.GRUCell(3, activation="elu"), L.LSTMCell(3, activation="mish")]),
}


def model_of(name):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((None, 5)), LAYERS[name]()])


@pytest.mark.parametrize("precision", ["float32", "int8", "int16x8"])
@pytest.mark.parametrize("name", LAYERS)
def test_streams_what_keras_gives(name, precision):
    model = model_of(name)
    result = convert(model, recordings(), precision=precision)
    x = recordings()[0]
    expected = np.asarray(model(x[None]))[0]
    limit = {"float32": 1e-5, "int8": 0.06, "int16x8": 0.02}[precision] * np.ptp(expected)
    for backend in ("litert", "tflm"):
        got = np.asarray(result.stream(backend).push(x))
        got = got[-1] if expected.ndim == 1 else got
        np.testing.assert_allclose(got, expected, atol=max(limit, 2e-6))


def test_a_formula_may_leave_every_range_inside():
    keras.utils.clear_session()
    steep = lambda x: keras.ops.exp(20 * x) / (1 + keras.ops.exp(20 * x))  # noqa: E731
    model = keras.Sequential([keras.Input((None, 5)), L.Activation(steep)])
    x = recordings()[0]
    got = convert(model, recordings(), precision="int16x8").stream("tflm").push(x)
    np.testing.assert_allclose(got, np.asarray(model(x[None]))[0], atol=2e-3)


def test_softmax_over_another_axis_of_the_frame():
    x = keras.Input((None, 3, 4))
    model = keras.Model(x, L.Softmax(axis=-2)(x))
    data = [np.random.default_rng(0).normal(size=(30, 3, 4)).astype(np.float32)]
    for precision, limit in (("float32", 1e-6), ("int8", 0.02), ("int16x8", 2e-3)):
        got = convert(model, data, precision=precision).stream("tflm").push(data[0])
        np.testing.assert_allclose(got, np.asarray(model(data[0][None]))[0], atol=limit)


def test_only_functions_without_integer_operators_are_sampled():
    assert isinstance(formula(wave), Sampled)
    assert isinstance(formula(keras.activations.softsign), Sampled)
    tanh = lambda x: keras.ops.tanh(x) + x  # noqa: E731
    assert formula(tanh) is tanh
    across = lambda x: keras.ops.exp(x - keras.ops.max(x))  # noqa: E731
    assert formula(across) is across  # the elements depend on each other
    placed = lambda x: keras.ops.sin(x) * np.arange(64, dtype=np.float32)  # noqa: E731
    assert formula(placed) is placed


def test_an_int8_cell_state_can_be_wide_in_front_of_a_table():
    from converters.quantize import can_be_wide
    from converters.tables import collapse
    from edgernn import tflite

    step = trace(randomized(model_of("lstm")))
    graph = tflite.read(collapse(step.data, step.sites))
    assert can_be_wide(graph, next(s.name for s in step.states if s.unbounded))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: L.PReLU(name="p"), "'p'.*shared_axes"),
        (lambda: L.Softmax(axis=1, name="s"), "'s'.*axis 1"),
        (lambda: L.Dense(3, activation="sparsemax", name="d"), "'d'.*'sparsemax'.*use softmax"),
        (lambda: L.Dense(3, activation="log_softmax", name="d"), "'d'.*'log_softmax'.*linear"),
    ],
)
def test_refusals(layer, message):
    model = keras.Sequential([keras.Input((7, 5)), layer()])
    with pytest.raises(UnsupportedError, match=message):
        trace(model)


def test_outputs_that_are_no_numbers_are_said_so():
    model = keras.Sequential([keras.Input((None, 5)), L.Activation(lambda x: x / (x - x))])
    with pytest.raises(UnsupportedError, match=r"infinite or no numbers.*unstable"):
        convert(model, recordings(), precision="float32")


def test_every_formula_is_in_one_table():
    names = [*FORMULAS, *SAMPLED, *JUMPING]
    assert len(names) == len(set(names))
