"""The float step equals Keras over long sequences, for every supported layer and option."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import rolling
from converters.activations import FORMULAS, JUMPING, REFUSED, SAMPLED
from converters.checks import normalise
from converters.trace import trace
from edgernn.errors import UnsupportedError
from tests.converters.attention_models import ATTENTION_MODELS
from tests.converters.time_models import TIME_MODELS

L = keras.layers
FEATURES = 5
STEPS = 960


@keras.saving.register_keras_serializable("tests")
class MinimalGatedCell(L.Layer):
    """A user's own cell (a minimal gated unit), written with keras.ops."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape):
        self.forget = L.Dense(self.units, activation="sigmoid")
        self.candidate = L.Dense(self.units, activation="tanh")
        self.forget.build((None, shape[-1] + self.units))
        self.candidate.build((None, shape[-1] + self.units))

    def call(self, x, states):
        (h,) = states
        f = self.forget(keras.ops.concatenate([x, h], -1))
        g = self.candidate(keras.ops.concatenate([x, f * h], -1))
        h = (1.0 - f) * h + f * g
        return h, [h]


@keras.saving.register_keras_serializable("tests")
class TwoStateCell(L.Layer):
    """A cell with two states of different sizes and an activation of Keras in it."""

    state_size = (4, 3)
    output_size = 7

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 7), name="kernel")
        self.recurrent = self.add_weight(shape=(7, 7), name="recurrent")
        self.activation = keras.activations.hard_sigmoid

    def call(self, x, states):
        z = keras.ops.concatenate(states, -1)
        z = self.activation(x @ self.kernel + z @ self.recurrent)
        return z, [z[:, :4], z[:, 4:]]


def sequential(*layers, features=FEATURES):
    return lambda: keras.Sequential([keras.Input((None, features)), *[make() for make in layers]])


def branches():
    x = keras.Input((None, FEATURES))
    a = L.GRU(6, return_sequences=True)(x)
    b = L.LSTM(6, return_sequences=True)(x)
    joined = L.Concatenate()([L.Add()([a, b]), L.Multiply()([a, b]), L.Subtract()([a, b])])
    mean = L.Average()([a, b, L.Dense(6)(x)])
    y = L.Dense(3)(L.Concatenate(axis=-1)([joined, mean]))
    return keras.Model(x, y)


def extremes():
    x = keras.Input((None, FEATURES))
    both = [L.GRU(6, return_sequences=True)(x), L.Dense(6)(x)]
    return keras.Model(x, L.Concatenate()([L.Maximum()(both), L.Minimum()(both)]))


def nested():
    inner = keras.Sequential([keras.Input((None, 6)), L.GRU(6, return_sequences=True), L.Dense(6)])
    x = keras.Input((None, FEATURES))
    outer = keras.Model(x, inner(L.Dense(6, activation="tanh")(x)))
    return keras.Sequential([keras.Input((None, FEATURES)), outer, L.LSTM(4), L.Dense(2)])


def shared():
    x = keras.Input((None, FEATURES))
    gru = L.GRU(FEATURES, return_sequences=True)
    return keras.Model(x, gru(gru(x)))


def return_state():
    x = keras.Input((None, FEATURES))
    y, h, c = L.LSTM(4, return_state=True)(x)
    return keras.Model(x, L.Concatenate()([y, h, c]))


def adapted():
    norm = L.Normalization(axis=-1)
    norm.adapt(np.random.default_rng(1).normal(0.3, [0.5, 1, 2, 4, 0.7], (200, 9, FEATURES)))
    return keras.Sequential([keras.Input((None, FEATURES)), norm, L.GRU(4, return_sequences=True)])


def gru(**options):
    return lambda: L.GRU(6, **{"return_sequences": True, **options})


def lstm(**options):
    return lambda: L.LSTM(6, **{"return_sequences": True, **options})


def simple(**options):
    return lambda: L.SimpleRNN(6, **{"return_sequences": True, **options})


MODELS = {
    "lstm": sequential(lstm(), lambda: L.Dense(3, activation="softmax")),
    "lstm_last": sequential(lstm(return_sequences=False)),
    "lstm_no_bias": sequential(lstm(use_bias=False)),
    "lstm_unrolled_cell": sequential(lambda: L.RNN(L.LSTMCell(6), return_sequences=True)),
    "lstm_hard_sigmoid": sequential(lstm(recurrent_activation="hard_sigmoid")),
    "lstm_relu": sequential(lstm(activation="relu", kernel_initializer="zeros")),
    "lstm_dropout": sequential(lstm(dropout=0.3, recurrent_dropout=0.2)),
    "gru": sequential(gru()),
    "gru_before": sequential(gru(reset_after=False)),
    "gru_before_no_bias": sequential(gru(reset_after=False, use_bias=False)),
    "gru_no_bias": sequential(gru(use_bias=False)),
    "gru_last": sequential(gru(return_sequences=False), lambda: L.Dense(2)),
    "gru_swish": sequential(gru(activation="silu")),
    "simple": sequential(simple()),
    "simple_no_bias": sequential(simple(use_bias=False)),
    "simple_leaky": sequential(simple(activation="leaky_relu", recurrent_initializer="zeros")),
    "stacked_cells": sequential(
        lambda: L.RNN([L.LSTMCell(4), L.GRUCell(5), L.SimpleRNNCell(3)], return_sequences=True)
    ),
    "stacked_layers": sequential(gru(), lstm(), simple(return_sequences=False), lambda: L.Dense(2)),
    "custom_cell": sequential(lambda: L.RNN(MinimalGatedCell(6), return_sequences=True)),
    "two_state_cell": sequential(lambda: L.RNN(TwoStateCell(), return_sequences=True)),
    "custom_in_stack": sequential(
        lambda: L.RNN([MinimalGatedCell(6), L.LSTMCell(4)], return_sequences=True)
    ),
    "conv_lstm": sequential(
        lambda: L.Reshape((-1, FEATURES, 1)),
        lambda: L.ConvLSTM1D(3, 3, return_sequences=True, dilation_rate=2),
        lambda: L.ConvLSTM1D(2, 2, padding="same"),
        L.Flatten,
        lambda: L.Dense(2),
    ),
    "time_distributed": sequential(
        lambda: L.TimeDistributed(L.Dense(4, activation="relu")),
        gru(),
        lambda: L.TimeDistributed(
            keras.Sequential([L.Dense(4), L.BatchNormalization(), L.Dense(2)])
        ),
    ),
    "training_only": sequential(
        lambda: L.GaussianNoise(0.1), gru(), lambda: L.Dropout(0.5), lambda: L.SpatialDropout1D(0.5)
    ),
    "batch_norm": sequential(L.BatchNormalization, gru(), L.BatchNormalization),
    "batch_norm_plain": sequential(
        gru(), lambda: L.BatchNormalization(scale=False, center=False), lambda: L.Dense(2)
    ),
    "layer_norm": sequential(gru(), L.LayerNormalization, lambda: L.Dense(2)),
    "layer_norm_plain": sequential(
        gru(), lambda: L.LayerNormalization(scale=False, center=False), lambda: L.Dense(2)
    ),
    "rms_norm": sequential(gru(), L.RMSNormalization, lambda: L.Dense(2)),
    "unit_norm": sequential(gru(), L.UnitNormalization),
    "spectral_norm": sequential(gru(), lambda: L.SpectralNormalization(L.Dense(3))),
    "extremes": extremes,
    "rescaling": sequential(lambda: L.Rescaling(0.1, offset=-0.5), gru()),
    "rescaling_inside": sequential(gru(), lambda: L.Rescaling(0.1, offset=-0.5)),
    "relu_layers": sequential(
        gru(), lambda: L.ReLU(max_value=0.1, negative_slope=0.2), lambda: L.LeakyReLU(0.1)
    ),
    "softmax_layer": sequential(gru(), L.Softmax),
    "normalization": adapted,
    "branches": branches,
    "nested": nested,
    "shared": shared,
    "return_state": return_state,
    **{
        f"activation_{name}": sequential(
            gru(), lambda name=name: L.Dense(4, activation=name), lambda: L.Activation("linear")
        )
        for name in FORMULAS
    },
    **TIME_MODELS,
    **ATTENTION_MODELS,
}


def randomized(model, seed=0):
    """The model with weights that use every term: no zero biases, no unit statistics."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value, path = variable.numpy(), getattr(variable, "path", variable.name)  # Keras 3, or 2
        if np.issubdtype(value.dtype, np.floating) and "normalization" not in path.split("/")[0]:
            noise = rng.normal(0, 0.3, value.shape).astype(np.float32)
            variable.assign(np.abs(noise) + 0.5 if "variance" in path else value + noise)
    return model


def answer(model, x):
    """What Keras gives. Of TimeDistributed `predict` would compile every single frame."""
    if not any(isinstance(layer, L.TimeDistributed) for layer in model.layers):
        return model.predict(x, verbose=0)
    assert isinstance(model, keras.Sequential)
    for layer in model.layers:
        x = layer(x) if isinstance(layer, L.TimeDistributed) else tf.function(layer)(x)
    return x.numpy()


@pytest.mark.parametrize("name", MODELS)
def test_float_step_equals_keras(name):
    keras.utils.set_random_seed(0)
    model = randomized(MODELS[name]())
    step = trace(model)
    late = 0 if step.sequence_output else step.latency
    length = model.inputs[0].shape[1] or STEPS - late
    x = np.random.default_rng(2).normal(size=(length + late, FEATURES)).astype(np.float32)
    (got,) = rolling.outputs(step.data, step, [normalise(step, x)])
    expected = answer(model, x[None, :length])[0]
    if step.sequence_output:  # row for row; what looks ahead lacks the last ones
        assert len(expected) - 8 <= len(got)
        expected, got = expected[: len(got)], got[: len(expected)]
    else:
        got = got[-1]
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(got.reshape(expected.shape) / scale, expected / scale, atol=1e-5)


def test_stateful_layers_start_from_zero_and_keep_the_users_state():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(1, None, FEATURES)),
            L.GRU(4, stateful=True, return_sequences=True),
        ]
    )
    x = np.random.default_rng(0).normal(size=(1, 20, FEATURES)).astype(np.float32)
    expected = model.predict(x, verbose=0)[0]
    before = [s.numpy() for s in model.layers[0].states]
    step = trace(model)
    (got,) = rolling.outputs(step.data, step, list(x))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_array_equal(before, [s.numpy() for s in model.layers[0].states])


def test_graph_holds_only_plain_operators():
    from edgernn import tflite

    graph = tflite.read(trace(MODELS["stacked_layers"]()).data)
    assert {op.name for op in graph.operators} <= {
        "FULLY_CONNECTED", "ADD", "SUB", "MUL", "LOGISTIC", "TANH",
    }  # fmt: skip
    assert graph.signatures["step"].inputs.keys() - {"x"} == (
        graph.signatures["step"].outputs.keys() - {"y"}
    )


def one_input(*layers, shape=(None, FEATURES), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


def two_inputs():
    a, b = keras.Input((None, 3), name="left"), keras.Input((None, 3), name="right")
    return keras.Model([a, b], L.GRU(4)(L.Concatenate()([a, b])))


def two_outputs():
    x = keras.Input((None, 3))
    return keras.Model(x, [L.GRU(4)(x), L.GRU(2)(x)])


def mixed():
    x = keras.Input((None, 3))
    return keras.Model(x, L.Add()([L.GRU(3, return_sequences=True)(x), L.GRU(3)(x)]))


class Unregistered(L.Layer):
    def call(self, x):
        return x


class Subclassed(keras.Model):
    def call(self, x):
        return x


REFUSALS = {
    "layer": (lambda: one_input(Unregistered(name="odd"), L.GRU(2)), "layer 'odd'.*Unregistered"),
    "bidirectional": (lambda: one_input(L.Bidirectional(L.GRU(2), name="both")), "'both'.*Bidirec"),
    "masking": (
        lambda: one_input(L.Masking(), L.Conv1D(2, 3), L.GRU(2)), "mask before Conv1D.*real frames",
    ),
    "backwards": (lambda: one_input(L.GRU(2, go_backwards=True, name="g")), "'g'.*go_backwards"),
    "batch": (lambda: one_input(L.GRU(2), batch_size=32), "batch size fixed to 32"),
    "rank": (lambda: one_input(L.Dense(2), shape=(7,)), "batch, time, features"),
    "mixed": (mixed, "layer 'add.*no time axis"),
    "subclassed": (Subclassed, "subclassed"),
    "time_axis": (
        lambda: one_input(L.LayerNormalization(axis=1, name="n"), shape=(4, 3)), "'n'.*axis=-1",
    ),
    **{
        f"activation_{name}": (
            lambda name=name: one_input(L.GRU(2, name="g", activation=name)),
            f"layer 'g'.*activation '{name}'.*use softmax",
        )
        for name in sorted(REFUSED)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_the_culprit(name):
    make, message = REFUSALS[name]
    with pytest.raises(UnsupportedError, match=message) as caught:
        trace(make())
    assert "\n" not in str(caught.value)


def test_every_keras_activation_is_said_or_refused():
    names = {
        name
        for name in dir(keras.activations)
        if getattr(getattr(keras.activations, name), "__name__", "") == name
    }
    assert names - {"deserialize", "get", "serialize"} == {*FORMULAS, *SAMPLED, *JUMPING, *REFUSED}
