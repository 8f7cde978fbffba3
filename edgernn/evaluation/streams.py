"""Long streams of sound made of clips: words with pauses, over backgrounds at a stated SNR.

A stream is a row of sections of a minute. Each has one background, and most have words. A section
is a pure function of the settings and its number, so that nothing is kept in memory, and any part
of a stream can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.evaluation import noise
from edgernn.labelled import Labelled, Span

Array = npt.NDArray[Any]

BACKGROUNDS: Final = ("silence", "white", "pink", "babble")
_FLOOR: Final = 2.0
"""RMS of what a quiet room's converter gives, in units of a sample, under everything."""
_LARGEST_SHARE: Final = 0.5
"""A word may be as long as this share of a section."""


@dataclass(frozen=True)
class Scene:
    """How a stream is made.

    `snr` is the power of the clips, averaged over all samples of all of them, over that of the
    background, in dB: louder and quieter clips keep their loudness. Pauses between words are drawn
    evenly from `pause`, in seconds. `talk` is the share of sections that have words; the others
    are background alone. `section` is in seconds.
    """

    hours: float = 6.0
    snr: float = 10.0
    pause: tuple[float, float] = (0.5, 3.0)
    talk: float = 0.75
    backgrounds: tuple[str, ...] = BACKGROUNDS
    seed: int = 0
    section: float = 60.0


class Section(NamedTuple):
    """A part of a stream: int16 samples `(n,)`, what is said when, and over which background.

    The spans' times are seconds of the whole stream.
    """

    samples: npt.NDArray[np.int16]
    spans: tuple[Span, ...]
    background: str


class LongStream:
    """A stream of a scene; iterating makes its sections one after the other."""

    def __init__(
        self,
        clips: Sequence[Labelled],
        scene: Scene,
        keywords: Sequence[str] = (),
        recordings: Sequence[Labelled] = (),
        number: int = 0,
    ) -> None:
        """Of clips that have a label, and recordings of background; the `number`-th of its scene.

        Babble is made of clips that are no keywords; if all are, of clips backwards.

        Raises:
            InputError: there are no clips, their rates differ, or one is no word but too long.
        """
        if not clips:
            raise InputError("there are no clips to make a stream of")
        shortest, longest = scene.pause
        if not 0 <= shortest <= longest:
            raise InputError(
                f"the longest pause, {longest:g} s, is shorter than the shortest, {shortest:g} s"
            )
        self.clips, self.scene, self.recordings = list(clips), scene, list(recordings)
        self._number = number
        self.rate = clips[0].rate
        for one in [*clips, *recordings]:
            if one.rate != self.rate or one.samples.ndim != 1:
                raise InputError(f"{one.name}: a stream is made of sound at {self.rate:g} Hz")
            if not len(one.samples):
                raise InputError(f"{one.name}: holds no samples")
        for clip in clips:
            if clip.seconds + scene.pause[1] > _LARGEST_SHARE * scene.section:
                raise InputError(
                    f"{clip.name}: {clip.seconds:.1f} s and a pause are more than half a section "
                    f"of {scene.section:g} s, so it is not taken for a word"
                )
        others = [clip.samples for clip in clips if clip.label not in keywords]
        self._voices = others or [clip.samples[::-1] for clip in clips]
        energy = sum(float(np.square(c.samples.astype(np.float64)).sum()) for c in clips)
        self.power = energy / sum(len(c.samples) for c in clips)
        self.samples = round(scene.hours * 3600 * self.rate)
        self._section = round(scene.section * self.rate)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.rate

    def __len__(self) -> int:
        """How many sections."""
        return -(-self.samples // self._section)

    def __iter__(self) -> Iterator[Section]:
        return (self.section(index) for index in range(len(self)))

    def section(self, index: int) -> Section:
        """One section, the same whenever it is asked for."""
        random = np.random.default_rng([self.scene.seed, self._number, index])
        first = index * self._section
        length = min(self._section, self.samples - first)
        kinds = [*self.scene.backgrounds, *(one.name for one in self.recordings)]
        background = kinds[int(random.integers(len(kinds)))]
        loudness = np.sqrt(self.power / 10 ** (self.scene.snr / 10))
        mixed = self._background(random, background, length) * loudness
        mixed += random.normal(0, _FLOOR, length)
        spans: list[Span] = []
        if random.random() < self.scene.talk:
            for start, clip in self._words(random, length):
                mixed[start : start + len(clip.samples)] += clip.samples
                spans += self._spans(clip, (first + start) / self.rate)
        return Section(
            np.clip(np.rint(mixed), -32768, 32767).astype(np.int16), tuple(spans), background
        )

    def _background(self, random: np.random.Generator, name: str, length: int) -> Array:
        if name == "silence":
            return np.zeros(length)
        if name == "white":
            return noise.white(random, length)
        if name == "pink":
            return noise.pink(random, length)
        if name == "babble":
            return noise.babble(random, length, self._voices)
        (samples,) = (one.samples for one in self.recordings if one.name == name)
        return noise.recorded(random, length, samples)

    def _words(self, random: np.random.Generator, length: int) -> Iterator[tuple[int, Labelled]]:
        """Clips and where they begin; the longest pause is kept free at the section's end."""
        position, end = 0, length - round(self.scene.pause[1] * self.rate)
        while True:
            position += round(random.uniform(*self.scene.pause) * self.rate)
            clip = self.clips[int(random.integers(len(self.clips)))]
            if position + len(clip.samples) > end:
                return
            yield position, clip
            position += len(clip.samples)

    def _spans(self, clip: Labelled, start: float) -> list[Span]:
        """What is true of a clip that begins at `start`."""
        if clip.spans:
            return [replace(s, start=start + s.start, end=start + s.end) for s in clip.spans]
        return [Span(clip.label or "", start, start + clip.seconds)]
