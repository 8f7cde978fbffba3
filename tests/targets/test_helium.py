"""Cortex-M55 in QEMU: Helium kernels and loops against the reference."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from targets import emulate, firmware, qemu
from targets.compile import compile_model
from targets.stack import worst_stack
from tests.targets.build import Builder, step_model
from tests.targets.reference import Reference
from tests.targets.test_cells import CELLS, SMALL, frames, same

BOARD = "mps3-an547"
GCC = "arm-none-eabi-gcc"

pytestmark = pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
needs_gcc = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not installed")


def compared(data: bytes, count: int, cc: str | None = None, optimize: str | None = None) -> int:
    """Run frames of all sizes on the board and compare outputs and states; the stack used."""
    image = firmware.build(data, BOARD, cc, optimize=optimize)
    reference, board = Reference(data), qemu.BoardStep(image)
    try:
        for x in frames(image.compiled.inputs[0], count):
            if reference.states:
                same(reference, board, x)
            else:
                (a,), (b,) = reference.step(x), board.step(x)
                np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1))
        return board.stack()
    finally:
        board.close()


@pytest.mark.parametrize(("cell", "precision"), CELLS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_cells_are_bit_exact(cell, precision, per_channel):
    data = step_model(cell, precision, per_channel=per_channel, layers=2, **SMALL)
    compiled = compile_model(data, "cortex-m55")
    assert any(name.endswith("_mve.c") for name in compiled.files)
    assert "int32x4_t" in compiled.files[f"{compiled.name}.c"]
    compared(data, 200)


@pytest.mark.parametrize("features", [4, 8, 16, 20, 24, 40])
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_every_width_of_a_matrix(features, precision):
    data = step_model("gru", precision, features=features, units=features + 3, classes=7)
    compared(data, 40)


@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O2", "-O3"])
@pytest.mark.parametrize("cc", [None, pytest.param(GCC, marks=needs_gcc)])
def test_every_compiler(cc, optimize):
    for cell, precision in (("gru", "int8"), ("lstm", "int16x8")):
        data = step_model(cell, precision, **SMALL)
        used = compared(data, 20, cc, optimize)
        compiled = compile_model(data, "cortex-m55", name="model")
        worst = worst_stack(emulate.link(compiled, cc, optimize), "model_step")
        main = 128  # the firmware's own frames
        assert used - main <= worst


UNARY, BINARY = ("LOGISTIC", "TANH", "RELU", "RELU6"), ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
SCALES = st.one_of(st.integers(-12, -6).map(lambda k: 2.0**k), st.floats(2e-4, 2e-2))


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(
    st.sampled_from(["int8", "int16"]),
    st.integers(4, 37),
    SCALES,
    st.lists(
        st.tuples(
            st.sampled_from([*UNARY, *BINARY, *BINARY]),
            SCALES,
            st.integers(-30, 30),
            st.sampled_from(["vector", "scalar", "frame"]),
        ),
        min_size=2,
        max_size=7,
    ),
    st.integers(0, 99),
)
def test_chains_of_elementwise_operators(dtype, n, scale, operators, seed):
    """Any chain, over any number of elements: whole vectors, a rest, constants, broadcasting."""
    b, random = Builder(), np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    x = value = b.tensor("x", (1, n), dtype, scale)
    for k, (op, out_scale, zero, other) in enumerate(operators):
        zero = zero if dtype == "int8" else 0
        before = b.graph.tensors[value].quantization
        if op in ("LOGISTIC", "TANH"):
            narrow = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}[op]
            quantized = narrow if dtype == "int8" else (1 / 32768, 0)
        elif op in ("RELU6", "MAXIMUM", "MINIMUM"):
            quantized = (before.scale[0], before.zeroPoint[0])
        else:
            quantized = (max(out_scale, before.scale[0]), zero)
        out = b.tensor(f"v{k}", (1, n), dtype, *quantized)
        inputs = [value]
        if op in BINARY:
            shape = (1, n) if other == "vector" else (1,)
            data = random.integers(limits.min, limits.max + 1, shape)
            same_scale = op in ("MAXIMUM", "MINIMUM")
            extra = quantized if same_scale else (quantized[0], zero)
            inputs.append(
                x if other == "frame" and not same_scale else b.const(f"c{k}", data, dtype, *extra)
            )
        options = {"potScaleInt16": False} if op in ("ADD", "SUB") else {}
        value = b.op(op, inputs, [out], **options)
    y = b.tensor("y", (1, n), dtype, scale)
    b.op("MUL", [value, value], [y])
    compared(b.finish([x], [y]), 30)
