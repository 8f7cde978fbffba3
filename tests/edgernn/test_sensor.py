"""The sensor front end against float64 formulas, and what it does about bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn import frontends
from edgernn.errors import InputError, StateError
from edgernn.frontends.sensor import SensorFrontEnd

RATE = 100.0
NAMES = ("x", "y", "z")
SOME = settings(max_examples=30, deadline=None)


def sensor(*stages, names=NAMES, **options):
    return SensorFrontEnd(RATE, names, stages=stages, **options)


def signal(n=500, channels=3, seed=0):
    random = np.random.default_rng(seed)
    t = np.arange(n)[:, np.newaxis] / RATE
    waves = np.sin(2 * np.pi * t * np.array([0.7, 3.0, 11.0])[:channels]) * 5
    return waves + random.normal(0, 0.5, (n, channels)) + np.array([9.8, -2.0, 0.1])[:channels]


def butterworth(x, kind, cutoff):
    """Second order, by the bilinear transform, in float64 and from a state of zeros."""
    k = np.tan(np.pi * cutoff / RATE)
    norm = 1 / (1 + np.sqrt(2) * k + k * k)
    b = (
        np.array([k * k, 2 * k * k, k * k]) * norm
        if kind == "lowpass"
        else np.array([1, -2, 1]) * norm
    )
    a = np.array([2 * (k * k - 1), 1 - np.sqrt(2) * k + k * k]) * norm
    y = np.zeros_like(x)
    for t in range(len(x)):
        past = [(x[t - i] if t >= i else 0 * x[0]) for i in range(3)]
        back = [(y[t - i] if t >= i else 0 * x[0]) for i in (1, 2)]
        y[t] = b @ past - a @ back
    return y


def test_samples_pass_through():
    np.testing.assert_allclose(sensor().features(signal()), signal(), atol=2.0**-12)


@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
@pytest.mark.parametrize("cutoff", [0.01, 0.3, 5.0, 45.0])
def test_filters(kind, cutoff):
    x = signal(3000)
    got = sensor({"stage": "filter", "kind": kind, "cutoff": cutoff}).features(x)
    np.testing.assert_allclose(got, butterworth(x, kind, cutoff), atol=0.005)


@pytest.mark.parametrize("cutoff", [0.02, 0.5])
def test_a_filter_comes_to_rest(cutoff):
    x = np.full((60_000, 1), 3.7)
    high, low = (
        sensor({"stage": "filter", "kind": kind, "cutoff": cutoff}, names=("x",)).features(x)
        for kind in ("highpass", "lowpass")
    )
    assert np.abs(high[-1000:]).max() <= 2 * 2.0**-12
    assert np.abs(low[-1000:] - 3.7).max() <= 2 * 2.0**-12


def test_standardisation_is_learned():
    front_end = sensor().learn([signal(seed=1), signal(seed=2)])
    features = np.concatenate([front_end.features(signal(seed=s)) for s in (1, 2)])
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=2e-3)
    assert frontends.read(front_end.config()) == front_end


def test_magnitude_difference_and_select():
    x = signal()
    got = sensor(
        {"stage": "magnitude", "channels": [0, 2]}, {"stage": "select", "channels": [3, 1]}
    )
    length = np.hypot(x[:, 0], x[:, 2])
    np.testing.assert_allclose(got.features(x), np.stack([length, x[:, 1]], axis=1), atol=2.0**-11)
    alone = sensor({"stage": "magnitude", "channels": [0, 2], "alone": True})
    np.testing.assert_allclose(alone.features(x)[:, 0], length, atol=2.0**-11)
    change = sensor({"stage": "difference"}).features(x)
    np.testing.assert_allclose(change[1:], np.diff(x, axis=0), atol=2.0**-11)
    assert not change[0].any()


def test_statistics():
    names = ["mean", "std", "min", "max", "range", "rms", "zero_crossings"]
    x = signal() - [9.8, -2, 0]
    stage = {"stage": "statistics", "window": 50, "hop": 20, "statistics": names}
    front_end = sensor(stage)
    assert front_end.frame_shape == (21,)
    assert front_end.frame_rate == 5.0
    frames = front_end.stream().push(x)
    windows = [x[i : i + 50] for i in range(0, 451, 20)]
    expected = [
        np.stack(
            [
                w.mean(0), w.std(0), w.min(0), w.max(0), np.ptp(w, 0),
                np.sqrt((w * w).mean(0)), (np.diff(np.rint(w * 4096) < 0, axis=0)).sum(0),
            ], axis=1,
        ).ravel()
        for w in windows
    ]  # fmt: skip
    np.testing.assert_allclose(frames.features * front_end.scale, expected, atol=2.0**-10)
    np.testing.assert_array_equal(frames.times, [(50 + 20 * i) * 10_000 for i in range(23)])


EVERYTHING = (
    {"stage": "filter", "kind": "highpass", "cutoff": 0.5},
    {"stage": "magnitude", "channels": [0, 1, 2]},
    {"stage": "difference"},
    {"stage": "filter", "kind": "lowpass", "cutoff": 20},
    {"stage": "statistics", "window": 7, "hop": 3, "statistics": ["mean", "std", "zero_crossings"]},
    {"stage": "standardise", "mean": [0.1] * 12, "std": [0.5] * 12},
)


def uneven(n, seed=0, period=10_000):
    """Times with jitter, gaps, repeats, and steps of the clock; in microseconds."""
    random = np.random.default_rng(seed)
    steps = np.rint(random.normal(period, period / 20, n)).astype(np.int64)
    steps[random.random(n) < 0.02] *= 7
    steps[random.random(n) < 0.01] *= -1
    steps[random.random(n) < 0.01] = 0
    steps[random.random(n) < 0.004] = 3_600_000_000
    steps[random.random(n) < 0.004] = -3_600_000_000
    return np.cumsum(steps)


@SOME
@given(
    st.sampled_from(["interpolate", "hold", "reset"]), st.integers(0, 1 << 20), st.booleans(),
    st.lists(st.integers(0, 400), max_size=8), st.booleans(),
)  # fmt: skip
def test_any_split_gives_the_same_frames(policy, seed, timed, cuts, through_blobs):
    front_end = sensor(*EVERYTHING, policy=policy)
    x, times = signal(400, seed=seed), uneven(400, seed) if timed else None
    x[5, 1] = np.nan
    whole = front_end.stream()
    expected = whole.push(x, times)
    stream, parts = front_end.stream(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 400], strict=True):
        parts.append(stream.push(x[start:end], None if times is None else times[start:end]))
        if through_blobs:
            saved, stream = stream.save(), front_end.stream()
            stream.restore(saved)
    for name in ("features", "times", "breaks"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(expected, name))
    assert stream.counters == whole.counters


def test_uneven_times_are_interpolated_onto_the_grid():
    random = np.random.default_rng(0)
    times = np.cumsum(np.rint(random.uniform(5000, 15000, 400)).astype(np.int64))
    slope = times[:, np.newaxis] * np.array([1e-6, -2e-6, 5e-7])
    stream = sensor().stream()
    frames = stream.push(slope, times)
    np.testing.assert_array_equal(frames.times, times[0] + 10_000 * np.arange(len(frames)))
    expected = frames.times[:, np.newaxis] * np.array([1e-6, -2e-6, 5e-7])
    np.testing.assert_allclose(frames.features * 2.0**-12, expected, atol=2.0**-11)
    assert 2000 < stream.jitter < 3000


@pytest.mark.parametrize("policy", ["interpolate", "hold", "reset"])
def test_a_gap(policy):
    times = np.concatenate([np.arange(10), np.arange(60, 70)]) * 10_000
    x = np.repeat(np.arange(20.0)[:, np.newaxis], 3, axis=1)
    stream = sensor(policy=policy).stream()
    frames = stream.push(x, times)
    counters = stream.counters
    assert (counters["gaps"], counters["missed"]) == (1, 50)
    assert counters["largest_gap_us"] == 510_000
    column = frames.features[:, 0] * 2.0**-12
    if policy == "reset":
        np.testing.assert_array_equal(column, np.arange(20))
        np.testing.assert_array_equal(np.flatnonzero(frames.breaks), [10])
    else:
        assert len(column) == 70
        assert not frames.breaks.any()
        middle = 9.0 if policy == "hold" else 9.0 + 25 / 51
        assert column[34] == pytest.approx(middle, abs=1e-3)


def test_clock_jumps_begin_anew_and_late_samples_are_dropped():
    times = np.array([0, 10, 20, 15, 20, 30, 7_200_000, 7_200_010, 50, 60]) * 1000
    stream = sensor(names=("x",)).stream()
    frames = stream.push(np.arange(10.0)[:, np.newaxis], times)
    np.testing.assert_array_equal(frames.features[:, 0] >> 12, [0, 1, 2, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(np.flatnonzero(frames.breaks), [4, 6])
    assert (stream.counters["late"], stream.counters["clock_jumps"]) == (2, 2)


def test_values_that_are_no_numbers_are_held_and_counted():
    x = np.array([[1.0], [np.nan], [np.inf], [4.0]])
    stream = sensor(names=("x",)).stream()
    first, second = stream.push(x[:2]), stream.push(x[2:])
    got = np.concatenate([first.features, second.features])[:, 0] >> 12
    np.testing.assert_array_equal(got, [1, 1, 1, 4])
    assert stream.counters["bad_values"] == 2


def test_integers_of_a_sensor():
    front_end = sensor(names=("x",), sample_scale=9.81 / 16384)
    raw = np.array([[16384], [-8192], [1 << 30]], np.int32)
    got = front_end.stream().push(raw).features[:, 0] * front_end.scale
    np.testing.assert_allclose(got[:2], [9.81, -4.905], atol=2.0**-11)
    assert got[2] == ((1 << 28) - 1) * front_end.scale


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 0}, "rate 0 is not"),
        ({"names": "xyz"}, "names is 'xyz' and must be a list"),
        ({"policy": "guess"}, "'guess' is not one of interpolate"),
        ({"stages": [{"stage": "fft"}]}, "'fft' is not one of standardise"),
        ({"stages": [{"stage": "filter", "kind": "lowpass", "cutoff": 50}]}, "cutoff 50 Hz"),
        ({"stages": [{"stage": "filter", "cutoff": 5}]}, "field 'kind' is missing"),
        ({"stages": [{"stage": "magnitude", "channels": [3]}]}, "no channel 3, only 3"),
        ({"stages": [{"stage": "standardise", "mean": [0], "std": [1]}]}, "for 3 channels"),
        ({"stages": [{"stage": "standardise", "mean": [0] * 3, "std": [0] * 3}]}, "every std"),
        ({"fraction": "x"}, "fraction is 'x' and must be a whole number"),
        ({"stages": [5]}, "a value of stages is 5 and must be a table"),
        ({"max_gap": float("nan")}, "max_gap is nan and must be a number"),
        ({"speed": 3}, "no field 'speed'; its fields are rate, names"),
    ],
)
def test_wrong_fields_are_named(options, words):
    with pytest.raises(InputError, match=words):
        frontends.read({"kind": "sensor", "rate": RATE, "names": NAMES, **options})


def test_wrong_samples_and_states_are_refused():
    stream = sensor().stream()
    with pytest.raises(InputError, match=r"shape \(4, 2\)"):
        stream.push(np.zeros((4, 2)))
    with pytest.raises(InputError, match="4 samples with 3 times"):
        stream.push(np.zeros((4, 3)), np.zeros(3, np.int64))
    with pytest.raises(StateError, match="no saved state"):
        stream.restore(b"[1, 2")


def test_readings_minutes_apart_are_no_steps_of_the_clock():
    front_end = SensorFrontEnd(1 / 300, ("t",))
    times = np.arange(6, dtype=np.int64) * 300_000_000
    times[4:] += 1_000_000_000  # and a gap is still one
    stream = front_end.stream()
    frames = stream.push(np.arange(6.0), times)
    assert stream.counters["clock_jumps"] == 1
    np.testing.assert_array_equal(np.flatnonzero(frames.breaks), [4])
    np.testing.assert_allclose(frames.features[:, 0] * front_end.scale, range(6), atol=1e-3)
