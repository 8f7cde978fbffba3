"""Every operator by itself, over random scales and shapes, against the reference interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targets.compile import compile_model
from targets.native import NativeStep, load_native
from tests.targets.build import Builder
from tests.targets.reference import Reference

SOME = settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
DTYPES = st.sampled_from(["int8", "int16"])
POWERS = st.integers(-16, -4).map(lambda k: 2.0**k)
SCALES = st.one_of(POWERS, st.floats(1e-5, 0.05))
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(lambda s: (1, *s))


def exact(data: bytes, runs: int = 24, seed: int = 0) -> NativeStep:
    """Run random, saturating and constant inputs through both and compare every output."""
    reference, native = Reference(data), load_native(data, "portable")
    random = np.random.default_rng(seed)
    for k in range(runs):
        inputs = []
        for port in native.compiled.inputs:
            limits = np.iinfo(port.dtype)
            if k % 4 == 3:
                x = random.choice([limits.min, limits.max], port.shape)
            else:
                width = limits.max >> int(random.integers(0, 4))
                x = random.integers(-width - 1, width + 1, port.shape)
            inputs.append(x.astype(port.dtype))
        expected, got = reference.step(*inputs), native.step(*inputs)
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1))
    return native


def zero(draw_zero: int, dtype: str) -> int:
    return draw_zero if dtype == "int8" else 0


@SOME
@given(
    st.sampled_from(["ADD", "SUB"]), DTYPES, SCALES, SCALES, SHAPES,
    st.integers(-128, 127), st.integers(-128, 127), st.sampled_from([0, 1, 3]),
    st.sampled_from([0.5, 1, 1.5, 2]), st.sampled_from(["same", "scalar", "last", "first"]),
)  # fmt: skip
def test_sums(name, dtype, s1, s2, shape, z1, z2, activation, ratio, kind):
    b = Builder()
    other = {"same": shape, "scalar": (1,), "last": shape[-1:], "first": (*shape[:-1], 1)}[kind]
    x = b.tensor("a", shape, dtype, s1, zero(z1, dtype))
    y = b.tensor("b", other, dtype, s2, zero(z2, dtype))
    out = b.tensor("out", shape, dtype, max(s1, s2) * ratio, zero(z2, dtype))
    b.op(name, [x, y], [out], fusedActivationFunction=activation, potScaleInt16=False)
    exact(b.finish([x, y], [out]))


@SOME
@given(
    DTYPES, SCALES, SCALES, SHAPES, st.integers(-128, 127), st.integers(-128, 127),
    st.floats(0.1, 4), st.sampled_from([0, 1, 3]), st.booleans(),
)  # fmt: skip
def test_product(dtype, s1, s2, shape, z1, z2, top, activation, constant):
    b = Builder()
    x = b.tensor("a", shape, dtype, s1, zero(z1, dtype))
    if constant:
        values = np.random.default_rng(1).integers(-128, 128, shape[-1:])
        y = b.const("b", values, dtype, s2, zero(z2, dtype))
    else:
        y = b.tensor("b", shape, dtype, s2, zero(z2, dtype))
    limit = 127 if dtype == "int8" else 32767
    out = b.tensor("out", shape, dtype, s1 * s2 * limit * top, zero(z1, dtype))
    b.op("MUL", [x, y], [out], fusedActivationFunction=activation)
    exact(b.finish([x] if constant else [x, y], [out]))


@SOME
@given(DTYPES, SCALES, st.integers(-128, 127), st.sampled_from(["LOGISTIC", "TANH"]))
def test_sigmoids(dtype, scale, z, name):
    b = Builder()
    out_scale = {"int16": 1 / 32768, "int8": 1 / 256 if name == "LOGISTIC" else 1 / 128}[dtype]
    out_zero = -128 if (dtype, name) == ("int8", "LOGISTIC") else 0
    if dtype == "int16":
        scale = min(scale, 0.0026)
    x = b.tensor("x", (1, 256), dtype, scale, zero(z, dtype))
    out = b.tensor("out", (1, 256), dtype, out_scale, out_zero)
    b.op(name, [x], [out])
    data = b.finish([x], [out])
    exact(data)
    reference, native = Reference(data), load_native(data, "portable")
    limits = np.iinfo(dtype)
    for block in np.arange(limits.min, limits.max + 1).astype(dtype).reshape(-1, 1, 256)[::5]:
        np.testing.assert_array_equal(reference.step(block)[0], native.step(block)[0])


@SOME
@given(DTYPES, SCALES, st.integers(-128, 127), st.integers(-128, 127), st.floats(0.3, 3))
def test_relu_and_quantize(dtype, scale, z, z2, ratio):
    for name in ("RELU", "RELU6", "QUANTIZE"):
        b = Builder()
        x = b.tensor("x", (1, 33), dtype, scale, zero(z, dtype))
        same = name == "RELU6"
        out = b.tensor("out", (1, 33), dtype, scale * (1 if same else ratio),
                       zero(z if same else z2, dtype))  # fmt: skip
        b.op(name, [x], [out])
        exact(b.finish([x], [out]))


@pytest.mark.parametrize(("source", "target"), [("int8", "int16"), ("int16", "int8")])
def test_quantize_between_types(source, target):
    b = Builder()
    scales = {"int8": 0.031, "int16": 2.0**-12}
    x = b.tensor("x", (1, 33), source, scales[source], 5 if source == "int8" else 0)
    out = b.tensor("out", (1, 33), target, scales[target], -7 if target == "int8" else 0)
    b.op("QUANTIZE", [x], [out])
    exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, st.integers(1, 40), st.integers(1, 3))
def test_softmax(dtype, scale, n, rows):
    b = Builder()
    scale = max(scale, 1e-3) if dtype == "int8" else scale
    x = b.tensor("x", (rows, n), dtype, scale, 3 if dtype == "int8" else 0)
    out = b.tensor("out", (rows, n), dtype, 1 / 256 if dtype == "int8" else 1 / 32768,
                   -128 if dtype == "int8" else 0)  # fmt: skip
    b.op("SOFTMAX", [x], [out], beta=1.0)
    exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, SHAPES, st.floats(0.2, 3), st.integers(-100, 100), st.booleans(),
       st.integers(0, 9))  # fmt: skip
def test_mean(dtype, scale, shape, ratio, z, keep, pick):
    b = Builder()
    axis = 1 + pick % (len(shape) - 1)
    left = [1 if k == axis else n for k, n in enumerate(shape) if keep or k != axis]
    x = b.tensor("x", shape, dtype, scale, zero(z, dtype))
    out = b.tensor("out", left, dtype, scale * ratio, zero(-z, dtype))
    b.op("MEAN", [x, b.const("axis", [axis], "int32")], [out], keepDims=keep)
    exact(b.finish([x], [out]))


@SOME
@given(DTYPES, SCALES, SHAPES)
def test_extremes_and_squared_difference(dtype, scale, shape):
    for name in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"):
        b = Builder()
        limit = 127 if dtype == "int8" else 32767
        top = scale * scale * limit * 2 if name == "SQUARED_DIFFERENCE" else scale
        x, y = (b.tensor(n, shape, dtype, scale, zero(4, dtype)) for n in "ab")
        out = b.tensor("out", shape, dtype, top, zero(4, dtype))
        b.op(name, [x, y], [out])
        exact(b.finish([x, y], [out]))


def test_rsqrt():
    b = Builder()
    x = b.tensor("x", (1, 128), "int8", 0.02, -1)
    out = b.tensor("out", (1, 128), "int8", 0.06, -128)
    b.op("RSQRT", [x], [out])
    data = b.finish([x], [out])
    reference, native = Reference(data), load_native(data, "portable")
    values = np.arange(-1, 127, dtype=np.int8).reshape(1, 128)
    np.testing.assert_array_equal(reference.step(values)[0], native.step(values)[0])


@SOME
@given(
    DTYPES, st.integers(1, 21), st.integers(1, 11), st.sampled_from([0, 1, 3]), st.booleans(),
    st.sampled_from(["none", "narrow", "wide"]), st.integers(-60, 60), st.integers(1, 3),
    st.floats(0.01, 1.5),
)  # fmt: skip
def test_fully_connected(dtype, columns, rows, activation, per_channel, bias, z, batches, top):
    b = Builder()
    random = np.random.default_rng(columns * 31 + rows)
    scale = 0.02 if dtype == "int8" else 2.0**-13
    x = b.tensor("x", (batches, columns), dtype, scale, zero(z, dtype))
    weights = random.integers(-127, 128, (rows, columns))
    scales = np.float32(random.uniform(0.002, 0.01, rows if per_channel else 1))
    inputs = [x, b.const("w", weights, "int8", scales)]
    if bias != "none":
        kind = "int32" if dtype == "int8" or bias == "narrow" else "int64"
        values = random.integers(-3000, 3000, rows)
        inputs.append(b.const("b", values, kind, np.float32(scales * np.float32(scale))))
    else:
        inputs.append(-1)
    limit = 127 if dtype == "int8" else 32767
    out_scale = scale * scales.max() * 127 * np.sqrt(columns) * top * (limit / 127) ** 0
    out = b.tensor("out", (batches, rows), dtype, out_scale, zero(-z, dtype))
    b.op("FULLY_CONNECTED", inputs, [out], version=4, fusedActivationFunction=activation)
    exact(b.finish([x], [out]))


def test_views_and_copies():
    b = Builder()
    q = ("int16", 2.0**-12)
    x = b.tensor("x", (1, 4, 6), *q)
    i32 = lambda name, v: b.const(name, v, "int32")  # noqa: E731
    halves = [b.tensor(f"half{k}", (1, 4, 3), *q) for k in range(2)]
    b.op("SPLIT", [i32("axis", 2), x], halves, numSplits=2)
    rows = [b.tensor(f"row{k}", (1, 2, 6), *q) for k in range(2)]
    b.op("SPLIT", [i32("axis1", 1), x], rows, numSplits=2)
    part = b.tensor("part", (1, 2, 3), *q)
    b.op("STRIDED_SLICE", [x, i32("b", [0, 0, 0]), i32("e", [1, 4, 6]), i32("s", [1, 2, 2])],
         [part], beginMask=0, endMask=0)  # fmt: skip
    flat = b.tensor("flat", (1, 12), *q)
    b.op("RESHAPE", [rows[1], i32("shape", [1, 12])], [flat])
    cut = b.tensor("cut", (1, 5), *q)
    b.op("SLICE", [flat, i32("b2", [0, 3]), i32("n2", [1, 5])], [cut])
    turned = b.tensor("turned", (1, 6, 4), *q)
    b.op("TRANSPOSE", [x, i32("perm", [0, 2, 1])], [turned])
    joined = b.tensor("joined", (1, 6, 3), *q)
    b.op("CONCATENATION", [halves[0], part], [joined], axis=1)
    lanes = [b.tensor(f"lane{k}", (1, 6), *q) for k in range(4)]
    b.op("UNPACK", [x], lanes, num=4, axis=1)
    packed = b.tensor("packed", (1, 6, 2), *q)
    b.op("PACK", [lanes[1], lanes[3]], [packed], axis=2, valuesCount=2)
    exact(b.finish([x], [halves[1], cut, turned, joined, packed]))


def test_one_operand_of_a_square_is_read_once():
    b = Builder()
    x = b.tensor("x", (1, 7), "int16", 2.0**-15)
    out = b.tensor("out", (1, 7), "int16", 2.0**-15)
    b.op("MUL", [x, x], [out])
    native = exact(b.finish([x], [out]))
    assert native.compiled.scratch_bytes == 0


def test_compiles_for_every_core():
    b = Builder()
    x = b.tensor("x", (1, 7), "int16", 2.0**-15)
    out = b.tensor("out", (1, 7), "int16", 2.0**-15)
    b.op("MUL", [x, x], [out])
    data = b.finish([x], [out])
    for name in ("cortex-m0", "cortex-m4", "host", "raspberry-pi-64"):
        assert compile_model(data, name).core.name == name


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_multipliers_are_right_to_the_last_bit(name, dtype):
    """Wide tensors of odd scales: a multiplier one bit off shows in one element of thousands."""
    random = np.random.default_rng(5)
    limit = 127 if dtype == "int8" else 32767
    for _ in range(4):
        s1, s2 = np.float32(10 ** random.uniform(-5, -2, 2))
        top = {"MUL": s1 * s2 * limit, "SQUARED_DIFFERENCE": max(s1, s2) ** 2 * limit * 3}
        b = Builder()
        x, y = b.tensor("x", (1, 4096), dtype, s1), b.tensor("y", (1, 4096), dtype, s2)
        out = b.tensor("out", (1, 4096), dtype, top.get(name, max(s1, s2) * random.uniform(0.6, 2)))
        b.op(name, [x, y], [out])
        exact(b.finish([x, y], [out]))


@pytest.mark.parametrize("name", ["RELU", "LEAKY_RELU", "ABS", "QUANTIZE"])
def test_every_value_of_int16(name):
    """All of them, at scales whose multipliers differ in single and in double precision."""
    random, every = np.random.default_rng(3), np.arange(-32768, 32768, dtype=np.int16)
    for _ in range(4):
        scale = np.float32(10 ** random.uniform(-5, -2))
        b = Builder()
        x = b.tensor("x", (1, 65536), "int16", scale)
        out = b.tensor("out", (1, 65536), "int16", np.float32(scale * random.uniform(0.4, 3)))
        b.op(name, [x], [out], **({"alpha": 0.3} if name == "LEAKY_RELU" else {}))
        data = b.finish([x], [out])
        expected, got = Reference(data).step(every[None]), load_native(data).step(every[None])
        np.testing.assert_array_equal(expected[0], got[0])
