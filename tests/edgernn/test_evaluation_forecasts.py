"""Errors of forecasts against sums made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.evaluation import document, forecasts
from edgernn.evaluation.runs import FloatRun, QuantizedRun
from edgernn.evaluation.subject import Subject
from edgernn.labelled import Labelled
from edgernn.model import Model
from tests.edgernn.motions import FRONT_END, motion_model
from tests.edgernn.stepfile import build

AHEAD, SEASON = 5, 100  # samples, at 50 Hz
HORIZON = forecasts.Horizon((0, 1, 2, 3), AHEAD / 50, SEASON / 50)


def wave(clock=False):
    random = np.random.default_rng(0)
    at = np.arange(600)[:, np.newaxis]
    samples = 0.8 * np.sin(2 * np.pi * at / SEASON + np.arange(4)) + random.normal(
        0, 0.05, (600, 4)
    )
    times = np.arange(600, dtype=np.int64) * 20_000 if clock else None
    return Labelled("w", np.round(samples, 3), 50.0, "x", times=times)


@pytest.mark.parametrize("clock", [False, True])
def test_all_are_compared_at_the_same_moments(clock):
    model, recording = motion_model(None, "int16"), wave(clock)
    exact = Model(build("float32", metadata=model.metadata))
    runs = [QuantizedRun(model, "auto"), FloatRun(exact, model, "auto")]
    found = forecasts.errors(runs, FRONT_END, [recording], HORIZON)
    x = FRONT_END.features(recording.samples).astype(float)
    then = np.arange(SEASON - AHEAD, len(x) - AHEAD)  # a season before, and the outcome, are known
    h, answers = np.zeros(4), []
    for row in x:
        h = np.tanh(row + h)
        answers.append(1 / (1 + np.exp(-h)))
    actual = x[then + AHEAD]
    expected = {
        "persistence": x[then] - actual,
        "seasonal": x[then + AHEAD - SEASON] - actual,
        "float": np.array(answers)[then] - actual,
        "quantized": np.array(answers)[then] - actual,
    }
    assert set(found) == set(expected)
    for name, errors in expected.items():
        off = 0.01 if name == "quantized" else 1e-4
        np.testing.assert_allclose(found[name], errors, atol=off)
    told = forecasts.to_dict(found, HORIZON, "g")
    assert told["count"] == len(then)
    assert told["mae"]["seasonal"] == pytest.approx(np.abs(expected["seasonal"]).mean(), abs=1e-4)
    rms = np.sqrt(np.mean(expected["persistence"] ** 2))
    assert told["rmse"]["persistence"] == pytest.approx(rms, abs=1e-4)
    assert told["horizon_seconds"] == 0.1


def test_one_element_and_a_later_start():
    horizon = replace(HORIZON, elements=(2,), after=0.5)
    found = forecasts.errors([], FRONT_END, [wave()], horizon)
    x = FRONT_END.features(wave().samples).astype(float)[:, 2:3]
    assert found["persistence"].shape[1] == 1
    assert len(found["persistence"]) == pytest.approx(600 / 2 - AHEAD, abs=1)
    n = len(found["persistence"])
    np.testing.assert_allclose(found["persistence"], (x[:-AHEAD] - x[AHEAD:])[-n:], atol=1e-6)


def test_there_is_no_season_in_a_short_recording():
    found = forecasts.errors([], FRONT_END, [wave()], replace(HORIZON, season=60.0))
    assert set(found) == {"persistence"}


def test_what_the_gap_swallowed_is_not_compared():
    recording = wave(clock=True)
    front_end = replace(FRONT_END, policy="reset", max_gap=0.5)
    times = recording.times.copy()
    times[300:] += 10_000_000
    found = forecasts.errors(
        [], front_end, [replace(recording, times=times)], replace(HORIZON, season=99.0)
    )
    assert len(found["persistence"]) == 2 * (300 - AHEAD)


def test_errors_are_in_the_units_of_the_samples():
    learned = FRONT_END.learn([wave().samples])
    plain = forecasts.errors([], FRONT_END, [wave()], HORIZON)
    scaled = forecasts.errors([], learned, [wave()], HORIZON)
    np.testing.assert_allclose(scaled["persistence"], plain["persistence"], atol=2e-3)


def test_how_far_ahead_a_model_looks():
    anomaly = {"kind": "anomaly", "threshold": 1.0, "horizon": 10}
    horizon = forecasts.horizon_of(motion_model(anomaly), None)
    assert (horizon.seconds, horizon.elements) == (0.2, (0, 1, 2, 3))
    assert forecasts.horizon_of(motion_model(anomaly), 0.4).seconds == 0.4
    with pytest.raises(InputError, match="--horizon 3600"):
        forecasts.horizon_of(motion_model(None), None)


def test_too_short_for_an_outcome():
    short = replace(wave(), samples=wave().samples[:3])
    subject = Subject(motion_model(None), "auto")
    with pytest.raises(InputError, match="too short for a single forecast"):
        document.forecast_document(
            subject, [short], HORIZON, "", lambda what: lambda done, total: None
        )
