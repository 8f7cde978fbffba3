"""Other speakers, rooms and microphones out of the recordings there are.

What changes a word's samples (speed, tempo, loudness, noise) is done to the samples; what a vocal
tract or a microphone does to a spectrum is done to the features, where it is a shift or an offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Random = np.random.Generator

_GRAIN: Final = 0.032
"""Seconds of a grain of `stretch`."""
_FADE: Final = 0.01
"""Seconds over which takes are spliced."""
_SEARCH: Final = 0.01
"""Seconds by which a grain may move to go on smoothly."""


@dataclass(frozen=True)
class AudioAugmentation:
    """How far recordings are altered; 0 for not at all.

    Args:
        speed: most that a recording is played faster or slower, which moves its pitch along.
        tempo: how much its tempo varies at the same pitch, standard deviation of the logarithm.
        vocal_tract: most by which the frequency axis is scaled: a longer or shorter vocal tract.
            Jaitly and Hinton, "Vocal Tract Length Perturbation improves speech recognition", 2013.
        formants: how far the frequency axis is bent, as a share of all bands, standard deviation.
        voices: share of words that a synthetic voice says, if there are any.
        splices: share of words whose first part is of one take and whose second of another.
        equaliser: of a random filter, standard deviation in nepers.
        quieter, louder: range of loudness, dB.
        snr_low, snr_high: range of noise below the words, dB.
        band_masks, band_width: SpecAugment's masks in frequency, widths as a share of all bands.
        time_masks, time_width: masks in time, widths in seconds.
            Park et al., "SpecAugment", Interspeech 2019.
    """

    speed: float = 0.3
    tempo: float = 0.15
    vocal_tract: float = 0.12
    formants: float = 0.03
    voices: float = 0.4
    splices: float = 0.7
    equaliser: float = 1.0
    quieter: float = 10.0
    louder: float = 10.0
    snr_low: float = 5.0
    snr_high: float = 45.0
    band_masks: int = 2
    band_width: float = 0.2
    time_masks: int = 2
    time_width: float = 0.08


def vary_word(samples: Array, rate: float, how: AudioAugmentation, random: Random) -> Array:
    """One word said by somebody else: float32 samples, of another length."""
    faster = random.uniform(1 - how.speed, 1 + how.speed)
    at = np.arange(int(len(samples) / faster)) * faster
    said = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    if how.tempo:
        said = stretch(said, rate, how.tempo, random)
    louder: Array = said * np.float32(10 ** (random.uniform(-3, 3) / 20))
    return louder


def splice(first: Array, second: Array, rate: float, random: Random) -> Array:
    """The beginning of one take of a word and the end of another, equally loud."""
    share = random.uniform(0.3, 0.7)
    fade = int(_FADE * rate)
    begin, end = first[: int(share * len(first))], second[int(share * len(second)) - fade :]
    if min(len(begin), len(end)) <= 2 * fade:
        return first
    loud = [np.sqrt(np.mean(np.square(take)) + 1e-9) for take in (first, second)]
    end = end * np.float32(loud[0] / loud[1])
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    between = begin[-fade:] * (1 - ramp) + end[:fade] * ramp
    return np.concatenate([begin[:-fade], between, end[fade:]])


def stretch(samples: Array, rate: float, amount: float, random: Random) -> Array:
    """Another and varying tempo at the same pitch: overlapping grains, moved to fit each other.

    Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA)", 1993.
    """
    half, search = int(_GRAIN * rate / 2), int(_SEARCH * rate)
    size, length = 2 * half, len(samples)
    if length < 2 * size + search:
        return samples
    most = 4 * (length // half) + 8
    wave = np.interp(np.arange(most), np.linspace(0, most, 6), random.normal(size=6))
    pace = half * np.clip(np.exp(amount * (0.7 * random.normal() + wave)), 0.5, 2.0)
    window = np.hanning(size + 1)[:size].astype(np.float32)
    made = np.zeros(most * half + size, np.float32)
    position, before, count = 0.0, -1, 0
    while position + size + search < length and count < most:
        start = int(position)
        following = samples[before + half : before + half + size] if before >= 0 else samples[:0]
        if len(following) == size:
            low = max(0, start - search)
            near = samples[low : start + search + size]
            start = low + int(np.correlate(near, following, "valid").argmax())
        made[count * half : count * half + size] += samples[start : start + size] * window
        position, before, count = position + pace[count], start, count + 1
    return made[: (count + 1) * half]


def noise(length: int, slope: float, random: Random) -> Array:
    """Noise of unit power whose spectrum falls with `slope`: 0 is white, 1 pink, 2 brown."""
    white = random.standard_normal(length).astype(np.float32)
    if slope == 0:
        return white
    spectrum = np.fft.rfft(white)
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-slope / 2)
    coloured = np.fft.irfft(spectrum, length)
    unit: Array = (coloured / (coloured.std() + 1e-12)).astype(np.float32)
    return unit


def vary_spectrum(features: Array, how: AudioAugmentation, random: Random) -> Array:
    """Another vocal tract and another microphone: float32 log-mel features `(frames, bands)`."""
    bands = features.shape[1]
    place = np.arange(bands) / bands
    scale = random.uniform(1 - how.vocal_tract, 1 + how.vocal_tract)
    waves = (np.sin(np.pi * k * place) * random.normal() * w for k, w in _BENDS)
    at = np.clip(bands * (place * scale + how.formants * sum(waves)), 0, bands - 1)
    below = np.minimum(at.astype(np.int64), bands - 2)
    share = (at - below).astype(np.float32)
    moved = features[:, below] * (1 - share) + features[:, below + 1] * share
    curves = (
        np.cos(np.pi * k * place + random.uniform(0, 2 * np.pi) * (k > 1)) * random.normal() / k
        for k in range(1, 5)
    )
    result: Array = moved + np.float32(how.equaliser) * np.asarray(sum(curves), np.float32)
    return result


_BENDS: Final = ((1, 1.0), (2, 0.7), (3, 0.4))
"""Waves that bend the frequency axis, and how much of each."""


def mask(features: Array, frame_rate: float, how: AudioAugmentation, random: Random) -> Array:
    """SpecAugment: bands and moments replaced by the mean."""
    made = features.copy()
    frames, bands = made.shape
    mean = made.mean()
    for _ in range(how.band_masks):
        width = int(random.integers(0, max(1, int(how.band_width * bands)) + 1))
        start = int(random.integers(0, bands - width + 1))
        made[:, start : start + width] = mean
    for _ in range(how.time_masks):
        width = int(random.integers(0, max(1, int(how.time_width * frame_rate)) + 1))
        start = int(random.integers(0, max(1, frames - width + 1)))
        made[start : start + width] = mean
    return made
