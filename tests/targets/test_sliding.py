"""Convolutions that move over an image take the matrix kernels: bit-exact on every kind of core."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from targets import firmware, qemu
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.native import load_native
from tests.targets.build import Builder
from tests.targets.reference import Reference
from tests.targets.test_cells import frames
from tests.targets.test_convolution import PADDINGS, positions
from tests.targets.test_helium import BOARD
from tests.targets.test_ops import DTYPES, SOME, exact

FEW = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck),
               derandomize=True, phases=[Phase.generate])  # fmt: skip
IMAGES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 18))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
LAYERS = st.fixed_dictionaries(
    {
        "window": st.tuples(st.integers(1, 3), st.integers(1, 5)),
        "stride": PAIRS,
        "dilation": st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)]),
        "padding": st.sampled_from(list(PADDINGS)),
        "rows": st.integers(1, 18),
        "per_channel": st.booleans(),
        "biased": st.booleans(),
        "activation": st.sampled_from([0, 1, 3]),
        "top": st.floats(0.05, 1.5),
    }
)


def layer(b, x, image, dtype, zero, window, stride, dilation, padding, rows, per_channel=True,
          biased=True, activation=0, top=0.5):  # fmt: skip
    """Append a convolution; its output, or None where the window does not fit the image."""
    sides = positions(image[:2], window, stride, dilation, padding)
    if sides is None:
        return None
    random, depth = np.random.default_rng(rows), image[2]
    scales = np.float32(random.uniform(0.002, 0.01, rows if per_channel else 1))
    weights = random.integers(-127, 128, (rows, *window, depth))
    inputs = [x, b.const(f"w{x}", weights, "int8", scales, axis=0)]
    scale = b.graph.tensors[x].quantization.scale[0]
    if biased:
        kind, real = ("int32" if dtype == "int8" else "int64"), np.float32(scales * scale)
        inputs.append(b.const("b", random.integers(-9000, 9000, rows), kind, real))
    spread = np.sqrt(window[0] * window[1] * depth)
    out_scale = scale * scales.max() * 127 * spread * top
    out = b.tensor(f"out{len(b.graph.tensors)}", (1, *sides, rows), dtype, out_scale, -zero)
    b.op("CONV_2D", inputs, [out], version=3, padding=PADDINGS[padding], strideH=stride[0],
         strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1],
         fusedActivationFunction=activation)  # fmt: skip
    return out


def fits(image, options):
    names = ("window", "stride", "dilation", "padding")
    return positions(image[:2], *(options[name] for name in names)) is not None


def model(image, dtype, z, layers):
    """Convolutions of one image, as many outputs."""
    b = Builder()
    scale, zero = (0.02, z) if dtype == "int8" else (2.0**-13, 0)
    x = b.tensor("x", (1, *image), dtype, scale, zero)
    outs = [layer(b, x, image, dtype, zero, **options) for options in layers]
    return b.finish([x], [out for out in outs if out is not None])


@SOME
@given(IMAGES, DTYPES, st.integers(-60, 60), st.lists(LAYERS, min_size=6, max_size=9))
def test_any_window(image, dtype, z, layers):
    assume(any(fits(image, options) for options in layers))
    native = exact(model(image, dtype, z, layers))
    assert not any(name.startswith("edgernn_conv_s") for name in native.compiled.files)


def same(data, step, port):
    """Compare every output of a few frames."""
    reference = Reference(data)
    for x in frames(port, 6):
        for a, b in zip(reference.step(x), step.step(x), strict=True):
            np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "host"])
@FEW
@given(IMAGES, DTYPES, st.integers(-60, 60), st.lists(LAYERS, min_size=8, max_size=12))
def test_any_window_on_every_core(core, image, dtype, z, layers):
    assume(any(fits(image, options) for options in layers))
    data = model(image, dtype, z, layers)
    compiled = compile_model(data, core)
    same(data, load_native(data, core) if core == "host" else Emulator(compiled),
         compiled.inputs[0])  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
@FEW
@given(IMAGES, DTYPES, st.integers(-60, 60), LAYERS)
def test_any_window_with_helium(image, dtype, z, options):
    assume(fits(image, options))
    data = model(image, dtype, z, [options])
    built = firmware.build(data, BOARD)
    board = qemu.BoardStep(built)
    try:
        same(data, board, built.compiled.inputs[0])
    finally:
        board.close()


NETWORK = {"window": (3, 3), "stride": (3, 1), "dilation": (1, 1), "padding": "VALID", "rows": 24}


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("core", "most"), [("cortex-m4", 1.7), ("cortex-m3", 3.0),
                                            ("cortex-m0", 6.2)])  # fmt: skip
def test_a_product_costs_little_more_than_in_a_matrix(core, most, dtype):
    emulator = Emulator(compile_model(model((3, 12, 16), dtype, 5, [NETWORK]), core))
    (x,) = frames(emulator.compiled.inputs[0], 1)
    macs = 10 * 24 * 3 * 3 * 16
    assert len(emulator.trace(x)) <= most * macs


@pytest.mark.parametrize("depth", [5, 8])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_window_of_whole_rows_is_read_where_it_is(dtype, depth):
    whole = {**NETWORK, "stride": (1, 1), "rows": 9}
    native = exact(model((6, 3, depth), dtype, 7, [whole]))
    assert not any("patch" in name or "conv" in name for name in native.compiled.files)


@pytest.mark.parametrize(
    ("width", "changes"), [(1, {"padding": "SAME"}), (3, {"dilation": (2, 1)})]
)
def test_whole_rows_that_are_no_piece_of_the_image_are_gathered(width, changes):
    one = {**NETWORK, "window": (2, width), "stride": (1, 1), **changes}
    native = exact(model((6, width, 8), "int8", 7, [one]))
    assert any("patch" in name for name in native.compiled.files)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_the_patch_is_all_the_memory_it_takes(dtype):
    compiled = compile_model(model((3, 12, 16), dtype, 5, [NETWORK]), "portable")
    assert compiled.scratch == {dtype: 3 * 3 * 16}
