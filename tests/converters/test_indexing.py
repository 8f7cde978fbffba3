"""Indexing in a functional model: the last frame, and features of each frame."""

import keras
import numpy as np
import pytest

from converters import rolling
from converters.trace import trace
from edgernn.errors import UnsupportedError

L = keras.layers


def indexed(take):
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 5))
    return keras.Model(x, take(L.GRU(6, return_sequences=True)(x)))


@pytest.mark.parametrize(
    "take",
    [
        lambda y: y[:, -1],
        lambda y: y[:, -1, :],
        lambda y: y[:, -1, 2:4],
        lambda y: y[:, :, 1:5:2],
        lambda y: y[:, -1][:, :3],
        lambda y: y[..., 2:],
        lambda y: L.Dense(2)(y)[:, :, :1],
    ],
)
def test_equals_keras(take):
    model = indexed(take)
    step = trace(model)
    x = np.random.default_rng(0).normal(size=(15, 5)).astype(np.float32)
    (got,) = rolling.outputs(step.data, step, [x])
    expected = model.predict(x[None], verbose=0)[0]
    np.testing.assert_allclose(got if step.sequence_output else got[-1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda y: y[:, 0], "the frames 0 of a sequence.*last frame"),
        (lambda y: y[:, 2:5], "the frames 2:5 of a sequence"),
        (lambda y: y[:1, :], "indexing the batch"),
        (lambda y: y[:, :, None], "anything but numbers and slices"),
    ],
)
def test_refusals(take, message):
    with pytest.raises(UnsupportedError, match=message):
        trace(indexed(take))
