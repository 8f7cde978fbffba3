"""Ranges: near-optimal on clean data, unmoved by spikes, exact where a kernel demands it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import ranges
from converters.calibration import Sample
from edgernn import tflite


def error(values, low, high, levels=255):
    """Mean squared error of quantizing with this range, by actually doing it."""
    scale = (high - low) / levels
    return np.mean((np.clip(np.rint(values / scale) * scale, low, high) - values) ** 2)


@pytest.mark.parametrize("shape", ["normal", "laplace", "uniform", "relu"])
def test_eight_bit_range_is_near_the_least_squares_optimum(shape):
    rng = np.random.default_rng(0)
    values = (
        np.maximum(rng.normal(size=50_000), 0)
        if shape == "relu"
        else getattr(rng, shape)(size=50_000)
    )
    found = ranges.asymmetric_range(values)
    low, high = min(values.min(), 0), values.max()
    best = min(
        error(values, low * a, high * b)
        for a in np.linspace(0.3, 1, 15)
        for b in np.linspace(0.3, 1, 15)
    )
    assert error(values, found.low, found.high) < 1.25 * best


@pytest.mark.parametrize("spike", [1e2, 1e4, 1e8])
@pytest.mark.parametrize("choose", [ranges.asymmetric_range, ranges.power_of_two_range])
def test_a_lone_spike_does_not_set_the_range(choose, spike):
    values = np.random.default_rng(0).normal(size=100_000)
    clean = choose(values)
    values[1234] = spike
    spiked = choose(values)
    widest = 400 if choose is ranges.power_of_two_range else 2
    assert spiked.high <= widest * clean.high


def test_a_tail_that_matters_is_kept():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(50_000) < 0.05, 20.0, rng.normal(size=50_000))
    assert ranges.asymmetric_range(values).high > 19


@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
@settings(max_examples=50)
def test_sixteen_bit_scales_are_powers_of_two(size, seed):
    values = np.random.default_rng(seed).uniform(-size, size, 2000)
    found = ranges.power_of_two_range(values)
    exponent = np.log2(found.high / 32767)
    assert exponent == round(exponent)
    assert found.low == -found.high
    assert found.high >= 0.99 * np.abs(values).max()


def test_zero_is_always_inside_and_constants_have_a_range():
    assert ranges.asymmetric_range(np.full(10, 5.0)).low == 0.0
    assert ranges.asymmetric_range(np.full(10, -5.0)).high == 0.0
    zero = ranges.asymmetric_range(np.zeros(10))
    assert zero.low < zero.high
    assert ranges.power_of_two_range(np.zeros(10)).high > 0


@pytest.mark.parametrize(
    ("op", "bits", "scale", "low"),
    [("LOGISTIC", 8, 1 / 256, 0), ("TANH", 8, 1 / 128, -1), ("SOFTMAX", 8, 1 / 256, 0),
     ("LOGISTIC", 16, 1 / 32768, None), ("TANH", 16, 1 / 32768, None)],
)  # fmt: skip
def test_kernels_with_a_fixed_output_scale_get_exactly_it(op, bits, scale, low):
    tensors = tuple(tflite.Tensor(i, str(i), (1, 4), "float32") for i in range(2))
    graph = tflite.Graph(tensors, (tflite.Operator(0, op, (0,), (1,)),), (0,), (1,))
    sample = Sample({0: np.ones(4, np.float32), 1: np.ones(4, np.float32)}, 1)
    found = ranges.choose(graph, sample, [], {0: bits, 1: bits})[1]
    assert (found.high - found.low) / (2**bits - 1 if bits == 8 else 65534) == scale
    if low is not None:
        assert found.low == low


def test_ties_and_moves_share_one_range():
    tensors = tuple(tflite.Tensor(i, str(i), (1, 4), "float32") for i in range(4))
    graph = tflite.Graph(
        tensors,
        (tflite.Operator(0, "SPLIT", (0,), (1, 2)), tflite.Operator(1, "ADD", (1, 2), (3,))),
        (0,),
        (3,),
    )
    sample = Sample({i: np.full(4, i + 1.0, np.float32) for i in range(4)}, 1)
    found = ranges.choose(graph, sample, [(0, 3)], dict.fromkeys(range(4), 8))
    assert len(set(found.values())) == 1
    assert found[0].high >= 3.9
