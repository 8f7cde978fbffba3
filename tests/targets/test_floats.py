"""float32 at a model's edges, bit for bit, and float models, close to the reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import UnsupportedError
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.native import load_native
from tests.targets.build import Builder
from tests.targets.reference import Reference

FPU = ["cortex-m4", "cortex-m7", "cortex-m33"]


def edges(dtype, scale, zero, n=64):
    """Quantize, an integer operator, dequantize."""
    b = Builder()
    x = b.tensor("x", (1, n), "float32")
    raw = b.tensor("raw", (1, n), dtype, scale, zero)
    top = b.tensor("top", (1, n), dtype, scale, zero)
    y = b.tensor("y", (1, n), "float32")
    b.op("QUANTIZE", [x], [raw])
    b.op("RELU6", [raw], [top])
    b.op("DEQUANTIZE", [top], [y])
    return b.finish([x], [y])


def float_frames(scale, n=64, seed=0):
    """Halves between integers, ordinary values and large ones."""
    random = np.random.default_rng(seed)
    yield (np.arange(n) - n / 2 + 0.5) * np.float32(scale)
    for width in (1, 100, 1e4, 1e6):
        yield random.normal(0, width * scale, n)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("zero", [0, 7, -128])
def test_edges_are_exact(dtype, zero):
    for scale in (2.0**-7, 0.0123, 3.3e-5):
        data = edges(dtype, scale, zero if dtype == "int8" else 0)
        reference, native = Reference(data), load_native(data, "portable")
        for x in float_frames(scale):
            x = x.astype(np.float32).reshape(1, -1)
            np.testing.assert_array_equal(reference.step(x)[0], native.step(x)[0])


def test_edges_never_leave_their_type():
    native = load_native(edges("int8", 0.1, 3), "portable")
    x = np.full((1, 64), 1.0, np.float32)
    x[0, :4] = np.nan, np.inf, -np.inf, 3e38
    y = native.step(x)[0][0]
    np.testing.assert_allclose(y[:4], [0, 6, 0, 6], atol=1e-6)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", *FPU])
def test_edges_are_exact_on_every_core(core):
    data = edges("int16", 0.0123, 0)
    reference, emulator = Reference(data), Emulator(compile_model(data, core))
    for x in float_frames(0.0123):
        x = x.astype(np.float32).reshape(1, -1)
        np.testing.assert_array_equal(reference.step(x)[0], emulator.step(x)[0])
        np.testing.assert_array_equal(reference.step(x)[0], emulator.guarded_step(x)[0])


def test_software_floats_are_noted():
    compiled = compile_model(edges("int8", 0.1, 3), "cortex-m0")
    assert len(compiled.notes) == 1
    assert "io int8" in compiled.notes[0]
    assert compiled.notes[0] in compiled.files["model.h"]
    assert not compile_model(edges("int8", 0.1, 3), "cortex-m4").notes


def unary(name, shape=(1, 40)):
    b = Builder()
    x, y = b.tensor("x", shape, "float32"), b.tensor("y", shape, "float32")
    b.op(name, [x], [y])
    return b.finish([x], [y])


def close(data, count=12, positive=False, width=4.0, atol=1e-5):
    reference, native = Reference(data), load_native(data, "portable")
    random = np.random.default_rng(1)
    for k in range(count):
        inputs = []
        for port in native.compiled.inputs:
            x = random.normal(0, width * 4.0 ** (k % 4 - 2), port.shape).astype(np.float32)
            inputs.append(np.abs(x) + np.float32(1e-3) if positive else x)
        for a, b in zip(reference.step(*inputs), native.step(*inputs), strict=True):
            np.testing.assert_allclose(b.reshape(-1), a.reshape(-1), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "RELU", "RELU6", "NEG", "ABS", "EXP"])
def test_unary(name):
    close(unary(name))


@pytest.mark.parametrize("name", ["RSQRT", "SQRT"])
def test_roots(name):
    close(unary(name), positive=True)


def test_functions_over_their_whole_range():
    x = np.linspace(-100, 88, 4096, dtype=np.float32).reshape(1, -1)
    exact = x.astype(np.float64)
    for name, expected in (
        ("EXP", np.exp(exact)),
        ("LOGISTIC", 1 / (1 + np.exp(-exact))),
        ("TANH", np.tanh(exact)),
    ):
        got = load_native(unary(name, x.shape), "portable").step(x)[0]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=2e-7)
    x = np.logspace(-30, 30, 4096, dtype=np.float32).reshape(1, -1)
    for name, power in (("SQRT", 0.5), ("RSQRT", -0.5)):
        got = load_native(unary(name, x.shape), "portable").step(x)[0]
        np.testing.assert_allclose(got, x.astype(np.float64) ** power, rtol=1e-6)


@pytest.mark.parametrize("other", [(2, 3, 5), (5,), (2, 3, 1), (1,)])
@pytest.mark.parametrize(
    "name", ["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "DIV"]
)
def test_binary(name, other):
    b = Builder()
    x, y = b.tensor("x", (2, 3, 5), "float32"), b.tensor("y", other, "float32")
    out = b.tensor("out", (2, 3, 5), "float32")
    b.op(name, [x, y], [out])
    close(b.finish([x, y], [out]), positive=name == "DIV")


@pytest.mark.parametrize("activation", [1, 2, 3])
def test_fused_activations(activation):
    b = Builder()
    x, out = b.tensor("x", (1, 30), "float32"), b.tensor("out", (1, 30), "float32")
    b.op("ADD", [x, b.const("c", [-0.5], "float32")], [out], fusedActivationFunction=activation)
    close(b.finish([x], [out]))


@pytest.mark.parametrize(("batches", "columns", "rows"), [(1, 7, 5), (3, 4, 2), (1, 1, 1)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [0, 1, 3])
def test_fully_connected(batches, columns, rows, bias, activation):
    b, random = Builder(), np.random.default_rng(0)
    x = b.tensor("x", (batches, columns), "float32")
    out = b.tensor("out", (batches, rows), "float32")
    w = b.const("w", random.normal(size=(rows, columns)), "float32")
    c = b.const("b", random.normal(size=rows), "float32") if bias else -1
    b.op("FULLY_CONNECTED", [x, w, c], [out], fusedActivationFunction=activation)
    close(b.finish([x], [out]))


@pytest.mark.parametrize("name", ["MEAN", "SUM"])
@pytest.mark.parametrize("axes", [[1], [2], [1, 2], [-1]])
def test_reductions(name, axes):
    b = Builder()
    left = [1 if k in [a % 3 for a in axes] else n for k, n in enumerate((2, 3, 5))]
    x, out = b.tensor("x", (2, 3, 5), "float32"), b.tensor("out", left, "float32")
    b.op(name, [x, b.const("axes", axes, "int32")], [out], keepDims=True)
    close(b.finish([x], [out]))


@pytest.mark.parametrize("shape", [(1, 12), (3, 5), (2, 1)])
def test_softmax(shape):
    b = Builder()
    x, out = b.tensor("x", shape, "float32"), b.tensor("out", shape, "float32")
    b.op("SOFTMAX", [x], [out], beta=0.7)
    close(b.finish([x], [out]))


def float_step():
    """A simple recurrent step with a state, by itself."""
    b, random = Builder(), np.random.default_rng(0)
    x, h = b.tensor("x", (1, 5), "float32"), b.tensor("h", (1, 6), "float32")
    sums = [b.tensor(n, (1, 6), "float32") for n in "abc"]
    for value, n, s in ((x, 5, sums[0]), (h, 6, sums[1])):
        w = b.const("w", random.normal(0, 0.5, (6, n)), "float32")
        b.op("FULLY_CONNECTED", [value, w, -1], [s])
    b.op("ADD", sums[:2], [sums[2]])
    after = b.tensor("after", (1, 6), "float32")
    b.op("TANH", [sums[2]], [after])
    y = b.tensor("y", (1, 6), "float32")
    b.op("SOFTMAX", [after], [y], beta=1.0)
    return b.finish([x, h], [y, after], ({"x": x, "h": h}, {"y": y, "h": after}))


@pytest.mark.parametrize("core", FPU)
def test_float_steps_run_on_the_fpu(core):
    data = float_step()
    reference, emulator = Reference(data), Emulator(compile_model(data, core))
    random = np.random.default_rng(0)
    for _ in range(20):
        x = random.normal(size=(1, 5)).astype(np.float32)
        for a, b in zip(
            [*reference.step(x), *reference.values],
            [*emulator.step(x), *emulator.states()],
            strict=True,
        ):
            np.testing.assert_allclose(b, a, atol=1e-5)
    assert not any("aeabi_f" in name for name in emulator.image.symbols)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
def test_float_models_need_an_fpu(core):
    with pytest.raises(UnsupportedError, match=f"{core} has no FPU: convert with --precision int8"):
        compile_model(float_step(), core)


def test_numbers_that_c_cannot_write_are_refused():
    b = Builder()
    x, out = b.tensor("x", (1, 3), "float32"), b.tensor("out", (1, 3), "float32")
    b.op("ADD", [x, b.const("c", [np.inf, 1, np.nan], "float32")], [out])
    with pytest.raises(UnsupportedError, match="infinity or NaN"):
        compile_model(b.finish([x], [out]))
