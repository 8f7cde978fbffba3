"""Lookups, rectifiers, sums, roots and changes of rank, against the reference interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.errors import UnsupportedError
from targets.compile import compile_model
from targets.native import load_native
from tests.targets.build import TYPES, Builder
from tests.targets.reference import Reference
from tests.targets.test_ops import DTYPES, SCALES, SOME, exact, zero


def looked_up(table, axis=0, dtype="int8", count=24):
    """Rows of a table, by numbers that are cast from the frame."""
    b = Builder()
    x = b.tensor("x", (count,), "int8", 1.0)
    indices = b.tensor("indices", (count,), "int32")
    b.op("CAST", [x], [indices], inDataType=TYPES["int8"], outDataType=TYPES["int32"])
    shape = (*table.shape[:axis], count, *table.shape[axis + 1 :])
    out = b.tensor("out", shape, dtype, None if dtype == "float32" else 0.1)
    b.op("GATHER", [b.const("table", table, dtype, None if dtype == "float32" else 0.1), indices],
         [out], axis=axis, batchDims=0)  # fmt: skip
    return b.finish([x], [out])


@pytest.mark.parametrize("shape", [(9, 4), (9,), (1, 9), (3, 9, 2), (9, 2, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_gather(shape, dtype):
    axis = 1 if shape[0] in (1, 3) and len(shape) > 1 else 0
    table = np.random.default_rng(0).integers(-128, 128, shape).astype(dtype)
    data = looked_up(table, axis, dtype)
    reference, native = Reference(data), load_native(data, "portable")
    random = np.random.default_rng(1)
    for _ in range(10):
        x = random.integers(0, shape[axis], 24).astype(np.int8)
        expected = reference.step(x)[0]
        np.testing.assert_array_equal(native.step(x)[0].reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("shape", [(9,), (9, 3)])
def test_numbers_outside_a_table_stand_for_its_ends(shape, dtype):
    table = np.arange(np.prod(shape)).reshape(shape)
    native = load_native(looked_up(table, 0, dtype), "portable")
    x = np.arange(-12, 12).astype(np.int8)
    np.testing.assert_array_equal(
        native.step(x)[0], table[np.clip(x, 0, 8)].reshape(native.step(x)[0].shape)
    )


@SOME
@given(DTYPES, SCALES, st.integers(-128, 127), st.integers(-128, 127), st.floats(0.3, 3),
       st.floats(-1.2, 1.2))  # fmt: skip
def test_leaky_relu_and_abs(dtype, scale, z, z2, ratio, alpha):
    for name, options in (("LEAKY_RELU", {"alpha": alpha}), ("ABS", {})):
        for factor in (ratio, 1):
            b = Builder()
            x = b.tensor("x", (1, 600), dtype, scale, zero(z, dtype))
            out = b.tensor("out", (1, 600), dtype, scale * factor, zero(z2, dtype))
            b.op(name, [x], [out], **options)
            exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, SCALES, st.integers(-128, 127), st.integers(-128, 127),
       st.integers(-20, 20), st.floats(0.3, 3))  # fmt: skip
def test_prelu(dtype, scale, scale_alpha, z, z2, za, ratio):
    b, random = Builder(), np.random.default_rng(0)
    x = b.tensor("x", (1, 40, 7), dtype, scale, zero(z, dtype))
    alpha = b.const("alpha", random.integers(-128, 128, 7), "int8", scale_alpha, za)
    out = b.tensor("out", (1, 40, 7), dtype, scale * ratio, zero(z2, dtype))
    b.op("PRELU", [x, alpha], [out])
    exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, st.integers(-100, 100), st.integers(-100, 100), st.floats(0.5, 4),
       st.sampled_from([[1], [2], [1, 2], [-1]]))  # fmt: skip
def test_sum(dtype, scale, z, z2, ratio, axes):
    b = Builder()
    left = [1 if k in [a % 3 for a in axes] else n for k, n in enumerate((2, 30, 20))]
    x = b.tensor("x", (2, 30, 20), dtype, scale, zero(z, dtype))
    out = b.tensor("out", left, dtype, scale * ratio * 20, zero(z2, dtype))
    b.op("SUM", [x, b.const("axes", axes, "int32")], [out], keepDims=True)
    exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, st.integers(-128, 100), st.integers(-128, 0), st.floats(0.3, 3))
def test_rsqrt(dtype, scale, z, z2, ratio):
    limit = 127 if dtype == "int8" else 32767
    b = Builder()
    x = b.tensor("x", (1, 128), dtype, scale, zero(z, dtype))
    out = b.tensor("out", (1, 128), dtype, ratio / np.sqrt(scale) / limit, zero(z2, dtype))
    b.op("RSQRT", [x], [out])
    data = b.finish([x], [out])
    reference, native = Reference(data), load_native(data, "portable")
    random = np.random.default_rng(0)
    for _ in range(20):  # the reference has no result for negative numbers
        values = random.integers(zero(z, dtype), limit + 1, (1, 128)).astype(dtype)
        np.testing.assert_array_equal(reference.step(values)[0], native.step(values)[0])


def test_views_of_another_rank():
    b = Builder()
    q = ("int8", 0.1)
    x = b.tensor("x", (1, 5, 1), *q)
    squeezed, expanded = b.tensor("squeezed", (1, 5), *q), b.tensor("expanded", (1, 1, 5), *q)
    turned = b.tensor("turned", (1, 5, 1), *q)
    out = b.tensor("out", (1, 5, 1), *q)
    b.op("SQUEEZE", [x], [squeezed], squeezeDims=[2])
    b.op("EXPAND_DIMS", [squeezed, b.const("axis", [1], "int32")], [expanded])
    b.op("TRANSPOSE", [expanded, b.const("order", [0, 2, 1], "int32")], [turned])
    b.op("RELU", [turned], [out])
    native = exact(b.finish([x], [out]))
    assert native.compiled.scratch_bytes == 0
    assert len(native.compiled.steps) == 1


def test_arguments_that_no_operator_reads():
    b = Builder()
    x, h = b.tensor("x", (1, 3), "int8", 0.1), b.tensor("h", (1, 2), "int8", 0.1)
    zeros = b.const("zeros", [[0, 0]], "int8", 0.1)
    y = b.tensor("y", (1, 2), "int8", 0.1)
    b.op("RELU", [zeros], [y])
    data = b.finish([x, h], [y, h], ({"x": x, "h": h}, {"y": y, "h": h}))
    for cc in (None, "gcc"):
        native = load_native(data, "portable", cc=cc)
        np.testing.assert_array_equal(native.step(np.ones((1, 3), np.int8))[0], [[0, 0]])


def test_too_many_small_copies_are_refused():
    b = Builder()
    x = b.tensor("x", (1, 3000, 2), "int8", 0.1)
    out = b.tensor("out", (1, 3000, 4), "int8", 0.1)
    b.op("CONCATENATION", [x, x], [out], axis=2)
    with pytest.raises(UnsupportedError, match="3000 copies"):
        compile_model(b.finish([x], [out]))
