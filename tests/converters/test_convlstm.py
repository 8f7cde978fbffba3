"""ConvLSTM against Keras, and its quantized step in C against the reference interpreter."""

import keras
import numpy as np
import pytest

from converters import rolling
from converters.conversion import convert
from converters.trace import trace
from edgernn.errors import UnsupportedError
from tests.converters.test_trace import randomized
from tests.targets.test_converted import assert_bit_exact, built

L = keras.layers
LINE, IMAGE = (7, 3), (6, 5, 2)

OPTIONS = {
    "valid": {},
    "same": {"padding": "same"},
    "strided": {"padding": "same", "strides": 2},
    "dilated": {"dilation_rate": 2, "use_bias": False},
    "activations": {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
    "sampled": {"activation": "softsign"},
}


def model(layer, shape, **options):
    keras.utils.set_random_seed(0)
    inner = {"return_sequences": True, "name": "inner"}
    last = layer(2, 2, padding="same", return_sequences=True, name="last")
    found = keras.Sequential([keras.Input((None, *shape)), layer(3, 3, **inner, **options), last])
    return randomized(found)


def recordings(shape, count=6, length=30):
    return np.random.default_rng(0).normal(size=(count, length, *shape)).astype(np.float32)


def assert_equal_to_keras(source, x):
    step = trace(source)
    (got,) = rolling.outputs(step.data, step, [x])
    expected = source.predict(x[None], verbose=0)[0]
    np.testing.assert_allclose(got if step.sequence_output else got[-1], expected, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("layer", "shape"), [(L.ConvLSTM1D, LINE), (L.ConvLSTM2D, IMAGE)])
def test_float_step_equals_keras(layer, shape, name):
    assert_equal_to_keras(model(layer, shape, **OPTIONS[name]), recordings(shape)[0])


def test_last_frame_and_states():
    x = keras.Input((None, *LINE))
    y, h, c = L.ConvLSTM1D(3, 3, return_state=True)(x)
    assert_equal_to_keras(keras.Model(x, L.Add()([y, h, c])), recordings(LINE)[0])


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("name", ["valid", "strided", "dilated", "sampled"])
def test_quantized_and_bit_exact_in_c(precision, name, tmp_path):
    quantized = convert(model(L.ConvLSTM1D, LINE, **OPTIONS[name]), recordings(LINE),
                        precision=precision)  # fmt: skip
    assert quantized.report["errors"]["rms_percent"] < {"int8": 2.5, "int16x8": 0.6}[precision]
    assert_bit_exact(quantized, built(quantized, tmp_path), 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_format": "channels_first"}, "'inner': data_format='channels_first'.*channels_last"),
        ({"go_backwards": True}, "'inner': go_backwards=True.*forwards"),
    ],
)
def test_refusals_name_the_layer(options, message):
    shape = LINE[::-1] if "data_format" in options else LINE
    x = keras.Input((None, *shape))
    y = L.ConvLSTM1D(3, 2, name="inner", return_sequences=True, **options)(x)
    with pytest.raises(UnsupportedError, match=message):
        trace(keras.Model(x, y))
