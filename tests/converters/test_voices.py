"""Synthetic voices: many takes of a word, the same for the same request."""

import numpy as np
import pytest

from converters.training import voices
from converters.training.voices import spoken
from edgernn.errors import InputError, MissingDependencyError

RATE = 8000


@pytest.fixture(scope="module")
def takes():
    return spoken(["7", "a_very_long_label"], "en", RATE, seed=3, count=12)


def test_a_request_is_answered_the_same_each_time(takes):
    again = spoken(["7", "a_very_long_label"], "en", RATE, seed=3, count=12)
    assert list(again) == list(takes)
    for label, said in takes.items():
        assert len(said) == 12
        for one, other in zip(said, again[label], strict=True):
            np.testing.assert_array_equal(one, other)


def test_takes_are_of_many_speakers(takes):
    assert len({take.tobytes() for take in takes["7"]}) == 12
    assert len({len(take) for take in takes["7"]}) > 6


def test_what_is_said_is_the_label_read_aloud(takes):
    seven = np.median([len(take) for take in takes["7"]]) / RATE
    sentence = np.median([len(take) for take in takes["a_very_long_label"]]) / RATE
    assert 0.25 < seven < 0.9  # "seven": two syllables
    assert 1.5 * seven < sentence < 2.0  # not spelled, and the underscores are not said


def test_silence_around_a_word_is_cut_off(takes):
    for take in takes["7"]:
        heard = np.flatnonzero(np.abs(take.astype(float)) > 0.01 * np.abs(take.astype(float)).max())
        assert heard[0] < 0.03 * RATE
        assert heard[-1] > len(take) - 0.03 * RATE
        assert take.dtype == np.int16


def test_the_rate_is_the_one_asked_for(takes):
    fast = spoken(["7"], "en", 2 * RATE, seed=3, count=12)["7"]
    for slow, quick in zip(takes["7"], fast, strict=True):
        assert abs(len(quick) / 2 - len(slow)) < 3
        # The same word: at twice the rate every second sample is about the same.
        n = min(len(slow), len(quick) // 2) - 4
        assert np.corrcoef(slow[:n], quick[: 2 * n : 2])[0, 1] > 0.7


@pytest.mark.parametrize(
    ("labels", "language", "named"),
    [
        (["7"], "nowhere", "no voices for 'nowhere': use one of"),
        (["__"], "en", "'__' cannot be said"),
    ],
)
def test_what_cannot_be_said_is_named_in_one_line(labels, language, named):
    with pytest.raises(InputError, match=named) as raised:
        spoken(labels, language, RATE, seed=0, count=1)
    assert "\n" not in str(raised.value)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(voices, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"edgernn\[voices\]"):
        spoken(["7"], "en", RATE, seed=0)
