"""Backgrounds of sound, each of power 1: white, pink, and babble of many voices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

VOICES = 6
"""Of babble."""


def white(random: np.random.Generator, length: int) -> Array:
    """The same power at every frequency."""
    return random.standard_normal(length)


def pink(random: np.random.Generator, length: int) -> Array:
    """Power that halves with every octave, down to the lowest frequency of the block."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    spectrum[0] = 0
    return unit_power(np.fft.irfft(spectrum, length))


def babble(
    random: np.random.Generator,
    length: int,
    clips: Sequence[npt.NDArray[Any]],
    voices: int = VOICES,
) -> Array:
    """Several voices at once, each saying clip after clip."""
    total = np.zeros(length)
    for _ in range(voices):
        # A voice is in the middle of something when the block begins.
        done = -int(random.integers(1, max(len(clip) for clip in clips) + 1))
        while done < length:
            clip = clips[int(random.integers(len(clips)))]
            first, last = max(done, 0), min(done + len(clip), length)
            if last > first:
                total[first:last] += clip[first - done : last - done]
            done += len(clip)
    return unit_power(total)


def recorded(random: np.random.Generator, length: int, samples: npt.NDArray[Any]) -> Array:
    """A recording from a random place on, and from its start again when it ends."""
    start = int(random.integers(len(samples)))
    places = (start + np.arange(length)) % len(samples)
    return unit_power(samples[places].astype(np.float64))


def unit_power(samples: Array) -> Array:
    """Scaled to a mean square of 1; silence stays silence."""
    power = float(np.mean(np.square(samples))) if len(samples) else 0.0
    return samples / np.sqrt(power) if power > 0 else samples
