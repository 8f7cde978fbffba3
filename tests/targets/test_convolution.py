"""Convolutions and pooling over random windows, against the reference interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgernn.errors import UnsupportedError
from targets.compile import compile_model
from tests.targets.build import Builder
from tests.targets.test_ops import DTYPES, SOME, exact

SMALL = st.integers(1, 3)
SIDES = st.tuples(st.integers(1, 7), st.integers(1, 7))
PAIRS = st.tuples(SMALL, SMALL)
PADDINGS = {"SAME": 0, "VALID": 1}


def positions(size, window, stride, dilation, padding):
    """The output's sides, or None where the window does not fit."""
    sides = []
    for n, k, s, d in zip(size, window, stride, dilation, strict=True):
        fits = n - 1 if padding == "SAME" else n - (k - 1) * d - 1
        if fits < 0:
            return None
        sides.append(fits // s + 1)
    return tuple(sides)


@SOME
@given(
    st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"]), DTYPES, SIDES, PAIRS, PAIRS,
    st.tuples(st.integers(1, 2), st.integers(1, 2)), st.sampled_from(list(PADDINGS)), SMALL,
    st.integers(1, 4), st.booleans(), st.sampled_from(["none", "narrow", "wide"]),
    st.integers(-60, 60), st.sampled_from([0, 1, 3]), st.integers(1, 2), st.floats(0.05, 1.5),
)  # fmt: skip
def test_convolution(
    name, dtype, size, window, stride, dilation, padding, depth, rows, per_channel, bias, z,
    activation, groups, top,
):  # fmt: skip
    sides = positions(size, window, stride, dilation, padding)
    assume(sides is not None)
    depthwise = name == "DEPTHWISE_CONV_2D"
    random = np.random.default_rng(rows * 7 + depth)
    out_depth = depth * rows if depthwise else rows * groups
    in_depth = depth if depthwise else depth * groups
    shape = (1, *window, out_depth) if depthwise else (out_depth, *window, depth)
    scale, zero = (0.02, z) if dtype == "int8" else (2.0**-13, 0)
    scales = np.float32(random.uniform(0.002, 0.01, out_depth if per_channel else 1))
    b = Builder()
    x = b.tensor("x", (1, *size, in_depth), dtype, scale, zero)
    inputs = [x, b.const("w", random.integers(-127, 128, shape), "int8", scales,
                         axis=3 if depthwise else 0)]  # fmt: skip
    if bias != "none":
        kind = "int32" if dtype == "int8" or (bias == "narrow" and not depthwise) else "int64"
        inputs.append(b.const("b", random.integers(-9000, 9000, out_depth), kind,
                              np.float32(scales * np.float32(scale))))  # fmt: skip
    spread = np.sqrt(window[0] * window[1] * (1 if depthwise else depth))
    out_scale = scale * scales.max() * 127 * spread * top
    out = b.tensor("out", (1, *sides, out_depth), dtype, out_scale, -zero)
    options = {"depthMultiplier": rows} if depthwise else {}
    b.op(name, inputs, [out], version=3, padding=PADDINGS[padding],
         strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
         dilationWFactor=dilation[1], fusedActivationFunction=activation, **options)  # fmt: skip
    exact(b.finish([x], [out]))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_window_over_everything_is_a_matrix_product(dtype):
    b, random = Builder(), np.random.default_rng(0)
    x = b.tensor("x", (1, 5, 1, 8), dtype, 2.0**-6)
    w = b.const("w", random.integers(-127, 128, (12, 5, 1, 8)), "int8", np.full(12, 2.0**-8))
    out = b.tensor("out", (1, 1, 1, 12), dtype, 2.0**-4)
    b.op("CONV_2D", [x, w], [out], version=3, padding=1, strideH=1, strideW=1,
         dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    data = b.finish([x], [out])
    native = exact(data)
    assert "edgernn_conv.h" not in native.compiled.files
    assert any(name.endswith("_dsp.c") for name in compile_model(data, "cortex-m4").files)


@SOME
@given(
    st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), DTYPES, SIDES, PAIRS, PAIRS,
    st.sampled_from(list(PADDINGS)), SMALL, st.integers(-60, 60), st.sampled_from([0, 1, 3]),
)  # fmt: skip
def test_pooling(name, dtype, size, window, stride, padding, depth, z, activation):
    sides = positions(size, window, stride, (1, 1), padding)
    assume(sides is not None)
    b = Builder()
    q = (dtype, 0.05, z) if dtype == "int8" else (dtype, 2.0**-11, 0)
    x, out = b.tensor("x", (1, *size, depth), *q), b.tensor("out", (1, *sides, depth), *q)
    b.op(name, [x], [out], padding=PADDINGS[padding], strideH=stride[0], strideW=stride[1],
         filterHeight=window[0], filterWidth=window[1],
         fusedActivationFunction=activation)  # fmt: skip
    exact(b.finish([x], [out]))


def odd(**changes):
    """A convolution with something wrong."""
    options = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1,
               "dilationWFactor": 1, **changes}  # fmt: skip
    b = Builder()
    x = b.tensor("x", options.pop("image", (1, 5, 5, 2)), "int8", 0.1)
    w = b.const("w", np.ones((3, 2, 2, 2)), "int8", 0.1, options.pop("zero", 0))
    out = b.tensor("out", options.pop("out", (1, 4, 4, 3)), "int8", 0.1)
    b.op("CONV_2D", [x, w], [out], version=3, **options)
    return b.finish([x], [out])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strideH": 0}, "strides"),
        ({"strideW": -1}, "strides"),
        ({"padding": 7}, "padding"),
        ({"out": (1, 5, 4, 3)}, "with window"),
        ({"image": (1, 5, 5, 3)}, "fit neither"),
        ({"image": (1, 1, 5, 2)}, "with window"),
        ({"zero": 3}, "zero point"),
    ],
)
def test_windows_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(UnsupportedError, match=words):
        compile_model(odd(**changes))


@SOME
@given(
    DTYPES, SIDES, SMALL, st.integers(1, 4), st.booleans(), st.booleans(), st.integers(-60, 60),
    st.sampled_from([0, 1, 3]), st.floats(0.05, 1.5),
)  # fmt: skip
def test_a_depthwise_window_over_everything_has_a_kernel(
    dtype, size, depth, multiple, per_channel, biased, z, activation, top
):
    random = np.random.default_rng(depth * 7 + multiple)
    rows = depth * multiple
    scale, zero = (0.02, z) if dtype == "int8" else (2.0**-13, 0)
    scales = np.float32(random.uniform(0.002, 0.01, rows if per_channel else 1))
    b = Builder()
    x = b.tensor("x", (1, *size, depth), dtype, scale, zero)
    weights = random.integers(-127, 128, (1, *size, rows))
    inputs = [x, b.const("w", weights, "int8", scales, axis=3)]
    if biased:
        kind, real = ("int32" if dtype == "int8" else "int64"), np.float32(scales * scale)
        inputs.append(b.const("b", random.integers(-9000, 9000, rows), kind, real))
    spread = np.sqrt(size[0] * size[1])
    out = b.tensor("out", (1, 1, 1, rows), dtype, scale * scales.max() * 127 * spread * top, -zero)
    b.op("DEPTHWISE_CONV_2D", inputs, [out], version=3, padding=1, strideH=1, strideW=1,
         dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=activation,
         depthMultiplier=multiple)  # fmt: skip
    native = exact(b.finish([x], [out]))
    if depth > 1:
        assert any("depthwise" in name for name in native.compiled.files)


@SOME
@given(DTYPES, st.integers(1, 4), st.integers(1, 3), SMALL, st.sampled_from([0, 1, 3]))
def test_the_maximum_of_a_few_points_is_a_loop(dtype, height, width, depth, activation):
    b = Builder()
    q = (dtype, 0.05, 3) if dtype == "int8" else (dtype, 2.0**-11, 0)
    x, out = b.tensor("x", (1, height, width, depth), *q), b.tensor("out", (1, 1, 1, depth), *q)
    b.op("MAX_POOL_2D", [x], [out], padding=1, strideH=1, strideW=1, filterHeight=height,
         filterWidth=width, fusedActivationFunction=activation)  # fmt: skip
    native = exact(b.finish([x], [out]))
    assert any("max_pool" in name for name in native.compiled.files) == (height * width > 8)


@SOME
@given(DTYPES, SIDES, PAIRS, PAIRS, st.integers(1, 9), st.sampled_from([0, 1, 3]))
def test_the_maximum_of_a_window_that_stays_inside_is_a_loop(
    dtype, size, window, stride, depth, activation
):
    sides = positions(size, window, stride, (1, 1), "VALID")
    assume(sides is not None)
    b = Builder()
    q = (dtype, 0.05, 3) if dtype == "int8" else (dtype, 2.0**-11, 0)
    x, out = b.tensor("x", (1, *size, depth), *q), b.tensor("out", (1, *sides, depth), *q)
    b.op("MAX_POOL_2D", [x], [out], padding=PADDINGS["VALID"], strideH=stride[0],
         strideW=stride[1], filterHeight=window[0], filterWidth=window[1],
         fusedActivationFunction=activation)  # fmt: skip
    native = exact(b.finish([x], [out]))
    few = window[0] * window[1] <= 8
    assert any("max_pool" in name for name in native.compiled.files) != few
