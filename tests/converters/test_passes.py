"""Models that look back from the end: whole windows and look-ahead, against Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import edgernn
from edgernn.cli.inspect import command
from edgernn.errors import EdgernnError, InputError, StateError, UnsupportedError
from edgernn.selftest import self_test

pytestmark = pytest.mark.usefixtures("short_measurements")
L = keras.layers
T, F = 12, 3


def stack(*layers, length=T):
    keras.utils.set_random_seed(7)
    return keras.Sequential([keras.Input((length, F)), *layers])


def both(kind="GRU", units=4, sequences=False, **options):
    return L.Bidirectional(getattr(L, kind)(units, return_sequences=sequences), **options)


def branches():
    keras.utils.set_random_seed(7)
    x = keras.Input((T, F))
    a = L.Concatenate()([L.Dense(2)(x), both(sequences=True)(x)])
    b = both("SimpleRNN", merge_mode=None)(L.Dropout(0.1)(a))
    inner = keras.Sequential([keras.Input((T, 10)), both("LSTM", 2)])
    return keras.Model(x, L.Dense(2)(L.Concatenate()([*b, inner(a)])))


def graph(build):
    keras.utils.set_random_seed(7)
    x = keras.Input((T, F))
    return keras.Model(x, build(x))


def reversed_rows(units=4):
    return L.GRU(units, return_sequences=True, go_backwards=True)


def by_hand(x):
    backward = keras.ops.flip(reversed_rows()(x), axis=1)
    return L.Dense(2)(L.Concatenate()([L.GRU(4, return_sequences=True)(x), backward]))


def encoder_and_decoder(x):
    bidirectional = L.Bidirectional(L.LSTM(2, return_sequences=True, return_state=True))
    y, h1, c1, h2, c2 = bidirectional(x)
    states = [L.Concatenate()([h1, h2]), L.Concatenate()([c1, c2])]
    decoded = L.LSTM(4, return_sequences=True)(x, initial_state=states)
    return L.Dense(2)(L.Concatenate()([decoded, y]))


def states_for_states(x):
    y, *states = L.Bidirectional(L.GRU(3, return_sequences=True, return_state=True))(x)
    return L.Dense(2)(both("GRU", 3)(y, initial_state=states))


MODELS = {
    **{
        f"{kind}, {mode}": lambda kind=kind, mode=mode: stack(
            both(kind, merge_mode=mode), L.Dense(3)
        )
        for kind, mode in [("LSTM", "concat"), ("GRU", "sum"), ("SimpleRNN", "mul")]
    },
    "every frame": lambda: stack(both("LSTM", 4, True, merge_mode="ave"), L.Dense(2)),
    "nothing after it": lambda: stack(both("GRU", 4, True)),
    "two layers": lambda: stack(L.Normalization(mean=1, variance=4), both(sequences=True), both()),
    "pooled": lambda: stack(both(sequences=True), L.GlobalAveragePooling1D(), L.Dense(2)),
    "flattened": lambda: stack(both("SimpleRNN", sequences=True), L.Flatten(), L.Dense(2)),
    "strides": lambda: stack(L.Conv1D(4, 3, strides=2), both(), L.Dense(2)),
    "pooled in pairs": lambda: stack(both(sequences=True), L.MaxPooling1D(2), L.GRU(3)),
    "go_backwards": lambda: stack(L.GRU(4, go_backwards=True), L.Dense(2)),
    "branches and models": branches,
    "reversed rows": lambda: stack(reversed_rows(), L.Dense(2)),
    "on reversed rows": lambda: stack(reversed_rows(), L.GRU(3), L.Dense(2)),
    "reversed twice": lambda: stack(reversed_rows(), reversed_rows(3), L.Dense(2)),
    "both ways on reversed rows": lambda: stack(reversed_rows(), both(sequences=True)),
    "mean of reversed rows": lambda: stack(reversed_rows(), L.GlobalAveragePooling1D()),
    "by hand": lambda: graph(by_hand),
    "flipped": lambda: graph(lambda x: L.GRU(3)(keras.ops.flip(x, axis=1))),
    "states": lambda: graph(encoder_and_decoder),
    "states for states": lambda: graph(states_for_states),
}


def frames(count=24, seed=0):
    return (1.5 * np.random.default_rng(seed).normal(size=(count, T, F))).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_whole_windows_are_those_of_keras(name):
    model, x = MODELS[name](), frames()
    expected = model.predict(x[:4], verbose=0)
    converted = edgernn.convert(model, x, precision="float32")
    got = converted.stream().push(np.concatenate(x[:4])).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["LSTM, concat", "two layers", "branches and models"])
@pytest.mark.parametrize(("precision", "limit"), [("int8", 0.05), ("int16x8", 0.01)])
def test_quantized_windows_are_close_to_keras(name, precision, limit):
    model, x = MODELS[name](), frames()
    expected = model.predict(x[:8], verbose=0)
    converted = edgernn.convert(model, x, precision=precision)
    assert all(tensor.dtype != "float32" for p in converted.passes for tensor in p.graph.tensors)
    got = converted.stream().push(np.concatenate(x[:8])).reshape(expected.shape)
    assert np.sqrt(np.mean((got - expected) ** 2)) < limit * np.ptp(expected)


def test_chunks_blobs_and_reset_do_not_matter():
    converted = edgernn.convert(MODELS["two layers"](), frames(), precision="int8")
    block = np.concatenate(frames(3, 1))
    whole = converted.stream().push(block)
    assert whole.shape == (3, 8)
    stream, parts = converted.stream(), []
    stream.push(block[:5])
    stream.reset()
    for part in np.split(block, [1, 7, 20, 21]):
        parts.append(stream.push(part))
        other = converted.stream()
        other.restore(stream.save())
        stream = other
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    with pytest.raises(StateError):
        stream.restore(stream.save()[:-1] + b"?")


def test_windows_overlap_by_a_hop():
    model, x = MODELS["GRU, sum"](), frames()
    converted = edgernn.convert(model, x, precision="float32", hop=5)
    block = np.concatenate(x[:3])
    windows = np.stack([block[i : i + T] for i in range(0, len(block) - T + 1, 5)])
    np.testing.assert_allclose(
        converted.stream().push(block), model.predict(windows, verbose=0), atol=1e-5
    )


def test_window_of_an_endless_model():
    model, x = stack(both(), L.Dense(2), length=None), frames()
    converted = edgernn.convert(model, x, precision="float32", window=8)
    np.testing.assert_allclose(
        converted.stream().push(x[0, :8]), model.predict(x[:1, :8], verbose=0), atol=1e-5
    )


def backwards_over(layer, x):
    """A layer's answer when it runs over rows from the newest to the oldest."""
    half = layer.backward_layer
    cell, states = half.cell, half.cell.get_initial_state(1)
    for row in x[::-1]:
        y, states = cell(row[None], states)
    return np.asarray(y)[0]


def ahead(layer, x, n):
    """Forward part and backward part over the next n rows, for each row that has so many."""
    forward = np.asarray(layer.forward_layer(x[None]))[0]
    rows = range(len(x) - n + 1)
    return np.stack([np.r_[forward[t], backwards_over(layer, x[t : t + n])] for t in rows])


def test_look_ahead_gives_every_frame_late():
    first, second, dense = both("LSTM", sequences=True), both("GRU", sequences=True), L.Dense(2)
    model, n = stack(first, second, dense, length=None), 4
    x = np.concatenate(frames(2))
    converted = edgernn.convert(model, frames(), precision="float32", lookahead=n)
    expected = np.asarray(dense(ahead(second, ahead(first, x, n), n)))
    np.testing.assert_allclose(converted.stream().push(x), expected, atol=1e-5)
    assert converted.metadata.latency == 2 * (n - 1)


def test_look_ahead_of_a_single_answer_runs_from_the_first_frame():
    layer, dense = both("LSTM"), L.Dense(2)
    model, n = stack(layer, dense, length=None), 5
    x = frames()[0]
    converted = edgernn.convert(model, frames(), precision="float32", lookahead=n)
    forward = [np.asarray(layer.forward_layer(x[None, : t + 1]))[0] for t in range(T)]
    back = [backwards_over(layer, x[max(0, t - n + 1) : t + 1]) for t in range(T)]
    expected = np.asarray(dense(np.concatenate([forward, back], axis=1)))
    stream = converted.stream()
    got = np.concatenate([stream.push(x[:3]), stream.push(x[3]), stream.push(x[4:])])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(got[n - 1], model.predict(x[None, :n], verbose=0)[0], atol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_look_ahead_quantized(precision):
    model = stack(both("LSTM", sequences=True), both("GRU"), L.Dense(2), length=None)
    x = np.concatenate(frames(2))
    exact = edgernn.convert(model, frames(), precision="float32", lookahead=4).stream().push(x)
    converted = edgernn.convert(model, frames(), precision=precision, lookahead=4)
    whole, stream = converted.stream().push(x), converted.stream()
    assert np.sqrt(np.mean((whole - exact) ** 2)) < 0.05 * np.ptp(exact)
    parts = []
    for part in np.split(x, [2, 3, 11]):
        parts.append(stream.push(part))
        saved, stream = stream.save(), converted.stream()
        stream.restore(saved)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_memory_not_the_file_grows_with_the_window():
    sizes = {}
    for n in (4, 40):
        model = stack(both("LSTM", 8), L.Dense(2), length=None)
        converted = edgernn.convert(model, [np.ones((90, F)), frames()[0]], lookahead=n)
        sizes[n] = [len(part.graph.operators) for part in converted.passes]
    assert sizes[4] == sizes[40]


def mixed_orders(x):
    return L.Add(name="sum")([L.GRU(4, return_sequences=True)(x), reversed_rows()(x)])


REFUSED = {
    "mixed orders": (lambda: graph(mixed_orders), {}, "'sum'.*backward order.*flip"),
    "reversed window": (
        lambda: stack(reversed_rows(), L.Conv1D(2, 3), reversed_rows()),
        {},
        "convolution.*backward order",
    ),
    "reversed rows ahead": (
        lambda: stack(reversed_rows(), L.Dense(2, name="d")),
        {"lookahead": 3},
        "'d'.*backward order.*window T",
    ),
    "reversed behind a mask": (
        lambda: stack(L.Masking(name="m"), reversed_rows()),
        {},
        "'m': a mask.*Bidirectional",
    ),
    "neither": (lambda: stack(both(), length=None), {}, "window T.*lookahead N"),
    "two ways": (lambda: stack(both()), {"lookahead": 3, "hop": 2}, "choose one"),
    "other window": (lambda: stack(both()), {"window": 5}, "takes 12 frames"),
    "long hop": (lambda: stack(both()), {"hop": 13}, "longer than the window"),
    "no lookahead": (lambda: stack(both()), {"lookahead": 0}, "at least one frame"),
    "useless window": (lambda: stack(L.GRU(2)), {"window": 5}, "window 5: the model has no layer"),
    "nothing to look back": (lambda: stack(L.GRU(2)), {"lookahead": 3}, "no layer"),
    "padding": (lambda: stack(L.Conv1D(2, 3, padding="same"), both()), {}, "padding='same'"),
    "rates": (
        lambda: stack(both(sequences=True), L.MaxPooling1D(2), L.GRU(2)),
        {"lookahead": 3},
        "strides, pooling",
    ),
    "in a wrapper": (
        lambda: keras.Sequential(
            [
                keras.Input((T, 4, F)),
                L.TimeDistributed(keras.Sequential([both()]), name="t"),
                L.GRU(2),
            ]
        ),
        {},
        "endless sequence|shape",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, options, message = REFUSED[name]
    with pytest.raises((UnsupportedError, InputError), match=message):
        edgernn.convert(make(), frames(), **options)


def test_a_file_without_its_passes_is_refused():
    converted = edgernn.convert(MODELS["GRU, sum"](), frames(), precision="int8")
    damaged = converted.data.replace(b"EDGERNN_PASS_1", b"EDGERNN_PASS_9")
    with pytest.raises(EdgernnError, match="lacks pass 1"):
        edgernn.load(damaged)


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "Passes: 3, over 12 frames, every 12 frames"), ({"lookahead": 4}, "over the last 4")],
)
def test_inspect_says_how_the_passes_run(tmp_path, options, said):
    model = stack(both(), L.Dense(2))
    converted = edgernn.convert(model, frames(), labels=["a", "b"], **options)
    converted.save(tmp_path / "model.tflite")
    result = CliRunner().invoke(command, [str(tmp_path / "model.tflite")])
    assert said in result.output
    assert "Step model: yes" in result.output
    assert self_test(converted).passed
