"""Sound: PCM to log-mel bands, MFCC, normalised energies or levelled bands, in integers.

    samples -> window -> FFT -> power -> mel bands -> log | cepstrum | PCEN | AGC

A frame comes with every `hop` samples and is about the last `window` of them; the first comes when
there are so many. Whole recordings are computed at once; the C that `targets/frontends/audio.py`
writes gives the same integers.

Features are natural logarithms in units of 2^-10. A sample of full scale is 1, so the energy of a
band is a sum of powers of the FFT with triangular weights on the mel scale. `floor` is added to it,
so that silence has a logarithm.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, StateError
from edgernn.frontends import Frames
from edgernn.frontends.agc import AGC, LIMITS, Agc, make_agc
from edgernn.frontends.bands import (
    FRACTION,
    Cepstrum,
    Mel,
    Pcen,
    log_bands,
    make_cepstrum,
    make_mel,
    make_pcen,
    unit,
)
from edgernn.frontends.spectrum import Spectrum, make_spectrum

Array = npt.NDArray[Any]

OUTPUTS: Final = ("log-mel", "mfcc", "pcen", "agc")
PCEN: Final = {"smoothing": 0.025, "gain": 0.98, "bias": 2.0, "root": 0.5}
"""Of Wang et al., Trainable Frontend For Robust and Far-Field Keyword Spotting (2017)."""

_LIFT: Final = 6.0
"""dB by which a first difference lifts the highest band."""
_CHUNK: Final = 128
"""Frames that are computed at once: about what stays in a processor's cache."""


@dataclass(frozen=True)
class AudioFrontEnd:
    """A description; see the module.

    Args:
        rate: samples a second.
        window: samples of a frame, at most 1,024.
        hop: samples from one frame to the next.
        bands: mel bands.
        low, high: Hz between which they lie; a `high` of 0 is half of the rate.
        output: `log-mel`, `mfcc`, `pcen`, or `agc`: bands relative to the loudest of late.
        coefficients: of `mfcc`, how many of the orthonormal DCT-II of the log bands.
        floor: added to the energy of every band before its logarithm.
        pcen: its `smoothing`, `gain`, `bias` and `root`; see `PCEN`.
        agc: its `emphasis`, `range`, `release` and `least`; see `edgernn/frontends/agc.py`.
    """

    kind: ClassVar[str] = "audio"
    sample_dtype: ClassVar[str] = "int16"
    channels: ClassVar[int] = 1
    rate: int = 16000
    window: int = 400
    hop: int = 160
    bands: int = 40
    low: float = 125.0
    high: float = 0.0
    output: str = "log-mel"
    coefficients: int = 13
    floor: float = 1e-7
    pcen: Mapping[str, float] = field(default_factory=dict)
    agc: Mapping[str, float] = field(default_factory=dict)
    spectrum: Spectrum = field(init=False, repr=False, compare=False)
    mel: Mel = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rate", 1000, 96000), ("window", 32, 1024), ("hop", 1, 1024), ("bands", 1, 128),
            ("coefficients", 1, 128),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or value != value // 1 or not low <= value <= high:
                raise _wrong(f"{name} {value!r} is no whole number from {low} to {high}")
            object.__setattr__(self, name, int(value))
        if self.hop > self.window:
            raise _wrong(f"hop {self.hop} is longer than window {self.window}")
        if self.output not in OUTPUTS:
            raise _wrong(f"output {self.output!r} is not one of {', '.join(OUTPUTS)}")
        if self.output == "mfcc" and self.coefficients > self.bands:
            raise _wrong(f"{self.coefficients} coefficients of {self.bands} bands")
        if not 0 <= self.low < self.highest <= self.rate / 2:
            raise _wrong(f"bands from {self.low:g} to {self.highest:g} Hz at {self.rate} a second")
        if not 1e-12 <= self.floor <= 1:
            raise _wrong(f"floor {self.floor!r} is not between 1e-12 and 1")
        for name in ("pcen", "agc"):
            if getattr(self, name) and self.output != name:
                raise _wrong(f"{name} is given, and the output is {self.output!r}")
        for name, value in self.pcen.items():
            if (
                name not in PCEN
                or not _within(value, 0, 64 if name == "bias" else 0.9999)
                or not value
            ):
                raise _wrong(f"pcen has no {name!r} of {value!r}")
        for name, value in self.agc.items():
            if name not in AGC:
                raise _wrong(f"agc has no {name!r}; its fields are {', '.join(AGC)}")
            lowest, highest = LIMITS[name]
            if not _within(value, lowest, highest):
                raise _wrong(f"agc's {name} is {value!r} and must be {lowest:g} to {highest:g}")
        object.__setattr__(self, "pcen", {**PCEN, **self.pcen} if self.output == "pcen" else {})
        object.__setattr__(self, "agc", {**AGC, **self.agc} if self.output == "agc" else {})
        if self.agc and (floor := 10 * math.log10(self.floor)) + _LIFT > self.agc["least"]:
            raise _wrong(
                f"the floor, {floor:.0f} dB, is not below agc's least, {self.agc['least']:g} dB: "
                "silence would be lifted"
            )
        object.__setattr__(self, "spectrum", make_spectrum(self.window, self.size))
        try:
            triangles = make_mel(self.rate, self.size, self.bands, self.low, self.highest)
        except InputError as error:
            raise _wrong(str(error)) from None
        object.__setattr__(self, "mel", triangles)

    @property
    def size(self) -> int:
        """Points of the FFT: the window's length, up to a power of two."""
        return max(64, 1 << (self.window - 1).bit_length())

    @property
    def highest(self) -> float:
        """Hz where the last band ends."""
        return self.high or self.rate / 2

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame."""
        return (self.coefficients if self.output == "mfcc" else self.bands,)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.rate / self.hop

    @property
    def scale(self) -> float:
        """Real value of one unit of a feature."""
        return 2.0**-FRACTION

    @property
    def integer_floor(self) -> int:
        """The floor in units of an energy."""
        return max(1, round(self.floor / unit(self.size)))

    @property
    def offset(self) -> int:
        """What brings logarithms of integer energies to real units, in Q10."""
        return round(-math.log(unit(self.size)) * (1 << FRACTION))

    @property
    def cepstrum(self) -> Cepstrum:
        """That of `mfcc`."""
        return make_cepstrum(self.bands, self.coefficients)

    @property
    def normaliser(self) -> Pcen:
        """That of `pcen`."""
        return make_pcen(self.size, **self.pcen)

    @functools.cached_property
    def gain(self) -> Agc:
        """That of `agc`."""
        span = (self.rate, self.frame_rate, self.bands, self.low, self.highest)
        return make_agc(*span, self.agc)

    @functools.cached_property
    def ungained(self) -> AudioFrontEnd:
        """The same without gain control, where there is one: what `gain` takes."""
        return replace(self, output="log-mel", agc={}) if self.agc else self

    def stream(self) -> AudioStream:
        """A new stream."""
        return AudioStream(self)

    def features(self, samples: Array, times: Array | None = None) -> npt.NDArray[np.float32]:
        """A whole recording's features `(n, F)` in real units."""
        frames = self.stream().push(np.asarray(samples))
        return (frames.features * np.float64(self.scale)).astype(np.float32)

    def config(self) -> dict[str, Any]:
        """The description as JSON."""
        names = "rate window hop bands low high output coefficients floor".split()
        config = {"kind": self.kind, **{name: getattr(self, name) for name in names}}
        for name in ("pcen", "agc"):
            if chosen := getattr(self, name):
                config[name] = dict(chosen)
        return config


class AudioStream:
    """One stream of samples on its way to features."""

    def __init__(self, front_end: AudioFrontEnd) -> None:
        self.front_end = front_end
        self.counters: dict[str, int] = {}
        self._cepstrum = front_end.cepstrum if front_end.output == "mfcc" else None
        self._normaliser = front_end.normaliser if front_end.output == "pcen" else None
        self._gain = front_end.gain if front_end.output == "agc" else None
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        self._held = np.empty(0, np.int16)
        self._taken = 0
        self._smoothed: npt.NDArray[np.int64] | None = None
        self._level: int | None = None

    def push(self, samples: Array, times: Array | None = None) -> Frames:
        """See `FrontEndStream.push`; the times are those of the samples' count.

        Raises:
            InputError: the samples are not int16 `(n,)`.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise InputError(
                f"samples of shape {samples.shape} and type {samples.dtype}; the front end takes "
                "int16 of shape (n,)"
            )
        window, hop = self.front_end.window, self.front_end.hop
        joined = np.concatenate([self._held, samples])
        count = max(0, (len(joined) - window) // hop + 1)
        before = self._taken - len(self._held)
        self._held, self._taken = joined[count * hop :], self._taken + len(samples)
        ends = before + window + hop * np.arange(count, dtype=np.int64)
        features = np.empty((count, *self.front_end.frame_shape), np.int32)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(joined, window)[::hop]
            for start in range(0, count, _CHUNK):
                part = slice(start, min(start + _CHUNK, count))
                features[part] = self._features(frames[part])
        stamps = ends * 1_000_000 // self.front_end.rate
        return Frames(features, stamps, np.zeros(count, bool))

    def _features(self, frames: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        front_end = self.front_end
        energies = front_end.mel.energies(front_end.spectrum.powers(frames))
        floor = front_end.integer_floor
        if self._normaliser is not None:
            first = energies[0] if self._smoothed is None else self._smoothed
            smoothed = self._normaliser.smooth(energies, first)
            self._smoothed = smoothed[-1]
            return self._normaliser(energies, smoothed, floor)
        logs = log_bands(energies, floor, front_end.offset)
        if self._gain is not None:
            logs, self._level = self._gain(logs, self._level)
        return logs if self._cepstrum is None else self._cepstrum(logs)

    def save(self) -> bytes:
        """The state."""
        smoothed = None if self._smoothed is None else self._smoothed.tolist()
        return json.dumps([self._taken, self._held.tolist(), smoothed, self._level]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        try:
            self._taken, held, smoothed, *level = json.loads(saved)
            self._held = np.array(held, np.int16)
            self._smoothed = None if smoothed is None else np.array(smoothed, np.int64)
            self._level = int(level[0]) if level and level[0] is not None else None
        except (ValueError, TypeError) as error:
            raise StateError(f"this is no saved state of the front end ({error})") from None


def _within(value: object, lowest: float, highest: float) -> bool:
    """Whether it is a number, and from one to the other."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and lowest <= float(value) <= highest  # type: ignore[arg-type]


def _wrong(what: str) -> InputError:
    return InputError(f"front end 'audio': {what}")
