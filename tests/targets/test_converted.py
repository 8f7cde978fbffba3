"""Every layer that the converter knows, as C against the reference: bit for bit."""

from __future__ import annotations

import dataclasses
import shutil

import keras
import numpy as np
import pytest

from converters.conversion import convert
from edgernn.model import Model
from targets.compile import compile_model
from targets.executors import Interpreted
from targets.frames import made_up
from targets.native import NativeStep
from targets.toolchain import build_shared
from tests.converters.test_conversion import QUANTIZED, recordings
from tests.converters.test_trace import MODELS, randomized

pytestmark = pytest.mark.usefixtures("short_measurements")
STEPS = 400


def built(model: Model, folder) -> NativeStep:
    """The model's C, built in little time."""
    compiled = compile_model(model.data, "portable", folder, "model")
    core = dataclasses.replace(compiled.core, optimize="-O1")
    cc = "gcc" if shutil.which("gcc") else None
    library = build_shared(folder, compiled.sources, core, folder / "model.so", cc)
    return NativeStep(compiled, library)


def assert_bit_exact(model: Model, native: NativeStep, steps: int = STEPS) -> None:
    reference = Interpreted(model, "tflm")
    for k, frame in enumerate(made_up(model, steps)):
        expected = (*reference.step(frame), *reference.states())
        got = (*native.step(frame), *native.states())
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1), f"step {k}")


@pytest.mark.slow
@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", [n for n in MODELS if n != "simple_leaky"])
def test_every_converted_model_is_bit_exact(name, precision, converted_model, tmp_path):
    model = converted_model(name, precision)
    assert_bit_exact(model, built(model, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("io", ["int8", "int16", "float32"])
@pytest.mark.parametrize("precision", QUANTIZED)
def test_every_kind_of_frame_is_bit_exact(precision, io, tmp_path):
    keras.utils.set_random_seed(0)
    source = randomized(MODELS["lstm"]())
    model = convert(source, recordings(), precision=precision, io=io)
    assert_bit_exact(model, built(model, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_float_model_is_close(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = convert(randomized(MODELS[name]()), recordings(), precision="float32")
    reference, native = Interpreted(model, "tflm"), built(model, tmp_path)
    random = np.random.default_rng(0)
    for k in range(STEPS):
        frame = random.normal(size=model.x.shape).astype(np.float32)
        expected = (*reference.step(frame), *reference.states())
        got = (*native.step(frame), *native.states())
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_allclose(
                b.reshape(-1), a.reshape(-1), 1e-5, 1e-5, err_msg=f"step {k}"
            )
