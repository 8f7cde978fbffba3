"""Attention over a window: what equals Keras, what is refused, and the mask of the first rows."""

import keras
import numpy as np
import pytest

from converters import rolling
from converters.calibration import calibrate
from converters.checks import check_against_keras
from converters.conversion import convert
from converters.trace import trace
from edgernn.errors import InputError, UnsupportedError
from tests.converters.attention_models import FEATURES, attending, heads, last_state
from tests.converters.test_trace import randomized

L = keras.layers
WINDOW = 6


def frames(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


def streamed(step, x):
    return rolling.outputs(step.data, step, [x])[0]


def seeded(build, length=None):
    keras.utils.set_random_seed(0)
    return randomized(attending(build, length)())


@pytest.mark.parametrize("length", [None, 40])
def test_a_window_is_keras_own_sliding_window(length):
    x = frames(40)
    step = trace(seeded(heads(), length), WINDOW)
    expected = seeded(heads(sliding_window=WINDOW)).predict(x[None], verbose=0)[0]
    np.testing.assert_allclose(streamed(step, x), expected, atol=1e-5)
    assert step.exact == WINDOW


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_beyond_the_window_only_the_last_frames_count(name):
    x, layer = frames(30), getattr(L, name)
    source = seeded(lambda x: layer()([x, x], use_causal_mask=True))
    got = streamed(trace(source, WINDOW), x)
    for row in (0, 3, WINDOW - 1, WINDOW, 29):
        seen = x[max(0, row + 1 - WINDOW) : row + 1]
        expected = source.predict(seen[None], verbose=0)[0, -1]
        np.testing.assert_allclose(got[row], expected, atol=1e-5)


def test_without_a_mask_the_running_answer_is_that_of_what_has_come():
    source = seeded(lambda x: L.Dense(2)(L.MultiHeadAttention(2, 3)(x, x))[:, -1])
    x = frames(WINDOW)
    got = streamed(trace(source, WINDOW), x)
    for row in range(WINDOW):
        np.testing.assert_allclose(
            got[row], source.predict(x[None, : row + 1], verbose=0)[0], atol=1e-5
        )


def test_the_check_against_keras_ends_where_the_window_forgets():
    data = [frames(60)]
    open_end = seeded(heads())
    assert check_against_keras(open_end, trace(open_end, WINDOW), data) < 1e-5
    rows = seeded(heads(), 40)
    assert check_against_keras(rows, trace(rows, WINDOW), data) < 1e-5
    answer = seeded(lambda x: L.Attention()([x, x])[:, -1], 40)
    assert check_against_keras(answer, trace(answer, WINDOW), data) is None
    assert check_against_keras(answer, trace(answer), data) < 1e-5


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("pooled", [False, True])
def test_frames_that_have_not_come_weigh_nothing_in_integers(precision, pooled):
    """In the pooled model every step that shows the mask belongs to the warm-up."""

    def build(x):
        y = heads()(L.Rescaling(0.5)(x) if pooled else x)
        return L.GlobalMaxPooling1D()(y) if pooled else y

    source = seeded(build, 20)
    data = [5.0 + frames(20, seed) for seed in range(12)]  # far from zero, as absent frames are not
    model = convert(source, data, precision=precision)
    expected = source.predict(data[0][None], verbose=0)[0].reshape(1 if pooled else 20, -1)
    error = np.abs(model.stream("tflm").push(data[0]) - expected).max()
    assert error < {"int8": 0.06, "int16x8": 0.01}[precision] * np.abs(expected).max()


def test_a_splitted_stream_is_the_whole_one():
    model = convert(seeded(heads()), [frames(40, s) for s in range(4)], precision="int8", window=9)
    assert model.metadata.provenance["window"] == "9"
    x = frames(30, 9)
    whole, stream = model.stream().push(x), model.stream()
    parts = [stream.push(x[i : i + 7]) for i in range(0, 30, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_calibration_sees_the_mask_behind_a_warm_up():
    step = trace(seeded(lambda x: L.GlobalMaxPooling1D()(heads()(x)), 12))
    sample = calibrate(step, [frames(20)])
    assert min(values.min() for values in sample.values.values()) == -1000


def test_masked_frames_are_not_attended_to():
    """What a GRU ends with asks about its frames, some of which are masked."""
    source = seeded(lambda x: last_state(L.Masking()(x)), 20)
    data = [frames(20, s) for s in range(3)]
    model = convert(source, data, precision="float32")
    x = data[0].copy()
    x[5:9] = x[17:] = 0
    expected = source.predict(x[None], verbose=0)[0]
    np.testing.assert_allclose(model.stream("litert").push(x)[-1], expected, atol=1e-5)


def asked(**options):
    return lambda x: L.MultiHeadAttention(2, 4, name="a")(x, x, **options)


REFUSED = {
    "open": (asked(use_causal_mask=True), None, "of any length.*window=N"),
    "future": (asked(), 20, "'a': attention to frames that have not come.*use_causal_mask=True"),
    "pooled": (lambda x: L.GlobalMaxPooling1D()(asked()(x)), 20, "not come"),
    "scores": (
        lambda x: asked(use_causal_mask=True, return_attention_scores=True)(x)[0],
        20,
        "'a': return_attention_scores=True",
    ),
    "mask": (
        lambda x: asked(attention_mask=np.ones((1, 20, 20), bool))(x),
        20,
        "'a': the argument attention_mask",
    ),
    "many_queries": (
        lambda x: L.Flatten()(
            L.Attention(name="a")([L.Reshape((2, 3))(L.GRU(6)(x)), L.Dense(3)(x)])
        ),
        20,
        "'a': a query that is neither a sequence nor one row",
    ),
    "masked": (
        lambda x: asked(use_causal_mask=True)(L.Masking()(x)),
        20,
        "'a': a mask before self-attention.*only real frames",
    ),
    "no_sequence": (
        lambda x: L.Attention(name="a")([L.Reshape((1, 6))(L.GRU(6)(x))] * 2),
        20,
        "'a': attention to a tensor without a time axis",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer_and_the_remedy(name):
    build, length, message = REFUSED[name]
    with pytest.raises(UnsupportedError, match=message):
        trace(seeded(build, length))


def test_a_window_of_no_frames_is_refused():
    with pytest.raises(InputError, match="window 0"):
        convert(seeded(heads(), 20), [frames(40)], window=0)
