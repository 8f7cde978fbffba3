"""Adjusted weight rounding: on the grid, same scales, and better on correlated inputs."""

import numpy as np
import pytest

from converters.rounding import LEVELS, _rounded

RNG = np.random.default_rng(0)


def correlated(count=4000, inputs=24):
    """Slow inputs, as a recurrent state is."""
    mixing = RNG.normal(size=(6, inputs))
    return RNG.normal(size=(count, 6)) @ mixing + 0.05 * RNG.normal(size=(count, inputs))


@pytest.mark.parametrize("per_tensor", [False, True])
def test_on_the_grid_with_the_same_scale_and_a_smaller_output_error(per_tensor):
    weights, x = RNG.normal(size=(16, 24)), correlated()
    axis = None if per_tensor else 1
    scale = np.abs(weights).max(axis=axis, keepdims=True) / LEVELS
    rounded = _rounded(weights, scale, x.T @ x / len(x))
    levels = rounded / scale
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    np.testing.assert_allclose(np.abs(rounded).max(axis=axis), np.abs(weights).max(axis=axis))
    nearest = np.rint(weights / scale) * scale

    def error(w):
        return np.mean((x @ (w - weights).T) ** 2)

    assert error(rounded) < 0.6 * error(nearest)


def test_independent_inputs_leave_plain_rounding():
    weights = RNG.normal(size=(8, 12))
    scale = np.abs(weights).max(axis=1, keepdims=True) / LEVELS
    np.testing.assert_allclose(
        _rounded(weights, scale, np.eye(12)), np.rint(weights / scale) * scale, atol=1e-12
    )
