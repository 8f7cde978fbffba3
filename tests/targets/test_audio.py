"""The audio front end in C against the one in Python, bit for bit."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

import targets
from edgernn.frontends.audio import OUTPUTS, AudioFrontEnd
from targets.frontends import audio as generator
from targets.machine import machine
from tests.edgernn.test_audio import SETTINGS, speech_like

KERNELS = Path(targets.__file__).parent / "kernels"
DRIVER = """
int32_t push(model_front_end_t *fe, const int16_t *samples, int32_t count, int32_t *features,
             int64_t *time_us, int32_t *ready);
void reset(model_front_end_t *fe);
int32_t size(void);
int32_t push(model_front_end_t *fe, const int16_t *samples, int32_t count, int32_t *features,
             int64_t *time_us, int32_t *ready) {
  int is_ready = 0;
  const int32_t n = model_front_end_push(fe, samples, NULL, count, features, time_us, &is_ready);
  *ready = is_ready;
  return n;
}
void reset(model_front_end_t *fe) { model_front_end_reset(fe); }
int32_t size(void) { return (int32_t)sizeof(model_front_end_t); }
"""


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


@functools.cache
def built(name, output, core):
    coefficients = min(13, SETTINGS[name].get("bands", 40))
    front_end = AudioFrontEnd(**SETTINGS[name], output=output, coefficients=coefficients)
    return front_end, compiled(front_end, core)


def frames_of(front_end, run, samples, block):
    state = np.full(run.call("size"), 0xA5, np.uint8)
    run.call("reset", state)
    size = front_end.frame_shape[0]
    features, stamp, ready = np.zeros(size, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int32)
    found, times = [], []
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        while len(part):
            part = part[run.call("push", state, part, len(part), features, stamp, ready) :]
            if ready[0]:
                found.append(features.copy())
                times.append(int(stamp[0]))
    return np.array(found).reshape(-1, size), times


def signals(rate, seconds):
    random, n = np.random.default_rng(0), int(rate * seconds)
    return {
        "speech": speech_like(rate, seconds),
        "quiet": speech_like(rate, seconds, level=20),
        "square": np.where(np.arange(n) // 10 % 2, 32767, -32768).astype(np.int16),
        "silence": np.zeros(n, np.int16),
        "noise": random.integers(-32768, 32768, n).astype(np.int16),
    }


@pytest.mark.parametrize("core", ["host", "cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", SETTINGS)
def test_bit_exact(name, output, core):
    front_end, run = built(name, output, core)
    for samples in signals(front_end.rate, 1.0 if core == "host" else 0.2).values():
        expected = front_end.stream().push(samples)
        found, times = frames_of(front_end, run, samples, 113)
        np.testing.assert_array_equal(found, expected.features)
        np.testing.assert_array_equal(times, expected.times)


@pytest.mark.parametrize("core", ["host", "cortex-m0"])
@pytest.mark.parametrize(
    "fields",
    [
        {"emphasis": 1.0, "range": 120.0, "release": 1000.0, "least": -90.0},
        {"emphasis": 0.0, "range": 1.0, "release": 0.1, "least": 60.0},
    ],
)
def test_gain_control_at_its_limits_is_bit_exact(fields, core):
    front_end = AudioFrontEnd(
        rate=8000, window=256, hop=80, bands=20, floor=1e-12, output="agc", agc=fields
    )
    run = compiled(front_end, core)
    for samples in signals(8000, 0.2).values():
        found, _ = frames_of(front_end, run, samples, 113)
        np.testing.assert_array_equal(found, front_end.stream().push(samples).features)


def test_instructions_of_a_frame_on_m4():
    _, run = built("digits", "log-mel", "cortex-m4")
    state = np.zeros(run.call("size"), np.uint8)
    run.call("reset", state)
    features, stamp, ready = np.zeros(40, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int32)
    samples = speech_like(8000)
    run.call("push", state, samples[:256], 256, features, stamp, ready)
    count = run.count("push", state, samples[256:336], 80, features, stamp, ready)
    assert ready[0]
    assert count < 26_000
