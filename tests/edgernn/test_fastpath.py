import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgernn.codec import Decoder, Encoder
from edgernn.fastpath import make_step
from edgernn.interpreters import Interpreter
from edgernn.metadata import quantize
from edgernn.tflite import Tensor

ZERO_POINTS = {"int8": (-128, -127, -2, -1, 0, 3, 126, 127), "uint8": (0, 1, 128, 255)}
ZERO_POINTS["int16"] = (0, -1, 17, 32767, -32768)
TENSORS = [
    (dtype, zero_point, scale)
    for dtype, points in ZERO_POINTS.items()
    for zero_point in points
    for scale in (0.25, float(np.float32(0.0313725508749485)))
]


def identity(dtype, zero_point=0, scale=1.0):
    """An interpreter that hands its input on, and the tensor it would be."""
    quantized = dtype != "float32"
    tensor = Tensor(
        0, "x", (1, 4), dtype, (scale,) if quantized else (), (zero_point,) if quantized else ()
    )
    x, y = np.zeros((1, 4), dtype), np.zeros((1, 4), dtype)
    interpreter = Interpreter((x,), (y,), lambda: np.copyto(y, x))
    step = make_step(Encoder(tensor, (4,), None), Decoder(tensor), interpreter)
    return tensor, x, step


@pytest.mark.parametrize(("dtype", "zero_point", "scale"), TENSORS)
@settings(max_examples=40, deadline=None)
@given(
    frame=arrays(
        np.float64,
        4,
        elements=st.floats(-1e4, 1e4)
        | st.integers(-600, 600).map(lambda n: n / 8)  # halfway between two integers
        | st.floats(),
    )
)
def test_equals_the_formula_or_declines(dtype, zero_point, scale, frame):
    tensor, x, step = identity(dtype, zero_point, scale)
    with np.errstate(all="ignore"):
        prediction = step(frame, ())
        unlimited = np.rint(frame / scale) + zero_point
    limits = np.iinfo(dtype)
    assert (prediction is not None) == bool(
        np.all((unlimited >= limits.min) & (unlimited <= limits.max))
    )
    if prediction is not None:
        raw = quantize(frame, scale, zero_point, dtype)
        assert np.array_equal(x[0], raw)
        assert np.array_equal(prediction, Decoder(tensor).decode(raw))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8"])
def test_every_value_of_the_type_is_taken(dtype):
    limits = np.iinfo(dtype)
    _, x, step = identity(dtype, zero_point=5)
    for value in (limits.min, limits.min + 1, limits.max - 1, limits.max):
        assert step(np.full(4, value - 5.0), ()) is not None
        assert set(x.ravel().tolist()) == {value}
    for value in (limits.min - 1, limits.max + 1):
        assert step(np.full(4, value - 5.0), ()) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "float32"])
def test_declines_what_is_not_finite(dtype, bad):
    _, _, step = identity(dtype)
    assert step(np.array([0, 0, 0, bad]), ()) is None


@pytest.mark.parametrize("kind", ["int64", "float16", "complex128", "object", "U3", ">f8"])
def test_declines_other_types(kind):
    _, _, step = identity("int8")
    assert step(np.zeros(4, kind), ()) is None


def test_float_is_passed_through():
    _, _, step = identity("float32")
    frame = np.array([0.1, -2.5, 3e38, -1e-40])
    assert np.array_equal(step(frame, ()), frame.astype(np.float32))
