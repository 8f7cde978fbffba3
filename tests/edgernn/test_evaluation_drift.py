"""Drift and warm-up, of runs whose memory is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.evaluation import drift
from edgernn.evaluation.runs import Answers, QuantizedRun
from edgernn.evaluation.subject import Subject, over_time
from edgernn.model import Model
from tests.edgernn.motions import motion, motion_model
from tests.edgernn.stepfile import build
from tests.edgernn.tones import tone_model, tones

RATE = 50.0


class Leaky:
    """y[t] = keep * y[t-1] + x[t], and an error that grows with every step since the reset."""

    name = "quantized"

    def __init__(self, keep=0.9, error=0.0):
        self.keep, self.error = keep, error
        self.reset()

    def reset(self):
        self.y, self.steps = 0.0, 0

    def push(self, samples, times=None):
        found = []
        for x in samples:
            self.y = self.keep * self.y + x
            self.steps += 1
            found.append([self.y + self.error * self.steps])
        first = self.steps - len(samples)
        stamps = np.rint((first + 1 + np.arange(len(samples))) / RATE * 1e6).astype(np.int64)
        return Answers(stamps, np.array(found))

    def real(self, raw):
        return raw


def test_a_reset_is_forgotten_as_fast_as_the_model_forgets():
    samples = np.random.default_rng(0).normal(size=3000)
    found = drift.warmup(Leaky, samples, RATE, 1, 500, 500)
    outputs = Leaky().push(samples).raw
    spread = outputs.max() - outputs.min()
    firsts = [500 + 2000 * trial // 7 for trial in range(8)]
    # What was there when the other began, and is forgotten step by step.
    missing = np.mean([abs(outputs[first - 1, 0]) for first in firsts])
    for step in (1, 10, 30):
        at = found["difference_percent"][found["steps"].index(step)]
        assert at == pytest.approx(100 * missing * 0.9**step / spread, rel=1e-6)
    last = next(n for n in range(500) if 100 * missing * 0.9 ** (n + 1) / spread <= 1)
    assert found["settled"] == last


def test_what_never_settles():
    samples = np.random.default_rng(0).normal(size=900)
    found = drift.warmup(lambda: Leaky(keep=1.0), samples, RATE, 1, 300, 300)
    assert found["settled"] is None


def test_a_real_pipeline_settles_on_the_bit():
    model = tone_model()
    samples = np.concatenate([one.samples for one in tones(takes=4)])
    found = drift.warmup(lambda: QuantizedRun(model, "auto"), samples, 8000, 160, 8000, 16000)
    assert found["settled"] < 30
    assert found["difference_percent"][-1] == 0


def test_drift_is_relative_to_the_range_of_float():
    samples = np.random.default_rng(0).normal(size=600)
    blocks = [(samples[:250], None), (samples[250:], None)]
    found = drift.drift(Leaky(error=0.01), Leaky(), blocks, points=6)
    outputs = Leaky().push(samples).raw
    assert found["steps"] == [100, 200, 300, 400, 500, 600]
    error = 0.01 * np.arange(1, 601)
    spread = outputs.max() - outputs.min()
    expected = [100 * np.sqrt(np.mean(part**2)) / spread for part in np.split(error, 6)]
    np.testing.assert_allclose(found["rms_percent"], expected, rtol=1e-6)
    assert max(drift.drift(Leaky(), Leaky(), blocks)["rms_percent"]) == 0


def test_too_little_to_see_anything():
    with pytest.raises(InputError, match="too few"):
        drift.warmup(Leaky, np.zeros(100), RATE, 1, 60, 60)
    with pytest.raises(InputError, match="too short"):
        drift.drift(Leaky(), Leaky(), [])


def test_sections_of_the_document():
    model = motion_model(dtype="int16")
    exact = Model(build("float32", metadata=model.metadata))
    found = over_time(Subject(model, "auto", exact), [motion([], 2.0), motion([], 30.0)])
    assert found["drift"]["steps"][-1] == 1500
    assert max(found["drift"]["rms_percent"]) < 1
    assert set(over_time(Subject(tone_model(), "auto"), tones())) == {"warmup"}
    assert over_time(Subject(model, "auto"), [motion([], 0.5)]) == {}
