"""The fused LSTM in C: bit for bit what TFLM's reference kernel gives, over many carried steps."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgernn import load
from edgernn.errors import UnsupportedError
from edgernn.foreign import step_file
from targets import firmware, qemu
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.native import load_native
from tests.targets.fused import fused_lstm
from tests.targets.reference import Reference
from tests.targets.test_cells import frames, same
from tests.targets.test_native import EMULATORS, piped

MODELS = {
    "one": {},
    "wide": {"features": 17, "units": 21},
    "narrow": {"units": 3, "features": 1},
    "groups": {"units": 16, "features": 8},
    "window": {"length": 4},
    "sequence": {"length": 3, "sequence": True},
    "time first": {"length": 3, "sequence": True, "time_major": True},
    "two": {"length": 2, "layers": 2},
    "two steps": {"layers": 2},
    "saturating": {"spread": 12.0, "clip": 0.0},
    "large scale": {"spread": 12.0, "scale": 4.0, "features": 7, "units": 9},
    "clipped": {"spread": 6.0, "clip": 0.7},
    "coarse": {"cell_scale": 2.0**-10, "spread": 8.0, "clip": 0.0},
    "fine": {"cell_scale": 2.0**-15},
}
TYPES = ["int8", "int16"]


def carried(data, step, count):
    """Compares outputs and states over carried steps."""
    reference = Reference(data)
    for x in frames(step.compiled.inputs[0], count):
        same(reference, step, x)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("core", ["portable", "host"])
def test_many_carried_steps_are_those_of_the_reference(name, dtype, core):
    data = step_file(fused_lstm(dtype, **MODELS[name]))
    carried(data, load_native(data, core), 200)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("name", ["wide", "groups", "window", "time first", "large scale"])
def test_emulated_cores_give_the_same(name, dtype, core):
    data = step_file(fused_lstm(dtype, **MODELS[name]))
    emulator = Emulator(compile_model(data, core))
    carried(data, emulator, 30)
    emulator.guarded_step(np.zeros(emulator.compiled.inputs[0].shape, dtype))


@pytest.mark.skipif(shutil.which(qemu.COMMAND) is None, reason="qemu-system-arm is missing")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["wide", "groups", "window", "large scale"])
def test_helium_gives_the_same(name, dtype):
    data = step_file(fused_lstm(dtype, **MODELS[name]))
    board = qemu.BoardStep(firmware.build(data, "mps3-an547"))
    try:
        carried(data, board, 30)
    finally:
        board.close()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("optimize", ["-O0", "-Os"])
def test_other_compilers_give_the_same(dtype, optimize):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    compiled = compile_model(step_file(fused_lstm(dtype, **MODELS["wide"])), "cortex-m4")
    carried(
        step_file(fused_lstm(dtype, **MODELS["wide"])),
        Emulator(compiled, cc="arm-none-eabi-gcc", optimize=optimize),
        10,
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", EMULATORS)
@pytest.mark.parametrize("dtype", TYPES)
def test_raspberry_pi_gives_the_same(dtype, target, tmp_path):
    emulator = shutil.which(EMULATORS[target])
    if emulator is None:
        pytest.skip("no emulator of Linux programs: apt-get install qemu-user")
    model = load(fused_lstm(dtype, 2, True, features=13, units=37))
    limits = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max, (100, 13)).astype(dtype)
    reference = model.stream("tflm")
    expected = reference.push_raw(x).tobytes()
    program = piped(model.data, target, tmp_path)
    result = subprocess.run([emulator, program], input=x.tobytes(), capture_output=True)
    assert result.stdout == expected + reference.save()


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(
    dtype=st.sampled_from(TYPES),
    core=st.sampled_from(["portable", "host", "cortex-m0", "cortex-m4"]),
    length=st.integers(1, 5),
    features=st.integers(1, 20),
    units=st.integers(1, 20),
    scale=st.floats(1e-3, 30.0),
    spread=st.floats(0.1, 20.0),
    cell=st.integers(-15, -8),
    clip=st.sampled_from([0.0, 0.5, 3.0, 10.0]),
    time_major=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_size_and_scale(dtype, core, cell, **options):
    data = step_file(fused_lstm(dtype, sequence=True, cell_scale=2.0**cell, **options))
    hosted = core in ("portable", "host")
    step = load_native(data, core) if hosted else Emulator(compile_model(data, core))
    carried(data, step, 25)


def test_short_biases_mean_what_long_ones_do():
    # TFLM reads 64 bits whatever the file says, so the reference has a file that says so.
    short, long = (step_file(fused_lstm("int16", bias=kind)) for kind in ("int32", "int64"))
    carried(long, load_native(short), 50)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("length", [1, 3])
def test_reset_forgets_everything(dtype, length):
    step = load_native(step_file(fused_lstm(dtype, length=length)))
    x = list(frames(step.compiled.inputs[0], 10))
    first = [step.step(v) for v in x]
    again = [step.step(v) for v in x]
    assert not np.array_equal(first, again)
    step.reset()
    np.testing.assert_array_equal(first, [step.step(v) for v in x])


@pytest.mark.parametrize("name", ["one", "wide", "window", "sequence", "two", "clipped"])
@pytest.mark.parametrize("core", ["host", "cortex-m4"])
def test_float_is_close_to_the_reference(name, core):
    data = step_file(fused_lstm("float32", **MODELS[name]))
    reference = Reference(data)
    step = load_native(data) if core == "host" else Emulator(compile_model(data, core))
    random = np.random.default_rng(0)
    for _ in range(40):
        x = random.normal(0, 2, step.compiled.inputs[0].shape).astype(np.float32)
        (a,), (b,) = reference.step(x), step.step(x)
        np.testing.assert_allclose(a.reshape(-1), b.reshape(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [*TYPES, "float32"])
def test_the_code_of_a_window_does_not_grow_with_it(dtype):
    sizes = [
        len(compiled.files[f"{compiled.name}.c"])
        for compiled in (
            compile_model(step_file(fused_lstm(dtype, length)), "cortex-m4", name="m")
            for length in (20, 99)
        )
    ]
    assert sizes[0] == sizes[1]


MOST = {"cortex-m4": 46_000, "cortex-m3": 86_000, "cortex-m0": 172_000}
"""Of the peer, TFLM with CMSIS-NN, int8: 92,600, 121,900 and 249,000 (see benchmarks/mcu.py)."""


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("core", MOST)
def test_instructions_of_a_step(dtype, core):
    emulator = Emulator(compile_model(step_file(fused_lstm(dtype, features=40, units=64)), core))
    frame = np.zeros(emulator.compiled.inputs[0].shape, dtype)
    assert emulator.profile(frame).instructions <= MOST[core]


BAD = {
    "peepholes": ({"peephole": True}, "peepholes is not supported"),
    "scale": ({"cell_scale": 0.0001}, "no power of two"),
    "weights": ({"dtype": "float32", "weights": "int8"}, "not a constant float32 matrix"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_cells_are_refused_by_name(name):
    options, message = BAD[name]
    data = fused_lstm(**{"dtype": "int8", **options})
    with pytest.raises(UnsupportedError, match=message):
        compile_model(data, "host")
