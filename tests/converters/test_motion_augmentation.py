"""Varied motion is still motion: what a body can do and a sensor can see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.training.augment.motion import (
    MotionAugmentation,
    Triple,
    rotation,
    triples,
    vary_motion,
    warped,
)

NAMES = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")
STILL = MotionAugmentation(rotation=0, mirror=0, scale=0, jitter=0, warp=0)
STEP = 0.001


def tumbling(count=2000):
    """Gravity as a tumbling body sees it, and how it turns: d gravity = -turning x gravity."""
    seconds = np.arange(count) * STEP
    turning = np.stack([np.sin(seconds), 0.7 * np.cos(2 * seconds), 0.3 + 0 * seconds], axis=1)
    gravity = np.empty((count, 3))
    gravity[0] = (0.3, -0.5, 9.7)
    for k in range(count - 1):
        gravity[k + 1] = gravity[k] - STEP * np.cross(turning[k], gravity[k])
    return np.concatenate([gravity, turning], axis=1).astype(np.float64)


def test_triples_are_found_by_their_names():
    assert triples(NAMES) == [Triple((0, 1, 2), False), Triple((3, 4, 5), True)]
    assert triples(["time", "accZ", "accX", "accY"]) == [Triple((2, 3, 1), False)]
    assert triples(["x", "y", "temperature"]) == []


@pytest.mark.parametrize("mirror", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_gravity_still_turns_as_the_gyroscope_says(mirror, seed):
    how = MotionAugmentation(rotation=180, mirror=mirror, scale=0, jitter=0, warp=0)
    random = np.random.default_rng(seed)
    varied, _ = vary_motion(tumbling(), np.zeros(2000), triples(NAMES), how, random)
    gravity, turning = varied[:, :3].astype(float), varied[:, 3:].astype(float)
    change = np.diff(gravity, axis=0) / STEP
    np.testing.assert_allclose(change, -np.cross(turning, gravity)[:-1], atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(gravity, axis=1), 9.717, rtol=2e-3)
    assert np.abs(varied - tumbling()).max() > 1


@given(st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_a_rotation_is_one(seed, degrees):
    turned = rotation(degrees, np.random.default_rng(seed))
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turned) == pytest.approx(1)


def test_rotations_have_the_angle_that_is_asked_for():
    random = np.random.default_rng(0)
    cosines = [(np.trace(rotation(30.0, random)) - 1) / 2 for _ in range(2000)]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    assert np.sqrt(np.mean(angles**2)) == pytest.approx(30, rel=0.1)
    # All orientations alike: the mean angle of Haar's measure is pi/2 + 2/pi.
    cosines = [(np.trace(rotation(180.0, random)) - 1) / 2 for _ in range(2000)]
    assert np.mean(np.arccos(np.clip(cosines, -1, 1))) == pytest.approx(np.pi / 2 + 2 / np.pi, 0.05)


@given(st.integers(1, 400), st.floats(0, 0.5), st.integers(0, 1000))
def test_a_pace_goes_from_the_first_frame_to_the_last_and_never_back(count, amount, seed):
    at = warped(count, amount, np.random.default_rng(seed))
    assert at[0] == 0
    assert at[-1] == pytest.approx(count - 1)
    assert np.all(np.diff(at) >= 0)


def test_truth_goes_with_the_frames():
    truth = np.repeat([0, 1, 2, 1], 50)
    frames = np.repeat(truth[:, np.newaxis], 6, axis=1).astype(float)
    how = MotionAugmentation(rotation=0, mirror=0, scale=0, jitter=0, warp=0.3)
    random = np.random.default_rng(4)
    varied, said = vary_motion(frames, truth, triples(NAMES), how, random)
    assert len(varied) == len(said) != len(truth)
    assert said[np.flatnonzero(np.diff(said, prepend=-1))].tolist() == [0, 1, 2, 1]
    assert np.abs(varied[:, 0] - said).max() <= 0.5 + 1e-5


def test_nothing_is_altered_that_shall_not_be():
    frames = tumbling(100)
    varied, truth = vary_motion(
        frames, np.arange(100), triples(NAMES), STILL, np.random.default_rng(1)
    )
    np.testing.assert_allclose(varied, frames, rtol=1e-6)
    np.testing.assert_array_equal(truth, np.arange(100))


def test_noise_and_scale_are_as_large_as_asked():
    frames = np.random.default_rng(0).normal(size=(20000, 6)) * (1, 2, 3, 4, 5, 6)
    how = MotionAugmentation(rotation=0, mirror=0, scale=0, jitter=0.1, warp=0)
    varied, _ = vary_motion(frames, frames, triples(NAMES), how, np.random.default_rng(1))
    np.testing.assert_allclose((varied - frames).std(axis=0), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.05)
    how = MotionAugmentation(rotation=0, mirror=0, scale=0.2, jitter=0, warp=0)
    sizes = [
        vary_motion(frames[:10], frames[:10], triples(NAMES), how, np.random.default_rng(k))[0]
        / frames[:10]
        for k in range(300)
    ]
    assert np.log([one[0, 0] for one in sizes]).std() == pytest.approx(0.2, rel=0.15)
    assert np.allclose([one[:, :3].std() for one in sizes], 0, atol=1e-5)  # a triple is one sensor
