"""Masks before layers that look back from the end: padded windows, against Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import edgernn
from edgernn.cli.run import command
from edgernn.errors import InputError, ModelFileError, UnsupportedError
from edgernn.selftest import self_test
from tests.converters.test_passes import both

pytestmark = pytest.mark.usefixtures("short_measurements")
L = keras.layers
T, F, TOKENS, PADDING = 9, 3, 20, -1.0


def tokens(*layers, length=T):
    keras.utils.set_random_seed(3)
    table = L.Embedding(TOKENS, 5, mask_zero=True, embeddings_initializer="normal", name="table")
    return keras.Sequential([keras.Input((length,), dtype="int32"), table, *layers])


def gestures(*layers):
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((T, F)), L.Masking(PADDING, name="mask"), *layers])


def branches():
    keras.utils.set_random_seed(3)
    x = keras.Input((T, F))
    masked = L.Masking(PADDING)(x)
    a = L.Concatenate()([L.Dense(2)(masked), both(sequences=True)(masked)])
    last = L.Concatenate()([L.LSTM(3)(masked), both("SimpleRNN")(a)])
    return keras.Model(x, L.Dense(2)(last))


MODELS = {
    "sentiment": lambda: tokens(both("LSTM"), L.Dense(3, activation="softmax")),
    "two layers": lambda: tokens(both("GRU", sequences=True), both("LSTM"), L.Dense(3)),
    "mean": lambda: tokens(both("LSTM", sequences=True), L.GlobalAveragePooling1D(), L.Dense(3)),
    "tagger": lambda: tokens(L.SpatialDropout1D(0.1), both(sequences=True), L.Dense(3)),
    "any length": lambda: tokens(both("LSTM"), L.Dense(3), length=None),
    "gestures": lambda: gestures(both("LSTM", merge_mode="sum"), L.Dense(3)),
    "go_backwards": lambda: gestures(L.Dense(4), L.GRU(4, go_backwards=True), L.Dense(3)),
    "behind it": lambda: gestures(both("SimpleRNN", sequences=True), L.LSTM(3), L.Dense(2)),
    "branches": branches,
}


def padded(model, count=24):
    """Windows, the first ones padded in all ways, and which of their frames count."""
    random = np.random.default_rng(0)
    real = np.ones((count, T), bool)
    real[1, 4:] = real[2, :3] = real[3, [0, 4, 5, 8]] = real[4, 1:] = False
    if model.inputs[0].dtype == "int32":
        return np.where(real, random.integers(1, TOKENS, (count, T)), 0).astype(np.int32), real
    x = random.normal(size=(count, T, F))
    return np.where(real[..., None], x, PADDING).astype(np.float32), real


def convert(name, precision="float32", **options):
    model = MODELS[name]()
    x, real = padded(model)
    options |= {"window": T} if name == "any length" else {}
    return model, edgernn.convert(model, x, precision=precision, **options), x, real


@pytest.mark.parametrize("name", MODELS)
def test_padded_windows_are_those_of_keras(name):
    model, converted, x, real = convert(name)
    expected = model.predict(x[:6], verbose=0)
    got = converted.stream().push(np.concatenate(x[:6])).reshape(expected.shape)
    if expected.ndim == 3:  # Keras' own rows of masked frames mean nothing
        got, expected = got[real[:6]], expected[real[:6]]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["two layers", "mean", "gestures"])
@pytest.mark.parametrize(("precision", "limit"), [("int8", 0.05), ("int16x8", 0.01)])
def test_quantized_padded_windows_are_close_to_keras(name, precision, limit):
    model, converted, x, _ = convert(name, precision)
    assert all(tensor.dtype != "float32" for p in converted.passes for tensor in p.graph.tensors)
    expected = model.predict(x[:8], verbose=0)
    got = converted.stream().push(np.concatenate(x[:8]))
    assert np.sqrt(np.mean((got - expected) ** 2)) < limit * np.ptp(expected)
    assert self_test(converted).passed


@pytest.mark.parametrize("name", ["sentiment", "any length", "gestures"])
@pytest.mark.parametrize("count", [1, 4, T])
def test_the_end_of_a_sequence_fills_the_window(name, count):
    model, converted, x, _ = convert(name)
    filled = x[5:6].copy()
    filled[:, count:] = 0 if x.ndim == 2 else PADDING
    stream = converted.stream()
    got = stream.push(x[5, :count], last=True)
    np.testing.assert_allclose(got, model.predict(filled, verbose=0)[0], atol=1e-5)
    np.testing.assert_array_equal(stream.push(x[5, :count], last=True), got)  # it was reset
    with pytest.raises(InputError, match="before its first prediction"):
        stream.push(x[5, :0], last=True)


def test_a_window_of_nothing_but_padding():
    model, converted, x, _ = convert("gestures")
    empty = np.full_like(x[:1], PADDING)
    np.testing.assert_allclose(
        converted.stream().push(empty[0]), model.predict(empty, verbose=0), atol=1e-5
    )


def test_a_masked_frame_has_the_row_before_it():
    _, converted, x, real = convert("tagger")
    got = converted.stream().push(x[3])
    assert got.shape == (T, 3)
    for t in range(1, T):
        assert real[3, t] or (got[t] == got[t - 1]).all()


def test_chunks_and_blobs_do_not_matter():
    _, converted, x, _ = convert("two layers", "int8", hop=4)
    block = np.concatenate(x[:4])
    whole, stream, parts = converted.stream().push(block), converted.stream(), []
    for part in np.split(block, [2, 11, 12, 30]):
        parts.append(stream.push(part))
        saved, stream = stream.save(), converted.stream()
        stream.restore(saved)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_run_answers_where_a_sequence_ends(tmp_path):
    model, converted, x, _ = convert("sentiment")
    converted.save(tmp_path / "model.tflite")
    text = "\n".join([*map(str, x[0, :4]), "", *map(str, x[5])]) + "\n"
    (tmp_path / "tokens.csv").write_text(text)
    files = [str(tmp_path / name) for name in ("model.tflite", "tokens.csv")]
    result = CliRunner().invoke(command, [files[0], "-i", files[1], "--last"])
    got = [json.loads(line)["y"] for line in result.output.splitlines()]
    assert len(got) == 2
    filled = np.stack([np.r_[x[0, :4], np.zeros(T - 4, np.int32)], x[5]])
    np.testing.assert_allclose(got, model.predict(filled, verbose=0), atol=1e-5)


def unmasked_branch():
    x = keras.Input((T, F))
    y = L.Concatenate()([both()(L.Masking()(x)), L.GRU(2, name="blind")(x)])
    return keras.Model(x, y)


REFUSED = {
    "look-ahead": (lambda: gestures(both()), {"lookahead": 3}, "'mask'.*--window T"),
    "convolution": (
        lambda: gestures(both(sequences=True), L.Conv1D(2, 2, name="c"), L.GRU(2)),
        {},
        "'c'.*mask before Conv1D.*real frames",
    ),
    "maximum": (
        lambda: tokens(both(sequences=True), L.GlobalMaxPooling1D(name="m")),
        {},
        "'m'.*mask before GlobalMaxPooling1D",
    ),
    "another branch": (unmasked_branch, {}, "'blind' remembers frames"),
}


@pytest.mark.filterwarnings("ignore:Layer")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, options, message = REFUSED[name]
    model = make()
    with pytest.raises(UnsupportedError, match=message):
        edgernn.convert(model, padded(model)[0], **options)


def test_a_damaged_file_is_refused():
    converted = convert("gestures")[1]
    start = converted.data.index(b'"masked_output": [') + 18
    end = converted.data.index(b"]", start)
    damaged = converted.data[:start] + b"1" * (end - start) + converted.data[end:]
    with pytest.raises(ModelFileError, match="masked output"):
        edgernn.load(damaged)
