"""The sensor front end in C against the one in Python, bit for bit."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

import targets
from edgernn.frontends.sensor import SensorFrontEnd
from targets.frontends import sensor as generator
from targets.machine import machine
from tests.edgernn.test_sensor import EVERYTHING, NAMES, RATE, signal, uneven

KERNELS = Path(targets.__file__).parent / "kernels"
CASES = {
    "plain": {},
    "everything": {"stages": EVERYTHING},
    "hold": {"stages": EVERYTHING[:4], "policy": "hold"},
    "reset": {"stages": EVERYTHING, "policy": "reset"},
    "raw": {
        "sample_scale": 9.81 / 16384,
        "fraction": 8,
        "stages": [
            {"stage": "select", "channels": [2, 0]},
            {"stage": "magnitude", "channels": [0, 1], "alone": True},
            {
                "stage": "statistics", "window": 30, "hop": 30,
                "statistics": ["min", "max", "range", "rms", "std"],
            },
        ],
    },
}  # fmt: skip
DRIVER = """
int32_t push(model_front_end_t *fe, const int32_t *samples, const int64_t *times, int32_t count,
             int32_t *features, int64_t *time_us, int32_t *ready);
void reset(model_front_end_t *fe);
int32_t size(void);
int32_t push(model_front_end_t *fe, const int32_t *samples, const int64_t *times, int32_t count,
             int32_t *features, int64_t *time_us, int32_t *ready) {
  int is_ready = 0;
  const int32_t n = model_front_end_push(fe, samples, times, count, features, time_us, &is_ready);
  *ready = is_ready;
  return n;
}
void reset(model_front_end_t *fe) { model_front_end_reset(fe); }
int32_t size(void) { return (int32_t)sizeof(model_front_end_t); }
"""


@functools.cache
def built(case, core):
    front_end = SensorFrontEnd(RATE, NAMES, **CASES[case])
    return front_end, compiled(front_end, core)


def compiled(front_end, core):
    stage = generator.generate(front_end, "model")
    headers = [f'#include "{f}"' for f in stage.files if f.endswith(".h")]
    text = "\n".join(
        ["#include <stddef.h>", *headers, stage.declarations, stage.definitions, DRIVER]
    )
    files = {f: (KERNELS / f).read_text() for f in stage.files}
    run = machine({**files, "driver.c": text}, core, ["push", "reset", "size"])
    assert run.call("size") <= stage.ram + 8
    return run


def frames_of(front_end, run, samples, times, block):
    """Everything that the C gives for samples pushed in blocks."""
    state = np.full(run.call("size"), 0xA5, np.uint8)
    run.call("reset", state)
    size = front_end.frame_shape[0]
    features, stamp, ready = np.zeros(size, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int32)
    found = []
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        clock = None if times is None else times[start : start + block]
        while True:
            n = run.call(
                "push", state, np.ascontiguousarray(part), clock, len(part), features, stamp, ready
            )
            part, clock = part[n:], None if clock is None else clock[n:]
            if not ready[0]:
                break
            found.append((features.copy(), int(stamp[0]), bool(ready[0] & 2)))
    return found


@pytest.mark.parametrize("core", ["host", "cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_bit_exact(case, timed, core):
    front_end, run = built(case, core)
    count = 600 if core == "host" else 200
    real, times = signal(count), uneven(count, 3) if timed else None
    real[7] *= 1e5  # saturates
    samples = front_end.from_real(real)
    expected = front_end.stream().push(samples, times)
    found = frames_of(front_end, run, samples, times, 37)
    assert len(found) == len(expected) > 3
    np.testing.assert_array_equal([f for f, _, _ in found], expected.features)
    np.testing.assert_array_equal([t for _, t, _ in found], expected.times)
    np.testing.assert_array_equal([b for _, _, b in found], expected.breaks)


def test_readings_minutes_apart_are_no_steps_of_the_clock():
    front_end = SensorFrontEnd(1 / 300, ("t",))
    times = np.arange(40, dtype=np.int64) * 300_000_000
    times[30:] += 1_000_000_000  # a gap that is one
    samples = front_end.from_real(np.arange(40.0)[:, np.newaxis])
    expected = front_end.stream().push(samples, times)
    found = frames_of(front_end, compiled(front_end, "host"), samples, times, 7)
    np.testing.assert_array_equal([f for f, _, _ in found], expected.features)
    np.testing.assert_array_equal([t for _, t, _ in found], expected.times)
    assert [b for _, _, b in found] == [k == 30 for k in range(40)]
