"""The first steps of a stream in generated C, against the Python runtime."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edgernn import load
from edgernn.metadata import Metadata, State
from targets import qemu
from targets.board_stream import board_stream
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.executors import Interpreted
from targets.native import load_native
from tests.edgernn.stepfile import build
from tests.edgernn.test_stream import WARM

TABLED = Metadata(states=(State("h", (1, 4), (0.5, -0.5, 0.25, 0.0), starts=1),), warmup=1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("document", [WARM, TABLED], ids=["long", "short"])
def test_states_readiness_and_blob_follow_python(dtype, document):
    model = load(build(dtype, metadata=document))
    native, reference = load_native(model.data), Interpreted(model, "tflm")
    stream = model.stream("tflm")
    ready = native._library.model_ready
    random = np.random.default_rng(0)
    assert not ready(native._fixed[0])
    for k in range(8):
        frame = random.normal(0, 20, model.x.shape).astype(model.x.numpy_dtype)
        (y,), (expected,) = native.step(frame), reference.step(frame)
        rows = stream.push_raw(frame)
        exact = dtype != "float32"
        assert bool(ready(native._fixed[0])) == (k >= document.warmup) == (len(rows) == 1)
        np.testing.assert_allclose(y, expected, atol=0 if exact else 1e-5)
        np.testing.assert_allclose(
            native.states()[0], reference.states()[0], atol=0 if exact else 1e-5
        )
        if k == 4:
            native.restore(stream.save())
        if exact:
            assert native.save()[-8:-4] == stream.save()[-8:-4]
    native.reset()
    assert not ready(native._fixed[0])
    assert native.save() == model.stream().save()


def test_native_backend_and_emulator_agree():
    model = load(build(metadata=WARM))
    block = np.random.default_rng(0).normal(size=(12, 4))
    expected = model.stream("tflm").push(block)
    np.testing.assert_array_equal(model.stream("native").push(block), expected)
    compiled = compile_model(model.data, "cortex-m4", name="model")
    emulator, native = Emulator(compiled), load_native(model.data)
    for frame in np.random.default_rng(1).integers(-128, 128, (8, 1, 4)).astype(np.int8):
        np.testing.assert_array_equal(emulator.guarded_step(frame)[0], native.step(frame)[0])
        assert emulator.save() == native.save()


def test_nothing_is_counted_where_nothing_warms_up():
    text = "".join(compile_model(build(), name="model").files.values())
    assert "_ready" not in text
    assert "steps_done" not in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(qemu.COMMAND) is None, reason="qemu-system-arm is missing")
def test_a_board_counts_for_itself():
    model = load(build(metadata=WARM))
    block = np.random.default_rng(0).normal(size=(12, 4))
    reference = model.stream("tflm")
    stream = board_stream(model, "mps2-an386")
    try:
        np.testing.assert_array_equal(stream.push(block[:2]), reference.push(block[:2]))
        saved = stream.save()
        assert saved == reference.save()
        stream.push(block)
        stream.restore(saved)
        np.testing.assert_array_equal(stream.push(block[2:]), reference.push(block[2:]))
        stream.reset()
        assert stream.push(block[:3]).shape == (0, 4)
    finally:
        stream.close()
