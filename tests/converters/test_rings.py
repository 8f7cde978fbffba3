"""Layers that mix frames: which row comes when, and what an open end does."""

from pathlib import Path

import keras
import numpy as np
import pytest

from converters import rolling
from converters.checks import check_against_keras
from converters.conversion import convert
from converters.rules.pooling import MEMORY
from converters.trace import trace
from edgernn import tflite
from edgernn.cli.convert import show
from edgernn.errors import UnsupportedError
from tests.converters.test_conversion import recordings
from tests.converters.test_trace import randomized
from tests.converters.time_models import FEATURES, TIME_MODELS, conv, gru, sequential

L = keras.layers


def frames(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


TIMES = {  # frames per step, warm-up in steps, latency in frames
    "conv_causal": (1, 0, 0),
    "conv_valid": (1, 2, 0),
    "conv_same": (1, 3, 3),
    "conv_dilated": (1, 4, 0),
    "conv_strided_pool": (4, 1, 3),
    "conv_strided_causal": (2, 0, 1),
    "max_pool_same": (1, 1, 1),
    "global_average_window": (1, 19, 0),
    "residual": (1, 3, 3),
    "zero_padding_conv": (1, 0, 2),
}


@pytest.mark.parametrize("name", TIMES)
def test_warm_up_and_latency_are_no_longer_than_they_must_be(name):
    step = trace(TIME_MODELS[name]())
    assert (step.frames_per_step, step.warmup, step.latency) == TIMES[name]


@pytest.mark.parametrize("precision", ["float32", "int8", "int16x8"])
def test_one_output_per_four_frames_for_any_split(precision):
    keras.utils.set_random_seed(0)
    source = randomized(TIME_MODELS["conv_strided_pool"]())
    model = convert(source, recordings(), precision=precision)
    x = recordings(1)[0]
    expected = source.predict(x[None], verbose=0)[0]
    whole = model.stream().push(x)
    assert whole.shape == expected.shape == ((len(x) - 3) // 2 // 2, 4)
    assert (
        np.abs(whole - expected).max() < {"float32": 1e-5, "int8": 0.1, "int16x8": 0.03}[precision]
    )
    for size in (1, 3, 4, 7, 50):
        stream = model.stream()
        blocks = [stream.push(x[i : i + size]) for i in range(0, len(x), size)]
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_running_mean_is_that_of_all_frames_and_later_forgets():
    model = sequential(conv(1), L.GlobalAveragePooling1D)()
    step = trace(model)
    x = frames(2 * MEMORY)
    (got,) = rolling.outputs(step.data, step, [x])
    expected = model.predict(x[None, :MEMORY], verbose=0)[0]
    np.testing.assert_allclose(got[MEMORY - 1], expected, atol=1e-5)
    inner = np.asarray(model.layers[0](x[None]))[0]
    mean = expected
    for row in inner[MEMORY:]:
        mean = mean + (row - mean) / MEMORY
    np.testing.assert_allclose(got[-1], mean, atol=1e-5)


def test_a_look_ahead_behind_which_there_is_one_answer_is_not_compared(capsys):
    step = convert(
        sequential(conv(padding="same"), L.GlobalMaxPooling1D)(),
        recordings(),
        precision="float32",
    )
    assert step.report["float_vs_keras"] is None
    assert step.metadata.latency == 1
    show(step.report, Path("model.tflite"))
    printed = " ".join(capsys.readouterr().out.split())
    assert "cannot be compared" in printed
    assert "Warm-up: the first 1 step(s)" in printed
    assert "Latency: a prediction comes 1 frame(s)" in printed


def test_a_look_ahead_before_a_recurrent_answer_is_compared_row_by_row():
    model = sequential(conv(padding="same"), gru(return_sequences=False), lambda: L.Dense(2))()
    assert check_against_keras(model, trace(model), recordings(2)) < 1e-5
    assert not model.layers[1].return_sequences
    step = trace(model)
    model.layers[1].cell.bias.assign_add(np.ones_like(model.layers[1].cell.bias))
    with pytest.raises(UnsupportedError, match="differs from Keras"):
        check_against_keras(model, step, recordings(2))


@pytest.mark.parametrize("pooling", [L.GlobalAveragePooling1D, L.GlobalMaxPooling1D])
def test_global_pooling_over_a_window_of_the_users(pooling):
    model = sequential(conv(2), pooling)()
    x, converted = frames(60), convert(model, recordings(), precision="float32", window=30)
    got = converted.stream().push(x)
    assert converted.metadata.warmup == 30
    for row in (0, 7, 29):  # 30 rows of the convolution are of 31 frames
        expected = model.predict(x[None, row : row + 31], verbose=0)[0]
        np.testing.assert_allclose(got[row], expected, atol=1e-5)


def test_calibration_must_reach_the_first_prediction():
    model = sequential(gru(), L.GlobalAveragePooling1D, length=50)()
    with pytest.raises(Exception, match="no sequence of 50 frames"):
        convert(model, recordings(count=3, length=49))


def test_channels_first_is_refused():
    layers = (lambda: L.MaxPooling1D(2, data_format="channels_first", name="p"), gru())
    with pytest.raises(UnsupportedError, match=r"'p'.*channels_first"):
        trace(sequential(*layers, length=8)())


def test_branches_of_different_rates_are_refused():
    x = keras.Input((None, FEATURES))
    slow = L.MaxPooling1D(2)(x)
    with pytest.raises(UnsupportedError, match="different rates"):
        trace(keras.Model(x, L.Concatenate()([x, slow])))


def test_products_are_of_matrices_and_rows_are_open():
    """tflite-runtime 2.14 is wrong on int16 products of more axes, and batches make it fast."""
    step = trace(TIME_MODELS["conv_same"]())
    graph = tflite.read(step.data)
    results = [
        graph.tensors[op.outputs[0]] for op in graph.operators if op.name == "FULLY_CONNECTED"
    ]
    assert {len(tensor.shape) for tensor in results} == {2}
    assert rolling._batch_width(step.data, graph, 8) == 8
