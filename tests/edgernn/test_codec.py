import numpy as np
import pytest

from edgernn.codec import Decoder, Encoder
from edgernn.errors import InputError
from edgernn.metadata import Normalisation
from edgernn.tflite import Tensor


def tensor(dtype, scale=0.5, zero_point=-1):
    quantized = dtype != "float32"
    return Tensor(
        0, "t", (1, 2), dtype, (scale,) if quantized else (), (zero_point,) if quantized else ()
    )


def test_encode_rounds_half_to_even_and_saturates():
    block = np.array([[0.25, 0.75], [1e9, -1e9]])
    raw = Encoder(tensor("int8"), (2,), None).encode(block)
    assert raw.dtype == np.int8
    assert raw.tolist() == [[-1, 1], [127, -128]]


@pytest.mark.parametrize("gain", [(2.0,), (2.0, 4.0)])
def test_encode_normalises_first(gain):
    encoder = Encoder(tensor("float32"), (2,), Normalisation(gain, (1.0,)))
    assert encoder.encode(np.array([[1.0, 2.0]])).tolist() == [[3.0, 1 + 2 * gain[-1]]]


def test_a_huge_value_times_a_gain_saturates_silently():
    encoder = Encoder(tensor("int8"), (2,), Normalisation((1e10,), (0.0,)))
    assert encoder.encode(np.array([[1e305, -1e305]])).tolist() == [[127, -128]]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.array([[0, 0], [np.nan, 0]]), "frame 1: value 0 is nan"),
        (np.array([[0, np.inf]]), "frame 0: value 1 is inf"),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_encode_names_the_frame(dtype, block, message):
    with pytest.raises(InputError, match=message):
        Encoder(tensor(dtype), (2,), None).encode(block)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int16", 0), ("int16", 9)])
def test_decode_is_exact(dtype, zero_point):
    t = tensor(dtype, scale=float(np.float32(0.1)), zero_point=zero_point)
    raw = np.arange(-128, 128).astype(dtype)
    exact = (raw.astype(np.float64) - zero_point) * t.scale[0]
    found = Decoder(t).decode(raw)
    assert found.dtype == np.float32
    assert np.array_equal(found, exact.astype(np.float32))
