"""Whole recurrent steps: C on this machine and on emulated cores against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn import blob
from edgernn.errors import EdgernnError, StateError
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.native import load_native
from tests.targets.build import step_model
from tests.targets.reference import Reference

CELLS = [(c, p) for c in ("gru", "lstm") for p in ("int8", "int16x8")]
SMALL = {"features": 13, "units": 18, "classes": 5}


def frames(port, count, seed=0):
    """Frames of all sizes: small, large, and nothing but the two ends of the type."""
    random = np.random.default_rng(seed)
    limits = np.iinfo(port.dtype)
    for k in range(count):
        if k % 7 == 6:
            x = random.choice([limits.min, limits.max], port.shape)
        else:
            width = limits.max >> (k % 5)
            x = random.integers(-width - 1, width + 1, port.shape)
        yield x.astype(port.dtype)


def same(reference, step, x):
    outputs = zip(reference.step(x), step.step(x), strict=True)
    states = zip(reference.values, step.states(), strict=True)
    for a, b in [*outputs, *states]:
        np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1))


@pytest.mark.parametrize(("cell", "precision"), CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("per_channel", [True, False])
def test_native_is_bit_exact(cell, precision, layers, per_channel):
    data = step_model(cell, precision, layers=layers, per_channel=per_channel, **SMALL)
    reference, native = Reference(data), load_native(data, "portable")
    for x in frames(native.compiled.inputs[0], 2000):
        same(reference, native, x)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "precision"), CELLS)
def test_native_stays_bit_exact_for_long(cell, precision):
    data = step_model(cell, precision)
    reference, native = Reference(data), load_native(data, "host")
    for x in frames(native.compiled.inputs[0], 30_000, seed=1):
        same(reference, native, x)


@pytest.mark.parametrize(("cell", "precision"), CELLS)
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_emulated_is_bit_exact(cell, precision, core):
    data = step_model(cell, precision, **SMALL)
    reference = Reference(data)
    emulator = Emulator(compile_model(data, core))
    for x in frames(emulator.compiled.inputs[0], 60):
        same(reference, emulator, x)
    emulator.guarded_step(x)


@pytest.mark.parametrize("features", [1, 2, 4, 7, 12, 13, 16, 20])
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4"])
def test_matrices_take_every_shape(features, precision, core):
    classes = 1 + features % 7
    data = step_model("gru", precision, features=features, units=features + 3, classes=classes)
    reference = Reference(data)
    emulator = Emulator(compile_model(data, core))
    for x in frames(emulator.compiled.inputs[0], 20):
        same(reference, emulator, x)
        emulator.guarded_step(x)
        reference.step(x)


@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4"])
def test_optimization_does_not_matter(core, optimize):
    data = step_model("lstm", "int16x8", **SMALL)
    reference = Reference(data)
    emulator = Emulator(compile_model(data, core), optimize=optimize)
    for x in frames(emulator.compiled.inputs[0], 20):
        same(reference, emulator, x)


@pytest.mark.parametrize(
    ("cell", "precision", "core", "most"),
    [
        ("gru", "int16x8", "cortex-m4", 36_000),
        ("gru", "int16x8", "cortex-m3", 90_000),
        ("gru", "int16x8", "cortex-m0", 180_000),
        ("gru", "int8", "cortex-m4", 36_000),
        ("gru", "int8", "cortex-m3", 90_000),
        ("gru", "int8", "cortex-m0", 180_000),
    ],
)
def test_budgets(cell, precision, core, most):
    emulator = Emulator(compile_model(step_model(cell, precision), core, marks=True))
    (x,) = frames(emulator.compiled.inputs[0], 1)
    profile = emulator.profile(x)
    assert profile.instructions <= most
    assert sum(profile.by_step) <= profile.instructions
    assert all(n > 0 for n in profile.by_step)
    compiled = emulator.compiled
    assert compiled.state_bytes + compiled.scratch_bytes + emulator.stack(x) <= 1536
    assert emulator.sizes.code + compiled.tables_bytes <= 4096


@pytest.mark.parametrize("cc", [None, "gcc"])
def test_compilers_do_not_warn(cc, tmp_path):
    load_native(step_model("lstm", "int8", **SMALL), "portable", tmp_path, cc)
    header = next(tmp_path.glob("model.h")).read_text()
    assert 'extern "C"' in header


def test_saved_states_are_those_of_python():
    data = step_model("lstm", "int16x8", **SMALL)
    native, other = load_native(data), load_native(data)
    emulator = Emulator(compile_model(data, "cortex-m4"))
    xs = list(frames(native.compiled.inputs[0], 12))
    for x in xs[:6]:
        native.step(x)
        emulator.step(x)
    saved = native.save()
    states = b"".join(s.tobytes() for s in native.states())
    assert saved == blob.pack(native.compiled.model_hash, states, b"")
    assert emulator.save() == saved
    other.restore(saved)
    for x in xs[6:]:
        np.testing.assert_array_equal(native.step(x)[0], other.step(x)[0])


def test_damaged_states_are_refused():
    data = step_model("gru", "int8", **SMALL)
    native = load_native(data)
    stranger = load_native(step_model("gru", "int8", seed=1, **SMALL))
    saved, before = native.save(), native.states()
    broken = [b"", saved[:-1], saved + b"\0", stranger.save()]
    for i in range(0, len(saved), 3):
        broken.append(saved[:i] + bytes([saved[i] ^ 4]) + saved[i + 1 :])
    for bad in broken:
        with pytest.raises(StateError):
            native.restore(bad)
    np.testing.assert_array_equal(native.states()[0], before[0])


def test_streams_do_not_touch_each_other():
    data = step_model("gru", "int8", **SMALL)
    one, two = load_native(data), load_native(data)
    xs = list(frames(one.compiled.inputs[0], 20))
    for x in xs:
        one.step(x)
    for x in xs:
        expected = two.step(x)[0]
    one.reset()
    for x in xs:
        got = one.step(x)[0]
    np.testing.assert_array_equal(got, expected)


def test_wrong_frames_are_refused():
    native = load_native(step_model("gru", "int8", **SMALL))
    for bad in (np.zeros(12, np.int8), np.zeros(13, np.int16), np.zeros(13)):
        with pytest.raises(EdgernnError, match="input 'x' is int8"):
            native.step(bad)
