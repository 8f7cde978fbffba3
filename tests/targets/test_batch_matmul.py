"""Products of two computed matrices, against the reference interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.errors import UnsupportedError
from targets.compile import compile_model
from targets.native import load_native
from tests.targets.build import Builder
from tests.targets.reference import Reference
from tests.targets.test_ops import DTYPES, SCALES, SOME, exact

SIDES = st.integers(1, 9)
BATCHES = st.sampled_from(
    [((), ()), ((2,), (2,)), ((1, 3), (1, 3)), ((1, 1), (1, 3)), ((3,), (1,))]
)
FLOAT = ("float32", None, None, None)


def product(dtype, batches, rows, depth, columns, turned, scales, zeros=(0, 0, 0), out=None):
    b = Builder()
    sides = [(rows, depth), (depth, columns)]
    shapes = [
        (*n, *(side[::-1] if t else side))
        for n, side, t in zip(batches, sides, turned, strict=True)
    ]
    lhs, rhs = (
        b.tensor(name, shape, dtype, scale, zero)
        for name, shape, scale, zero in zip("ab", shapes, scales, zeros, strict=False)
    )
    common = max(batches, key=np.prod)
    y = b.tensor("out", out or (*common, rows, columns), dtype, scales[2], zeros[2])
    b.op("BATCH_MATMUL", [lhs, rhs], [y], version=4, adjX=turned[0], adjY=turned[1])
    return b.finish([lhs, rhs], [y])


@SOME
@given(
    DTYPES, BATCHES, SIDES, st.integers(1, 40), SIDES, st.booleans(), st.booleans(), SCALES, SCALES,
    st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127), st.floats(0.05, 2),
)  # fmt: skip
def test_products(dtype, batches, rows, depth, columns, x, y, s1, s2, z1, z2, z3, top):
    limit, zeros = (127, (z1, z2, z3)) if dtype == "int8" else (32767, (0, 0, 0))
    scales = (s1, s2, s1 * s2 * limit * np.sqrt(depth) * top)
    exact(product(dtype, batches, rows, depth, columns, (x, y), scales, zeros))


def test_scales_are_multiplied_in_double_precision():
    """A product of them in single precision gives this sum another last bit."""
    scales = (0.004887454677373171, 0.007843020372092724, 0.01800871267914772)
    data = product("int8", ((), ()), 1, 6, 1, (False, True), scales, (-1, -1, -64))
    a = np.int8([[124, 68, 105, -67, 76, 62]])
    b = np.int8([[91, 37, 109, -33, 69, -108]])
    (expected,) = Reference(data).step(a, b)
    (got,) = load_native(data, "host").step(a, b)
    assert got.ravel() == expected.ravel() == [-8]


@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False)])
def test_float(turned):
    data = product("float32", ((1, 2), (1, 2)), 3, 17, 5, turned, (None,) * 3)
    reference, native = Reference(data), load_native(data, "host")
    random = np.random.default_rng(0)
    inputs = [random.normal(size=port.shape).astype(np.float32) for port in native.compiled.inputs]
    expected = reference.step(*inputs)[0]
    np.testing.assert_allclose(
        native.step(*inputs)[0].reshape(expected.shape), expected, 1e-5, 1e-5
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": (2, 4)}, "to"),
        ({"batches": ((2, 3), (3, 2))}, "batches"),
        ({"dtype": "int16", "zeros": (0, 1, 0)}, "zero points of 0"),
        ({"scales": (1e9, 1e9, 1e-9)}, "out of range"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    given = {"dtype": "int8", "batches": ((), ()), "scales": (0.1, 0.1, 0.1), **options}
    with pytest.raises(UnsupportedError, match=words):
        compile_model(product(rows=2, depth=3, columns=2, turned=(False, False), **given))
