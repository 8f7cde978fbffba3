"""Front ends on whole real recordings: Python, C and float64."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgernn.frontends.audio import AudioFrontEnd
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.recordings import read_recordings
from tests.edgernn.test_audio import band_energies, float_features
from tests.targets import test_audio, test_sensor

DATA = Path(os.environ.get("EDGERNN_DATA", Path(__file__).parents[2] / "../shared/data"))
AXES = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}: set EDGERNN_DATA"),
]


def test_every_spoken_digit():
    front_end = AudioFrontEnd(rate=8000, window=256, hop=80)
    run = test_audio.compiled(front_end, "host")
    recordings = read_recordings(DATA / "spoken-digits", front_end)
    assert len(recordings) >= 2000
    errors = []
    for recording in recordings:
        expected = front_end.stream().push(recording.samples)
        found, times = test_audio.frames_of(front_end, run, recording.samples, 8000)
        np.testing.assert_array_equal(found, expected.features)
        np.testing.assert_array_equal(times, expected.times)
        exact = float_features(recording.samples, front_end)
        heard = band_energies(recording.samples, front_end) > 1e-8
        errors.append(np.abs(expected.features * front_end.scale - exact)[heard].mean())
    assert np.mean(errors) < 0.002
    assert np.max(errors) < 0.05


@pytest.mark.parametrize("policy", ["interpolate", "reset"])
def test_whole_recordings_of_wrist_motion(policy):
    stages = (
        {"stage": "filter", "kind": "highpass", "cutoff": 0.5},
        {"stage": "magnitude", "channels": [0, 1, 2]},
        {"stage": "statistics", "window": 50, "hop": 10, "statistics": ["mean", "std", "range"]},
    )
    front_end = SensorFrontEnd(100.0, AXES, stages=stages, policy=policy)
    run = test_sensor.compiled(front_end, "host")
    for path in sorted((DATA / "activity").glob("s*_01_sw.csv")):
        (recording,) = read_recordings(path, front_end)
        samples = front_end.from_real(recording.samples)
        stream = front_end.stream()
        expected = stream.push(samples, recording.times)
        found = test_sensor.frames_of(front_end, run, samples, recording.times, 500)
        np.testing.assert_array_equal([f for f, _, _ in found], expected.features)
        np.testing.assert_array_equal([t for _, t, _ in found], expected.times)
        np.testing.assert_array_equal([b for _, _, b in found], expected.breaks)
        assert len(found) > 50
        assert 0 < stream.jitter < 5000
