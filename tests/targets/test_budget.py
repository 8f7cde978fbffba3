"""What a step costs, for models as `edgernn.convert` makes them: the goals of benchmarks/mcu.py."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import edgernn
from targets import qemu
from targets.profiling import profile

FEATURES, UNITS, OUTPUTS = 40, 64, 12
MOST = {
    "cortex-m4": {"GRU": 36_000, "LSTM": 45_000},
    "cortex-m55": {"GRU": 12_000, "LSTM": 14_000},
    "cortex-m3": {"GRU": 70_000, "LSTM": 90_000},
    "cortex-m0": {"GRU": 140_000, "LSTM": 180_000},
}


@pytest.fixture(
    scope="module", params=[(c, p) for c in ("GRU", "LSTM") for p in ("int8", "int16x8")]
)
def converted(request):
    keras = pytest.importorskip("keras")
    cell, precision = request.param
    keras.utils.set_random_seed(0)
    layer = getattr(keras.layers, cell)(UNITS, return_sequences=True)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer, keras.layers.Dense(OUTPUTS)])
    noise = np.random.default_rng(0).normal(size=(8, 60, FEATURES)).astype(np.float32)
    return cell, edgernn.convert(model, noise, precision=precision)


@pytest.mark.slow
@pytest.mark.parametrize("core", MOST)
def test_a_step_stays_within_its_budget(converted, core):
    if core == "cortex-m55" and shutil.which(qemu.COMMAND) is None:
        pytest.skip("qemu-system-arm is missing; install with: apt-get install qemu-system-arm")
    cell, model = converted
    costs = profile(model, core)
    assert costs.instructions_per_step <= MOST[core][cell]
    assert costs.flash.code + costs.flash.tables <= 4_096
    assert costs.stack_is_worst_case
    assert costs.ram.total <= 1_536
