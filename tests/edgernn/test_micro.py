"""The micro front end against the package that computes it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edgernn import frontends
from edgernn.errors import InputError, MissingDependencyError, UnsupportedError
from tests.edgernn.test_audio import speech_like


@pytest.fixture
def front_end():
    pytest.importorskip("pymicro_features")
    return frontends.read({"kind": "micro"})


def of_the_package(samples):
    import pymicro_features

    micro = pymicro_features.MicroFrontend()
    hops = [samples[i : i + 160] for i in range(0, len(samples) - 159, 160)]
    found = [micro.process_samples(hop.tobytes()).features for hop in hops]
    return np.array([features for features in found if features])


@pytest.mark.parametrize("level", [30, 3000])
def test_features_are_those_of_the_package(front_end, level):
    samples = speech_like(16000, 0.5, level)
    expected = of_the_package(samples)
    assert expected.shape == (48, 40)
    assert expected.std() > 1
    got = front_end.features(samples)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("size", [1, 97, 160, 501])
def test_any_split_gives_the_same_frames(front_end, size):
    samples = speech_like(16000, 0.1)
    expected, stream = front_end.stream().push(samples), front_end.stream()
    parts = [stream.push(samples[i : i + size]) for i in range(0, len(samples), size)]
    for name in ("features", "times", "breaks"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(expected, name))


def test_times_are_those_of_the_last_sample(front_end):
    frames = front_end.stream().push(np.zeros(900, np.int16))
    np.testing.assert_array_equal(frames.times, [30_000, 40_000, 50_000])
    assert frames.features.shape == (3, 40)


def test_reset_forgets_the_noise(front_end):
    stream, samples = front_end.stream(), speech_like(16000, 0.3)
    first = stream.push(samples)
    stream.push(samples[:333])
    assert not np.array_equal(stream.push(samples).features[:28], first.features)
    stream.reset()
    again = stream.push(samples)
    np.testing.assert_array_equal(again.features, first.features)
    np.testing.assert_array_equal(again.times, first.times)


def test_configuration_comes_back(front_end):
    assert frontends.read(front_end.config()) == front_end
    with pytest.raises(InputError, match="there is no field 'bands'"):
        frontends.read({"kind": "micro", "bands": 20})


def test_what_it_cannot_do_is_refused(front_end):
    stream = front_end.stream()
    with pytest.raises(InputError, match="takes int16"):
        stream.push(np.zeros(160))
    for attempt in (stream.save, lambda: stream.restore(b"")):
        with pytest.raises(UnsupportedError, match=r"cannot be saved.*kind 'audio'"):
            attempt()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymicro_features", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgernn\[micro\]'"):
        frontends.read({"kind": "micro"})
