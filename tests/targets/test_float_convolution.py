"""Convolutions and pooling in float32, over random windows, close to the reference interpreter."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.targets.build import Builder
from tests.targets.test_convolution import PADDINGS, PAIRS, SIDES, SMALL, positions
from tests.targets.test_floats import close
from tests.targets.test_ops import SOME


@SOME
@given(
    st.booleans(), SIDES, PAIRS, PAIRS, st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from(list(PADDINGS)), SMALL, st.integers(1, 4), st.booleans(),
    st.sampled_from([0, 1, 3]),
)  # fmt: skip
def test_convolution(
    depthwise, size, window, stride, dilation, padding, depth, rows, biased, activation
):
    sides = positions(size, window, stride, dilation, padding)
    assume(sides is not None)
    random = np.random.default_rng(rows * 7 + depth)
    out_depth = depth * rows if depthwise else rows
    shape = (1, *window, out_depth) if depthwise else (rows, *window, depth)
    b = Builder()
    x = b.tensor("x", (1, *size, depth), "float32")
    inputs = [x, b.const("w", random.normal(size=shape), "float32")]
    if biased or not depthwise:  # the reference's CONV_2D wants one
        inputs.append(b.const("b", random.normal(size=out_depth), "float32"))
    out = b.tensor("out", (1, *sides, out_depth), "float32")
    b.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [out],
         padding=PADDINGS[padding], strideH=stride[0], strideW=stride[1],
         dilationHFactor=dilation[0], dilationWFactor=dilation[1],
         fusedActivationFunction=activation,
         **({"depthMultiplier": rows} if depthwise else {}))  # fmt: skip
    close(b.finish([x], [out]), count=4, atol=1e-3)


@SOME
@given(
    st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), SIDES, PAIRS, PAIRS,
    st.sampled_from(list(PADDINGS)), SMALL, st.sampled_from([0, 1, 3]),
)  # fmt: skip
def test_pooling(name, size, window, stride, padding, depth, activation):
    sides = positions(size, window, stride, (1, 1), padding)
    assume(sides is not None)
    b = Builder()
    x = b.tensor("x", (1, *size, depth), "float32")
    out = b.tensor("out", (1, *sides, depth), "float32")
    b.op(name, [x], [out], padding=PADDINGS[padding], strideH=stride[0], strideW=stride[1],
         filterHeight=window[0], filterWidth=window[1],
         fusedActivationFunction=activation)  # fmt: skip
    close(b.finish([x], [out]), count=4, atol=1e-4)
