"""Operations between layers, subclassed models and initial states: the stream equals Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from converters.conversion import convert
from edgernn.errors import UnsupportedError

L = keras.layers


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.recurrent, self.head = L.GRU(4, return_sequences=True), L.Dense(2)

    def call(self, x, training=False):
        return self.head(self.recurrent(x * 2.0))


class Wild(Subclassed):
    def call(self, x):
        return self.head(self.recurrent(x.numpy()))


def functional(build):
    x = keras.Input((None, 5))
    return keras.Model(x, build(x))


def gru(x, units=4):
    return L.GRU(units, return_sequences=True)(x)


FUNCTIONAL = {
    "scale and shift": lambda x: gru(x * 0.5 + 1.0) - 0.25,
    "from a constant": lambda x: 1.0 - gru(x),
    "division": lambda x: gru(x) / 3.0,
    "per feature": lambda x: gru(x * np.array([1, 2, 0.5, -1, 0], np.float32)),
    "two tensors": lambda x: gru(x, 5) * x + x,
    "extremes": lambda x: ops.maximum(gru(x, 5), x) - ops.minimum(gru(x, 5), 0.1),
    "functions": lambda x: ops.relu(gru(x)) + ops.square(gru(x)) - ops.abs(gru(x)),
    "more functions": lambda x: ops.sigmoid(-gru(x)) * ops.tanh(gru(x)),
    "concatenate": lambda x: ops.concatenate([gru(x), x], axis=-1),
}


def agrees(model, x, precision="float32", limit=1e-5):
    converted = convert(model, x, precision=precision)
    parts = x if isinstance(x, tuple) else (x,)
    batch = [part[:1] for part in parts]
    expected = model(batch if len(batch) > 1 else batch[0]).numpy()[0]
    sequence = tuple(part[0] for part in parts) if len(parts) > 1 else x[0]
    got = converted.stream().push(sequence)
    got = got if got.ndim == expected.ndim else got[-1]
    np.testing.assert_allclose(got, expected, atol=limit)


def data(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_operations(name):
    agrees(functional(FUNCTIONAL[name]), data(6, 30, 5))


def test_a_subclassed_model_that_calls_layers():
    model = Subclassed()
    model(data(1, 3, 5))
    agrees(model, data(6, 30, 5))


def test_subclassed_models_that_cannot_be_followed():
    with pytest.raises(UnsupportedError, match="Subclassed is not built"):
        convert(Subclassed(), data(6, 30, 5))
    wild = Wild()
    Subclassed.call(wild, data(1, 3, 5))
    wild._build_shapes_dict = {"input_shape": (1, 3, 5)}
    with pytest.raises(UnsupportedError, match="Wild cannot be followed"):
        convert(wild, data(6, 30, 5))


@pytest.mark.parametrize("precision", ["float32", "int8", "int16x8"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_initial_states_from_a_static_input(cell, precision):
    keras.utils.set_random_seed(0)
    x, context = keras.Input((None, 5)), keras.Input((3,))
    count = 2 if cell == "LSTM" else 1
    states = [L.Dense(4, activation="tanh")(context) for _ in range(count)]
    layer = getattr(L, cell)(4, return_sequences=True)
    model = keras.Model([x, context], layer(x, initial_state=states))
    limit = {"float32": 1e-5, "int8": 0.1, "int16x8": 0.02}[precision]
    agrees(model, (data(6, 30, 5), data(6, 3)), precision, limit)


def test_initial_states_from_frames_are_refused():
    x = keras.Input((None, 5))
    model = keras.Model(x, L.GRU(4, name="g")(x, initial_state=L.GRU(4)(x)))
    with pytest.raises(UnsupportedError, match=r"layer 'g'.*initial state that depends on frames"):
        convert(model, data(6, 30, 5))
