"""Words on endless streams: what a keyword model is trained on.

A row is a stream of sections, each somebody in a room: words with pauses, over noise. After a word
its class is to be said for a moment; while it is being said, its class or background: who says
another at the half of a word has decided too early; else it is background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from converters.training.augment.audio import (
    AudioAugmentation,
    mask,
    noise,
    splice,
    vary_spectrum,
    vary_word,
)
from converters.training.fitting import Batch
from edgernn.evaluation.noise import babble, recorded
from edgernn.frontends.audio import AudioFrontEnd

Array = npt.NDArray[Any]
Random = np.random.Generator

BACKGROUND: Final = "background"
"""The first label: none of the words."""

EARLY: Final = 0.08
LATE: Final = 0.2
FADING: Final = 0.1
"""Seconds before a word's end and after it when it is to be said, and then when it may be."""
_PAUSE: Final = (0.3, 0.8)
"""Seconds between words."""
_LULLS: Final = 0.1
_LULL: Final = (1.0, 3.0)
"""Share of pauses that are longer, so long that gain control lifts what is behind the words; by so
many seconds."""
_CROWD: Final = 0.25
_VOICES: Final = (3, 7)
"""Share of backgrounds that are babble, where none are recorded, and how many voices it has."""
_SECTION: Final = 4.0
"""Seconds of a section, at least."""
_CALM: Final = 0.3
"""Weight of background: there is much more of it."""
_HASTE: Final = 1.0
"""Weight of a word while it is being said."""
_FRESH: Final = 0.2
"""Share of windows at which a stream begins anew: somebody speaks as soon as the device listens."""
_ONSET: Final = (-1, 3)
"""Frames before a word at which it does; one too late, as recordings are that were trimmed."""
_AGAIN: Final = 4
"""Epochs that hear the same words."""


@dataclass(frozen=True)
class Words:
    """What may be said: samples of each clip, and its class, 0 for words that are background.

    `share` is how much of what is said is a keyword, if there are other words; `backgrounds` are
    recordings of what else is heard; `voices` say the same words, but are synthetic.
    """

    clips: Sequence[Array]
    classes: Sequence[int]
    rate: float
    backgrounds: Sequence[Array] = ()
    share: float = 0.5
    voices: Words | None = None

    @cached_property
    def crowd(self) -> list[Array]:
        """What babble is made of: words that are no keywords, or of all if there are no others."""
        spoken = [one for one in (self, self.voices) if one is not None]
        said = [pair for one in spoken for pair in zip(one.clips, one.classes, strict=True)]
        return [clip for clip, c in said if not c] or [clip for clip, _ in said]

    def draw(self, random: Random) -> tuple[Array, int]:
        """A clip and its class."""
        known = [i for i, c in enumerate(self.classes) if c]
        others = [i for i, c in enumerate(self.classes) if not c]
        chosen = known if not others or random.random() < self.share else others
        place = chosen[int(random.integers(len(chosen)))]
        return self.clips[place], self.classes[place]

    def other(self, word: int, random: Random) -> Array:
        """Any clip of this class."""
        alike = [i for i, c in enumerate(self.classes) if c == word]
        return self.clips[alike[int(random.integers(len(alike)))]]


@dataclass(frozen=True)
class Section:
    """Features `(frames, bands)`, and what is to be said at each: class and weight.

    A class of `-c` is c or background. `first` is the frame with which the first word begins,
    `level` that of gain control behind the last frame.
    """

    features: Array
    classes: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    first: int
    level: float | None = None

    def since(self, start: int) -> Section:
        """From a frame on."""
        return Section(
            self.features[start:],
            self.classes[start:],
            self.weights[start:],
            max(0, self.first - start),
        )


def section(
    words: Words, front_end: AudioFrontEnd, how: AudioAugmentation, random: Random
) -> Section:
    """Somebody in a room for a few seconds, as a microphone without faults hears it: bands before
    any gain control."""
    samples, ends = _say(words, how, random)
    heard = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    features = front_end.ungained.features(heard)
    times = (np.arange(len(features)) + 1) / front_end.frame_rate  # about the end of each window
    classes = np.zeros(len(features), np.int64)
    weights = np.full(len(features), _CALM, np.float32)
    for start, end, word in ends:
        while_said = (times > start) & (times <= end - EARLY)
        classes[while_said], weights[while_said] = -word, _HASTE
        said = (times > end - EARLY) & (times <= end + LATE)
        classes[said], weights[said] = word, 1.0
        classes[(times > end + LATE) & (times <= end + LATE + FADING)] = -word
    return Section(features, classes, weights, int(np.searchsorted(times, ends[0][0])))


def varied(
    made: Section,
    front_end: AudioFrontEnd,
    how: AudioAugmentation,
    random: Random,
    level: float | None = None,
) -> Section:
    """The same, said by another vocal tract into another microphone, behind gain control that
    begins with a level."""
    features = vary_spectrum(made.features, how, random)
    if front_end.agc:
        features, level = front_end.gain.real(features, level)
    features = mask(features, front_end.frame_rate, how, random)
    return replace(made, features=features.astype(np.float32), level=level)


def _say(
    words: Words, how: AudioAugmentation, random: Random
) -> tuple[Array, list[tuple[float, float, int]]]:
    """Samples of a section, and each word's start and end in seconds, and its class."""
    rate = words.rate
    loud = 10 ** (random.uniform(-how.quieter, how.louder) / 20)
    parts: list[Array] = [np.zeros(int(random.uniform(0.05, 0.5) * rate), np.float32)]
    length, ends = len(parts[0]), []
    while length < _SECTION * rate:
        takes = words
        if words.voices is not None and random.random() < how.voices:
            takes = words.voices
        clip, word = takes.draw(random)
        if word and random.random() < how.splices:
            clip = splice(clip, takes.other(word, random), rate, random)
        said = vary_word(clip, rate, how, random) * np.float32(loud)
        pause = random.uniform(*_PAUSE)
        if random.random() < _LULLS:
            pause += random.uniform(*_LULL)
        ends.append((length / rate, (length + len(said)) / rate, word))
        parts += [said, np.zeros(int(pause * rate), np.float32)]
        length += len(said) + len(parts[-1])
    samples = np.concatenate(parts)
    power = np.sqrt(np.mean(samples[samples != 0] ** 2) + 1e-9) if samples.any() else loud
    level = power * 10 ** (-random.uniform(how.snr_low, how.snr_high) / 20)
    samples += _background(words, length, random) * np.float32(level)
    samples += random.standard_normal(length).astype(np.float32) * random.uniform(0.3, 5.0)
    return samples, ends


def _background(words: Words, length: int, random: Random) -> Array:
    """Noise, babble, or a stretch of a recorded background, of unit power."""
    if words.backgrounds and random.random() >= 0.3:
        chosen = words.backgrounds[int(random.integers(len(words.backgrounds)))]
        return recorded(random, length, chosen).astype(np.float32)
    if random.random() < _CROWD:
        voices = int(random.integers(*_VOICES, endpoint=True))
        return babble(random, length, words.crowd, voices).astype(np.float32)
    return noise(length, float(random.integers(3)), random)


@dataclass
class WordStreams:
    """Batches of a keyword training: `rows` endless streams, cut into windows of `frames` frames.

    `context` and `stride` are those of the architecture. What is said in them is made anew every
    `_AGAIN` epochs, whose vocal tracts, microphones and masks differ: to make the samples is what
    takes long. Now and then a row begins anew, with a word at once; `still` is the frame that a
    network takes for nothing, the mean of all.
    """

    words: Words
    front_end: AudioFrontEnd
    augmentation: AudioAugmentation
    rows: int
    frames: int
    steps: int
    seed: int
    context: int = 0
    stride: int = 1
    carried: bool = True
    still: Array | float = 0.0

    def __post_init__(self) -> None:
        self._next = (-1, -1)
        self._generation = -1
        self._said: list[_Said] = []
        self._rows: list[_Row] = []

    def batch(self, epoch: int, index: int) -> Batch:
        """The window number `index` of every row of an epoch."""
        if (epoch, index) != self._next:
            self._begin(epoch)
            for row in self._rows:
                for _ in range(index):
                    row.window()
        windows = [row.window() for row in self._rows]
        self._next = (epoch, index + 1)
        x, y, weight, fresh = (np.stack(parts) for parts in zip(*windows, strict=True))
        return Batch(x, y[:, :: self.stride], weight[:, :: self.stride], fresh)

    def _begin(self, epoch: int) -> None:
        rows = range(self.rows)
        generation = epoch // _AGAIN
        if generation != self._generation:
            randoms = [np.random.default_rng([self.seed, 0, generation, row]) for row in rows]
            self._said = [_Said(self, random) for random in randoms]
            self._generation = generation
        randoms = [np.random.default_rng([self.seed, 1, epoch, row]) for row in rows]
        self._rows = [
            _Row(self, said, random) for said, random in zip(self._said, randoms, strict=True)
        ]


class _Said:
    """The sections of a stream, each made when it is first asked for."""

    def __init__(self, streams: WordStreams, random: Random) -> None:
        self._streams, self._random = streams, random
        self._sections: list[Section] = []

    def __getitem__(self, index: int) -> Section:
        made = self._streams
        while len(self._sections) <= index:
            self._sections.append(
                section(made.words, made.front_end, made.augmentation, self._random)
            )
        return self._sections[index]


class _Row:
    """One stream as it is heard in an epoch, cut into windows one after the other."""

    def __init__(self, streams: WordStreams, said: _Said, random: Random) -> None:
        self._streams, self._said, self._random, self._count = streams, said, random, 0
        self._begin()

    def _begin(self, frames: int | None = None) -> None:
        """Anew, with a section, or with what of it begins so many frames before its first word."""
        self._level: float | None = None
        made = self._section(frames)
        self._x = np.concatenate([self._nothing(), made.features])
        self._y, self._weight = made.classes, made.weights

    def _nothing(self) -> Array:
        """What a stream that has just begun has behind it."""
        made = self._streams
        frames = np.empty((made.context, made.front_end.frame_shape[0]), np.float32)
        frames[:] = made.still
        return frames

    def _section(self, frames: int | None = None) -> Section:
        made = self._streams
        raw = self._said[self._count]
        self._count += 1
        if frames is not None:
            raw = raw.since(max(0, raw.first - frames))
        found = varied(raw, made.front_end, made.augmentation, self._random, self._level)
        self._level = found.level
        return found

    def window(self) -> tuple[Array, Array, Array, bool]:
        """The next one, with the context in front of its frames, and whether it begins anew."""
        made = self._streams
        fresh = self._random.random() < _FRESH
        if fresh:
            self._begin(int(self._random.integers(*_ONSET, endpoint=True)))
        while len(self._y) < made.frames:
            more = self._section()
            self._x = np.concatenate([self._x, more.features])
            self._y = np.concatenate([self._y, more.classes])
            self._weight = np.concatenate([self._weight, more.weights])
        x = self._x[: made.context + made.frames]
        y, weight = self._y[: made.frames], self._weight[: made.frames]
        self._x, self._y = self._x[made.frames :], self._y[made.frames :]
        self._weight = self._weight[made.frames :]
        return x, y, weight, fresh
