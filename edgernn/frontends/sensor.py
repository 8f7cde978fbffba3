"""Sensors: samples of some channels, onto the trained rate, through stages, to features.

On a board samples are the sensor's own integers; `sample_scale` is the real value of one of their
units. From Python they may be real numbers, which are rounded to it. Features are in units of
2^-fraction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, StateError
from edgernn.frontends import Frames
from edgernn.frontends.resampling import FINE, POLICIES, Grid, Resampler
from edgernn.frontends.stages import Stage, Standardise, clamp, read_stage

Array = npt.NDArray[Any]

SCALE_BITS = 24


@dataclass(frozen=True)
class SensorFrontEnd:
    """A description; see the module.

    Args:
        rate: samples a second on which the model was trained.
        names: the channels, as the columns of a table call them.
        sample_scale: real value of one unit of an integer sample.
        fraction: bits behind the point of features and of all values on the way.
        max_gap: seconds between samples that are a gap; 2.5 sample intervals if it is 0.
        policy: what to do about one: `interpolate`, `hold` or `reset`.
        stages: their configurations, in order; see `edgernn/frontends/stages/`.
    """

    kind: ClassVar[str] = "sensor"
    sample_dtype: ClassVar[str] = "int32"
    rate: float
    names: tuple[str, ...]
    sample_scale: float = 2.0**-12
    fraction: int = 12
    max_gap: float = 0.0
    policy: str = "interpolate"
    stages: Sequence[Mapping[str, Any]] = ()
    made: tuple[Stage, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rate, (int, float)) or not 1e-4 <= self.rate <= 1e5:
            raise InputError(
                f"front end 'sensor': rate {self.rate!r} is not between 0.0001 and 1e5"
            )
        if isinstance(self.names, str) or not self.names:
            raise InputError("front end 'sensor': names must list the channels")
        if not 0 <= self.fraction <= 24 or not isinstance(self.fraction, int):
            raise InputError(f"front end 'sensor': fraction {self.fraction!r} is not 0 to 24")
        if not 1e-12 < self.sample_scale * 2.0**self.fraction < 2.0**24:
            raise InputError(f"front end 'sensor': sample_scale {self.sample_scale!r} does not fit")
        if self.policy not in POLICIES:
            known = ", ".join(POLICIES)
            raise InputError(f"front end 'sensor': policy {self.policy!r} is not one of {known}")
        if not 0 <= self.max_gap <= 3600:
            raise InputError(f"front end 'sensor': max_gap {self.max_gap!r} is not 0 to 3600")
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "stages", tuple(dict(stage) for stage in self.stages))
        made, rate, channels = [], float(self.rate), len(self.names)
        for config in self.stages:
            try:
                made.append(read_stage(config, rate))
                channels = made[-1].outputs(channels)
            except InputError as error:
                raise InputError(f"front end 'sensor': {error}") from None
            rate /= made[-1].hop
        object.__setattr__(self, "made", tuple(made))
        object.__setattr__(self, "stages", tuple(stage.config() for stage in made))

    @property
    def channels(self) -> int:
        """Values per sample."""
        return len(self.names)

    @property
    def widths(self) -> list[int]:
        """Channels before each stage and behind the last."""
        widths = [self.channels]
        for stage in self.made:
            widths.append(stage.outputs(widths[-1]))
        return widths

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame."""
        return (self.widths[-1],)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.rate / math.prod(stage.hop for stage in self.made)

    @property
    def scale(self) -> float:
        """Real value of one unit of a feature."""
        return 2.0**-self.fraction

    @property
    def grid(self) -> Grid:
        """Where samples with times are put."""
        period = 1e6 / self.rate
        gap = self.max_gap * 1e6 or 2.5 * period
        return Grid(round(period * (1 << FINE)), round(gap), self.policy)

    @property
    def gain(self) -> int:
        """Units of a feature in a unit of a sample, with 24 bits behind the point."""
        return round(self.sample_scale * 2.0 ** (self.fraction + SCALE_BITS))

    def from_real(self, values: Array) -> npt.NDArray[np.int32]:
        """Integer samples of real values; saturates; NaN and infinity are 0."""
        limits = np.iinfo(np.int32)
        finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        scaled = np.rint(finite / self.sample_scale)
        return np.clip(scaled, limits.min, limits.max).astype(np.int32)

    def stream(self) -> SensorStream:
        """A new stream."""
        return SensorStream(self)

    def features(self, samples: Array, times: Array | None = None) -> npt.NDArray[np.float32]:
        """A whole recording's features `(n, F)` in real units."""
        frames = self.stream().push(np.asarray(samples), times)
        return (frames.features * np.float64(self.scale)).astype(np.float32)

    def learn(self, recordings: Sequence[Any]) -> SensorFrontEnd:
        """The same with a standardisation behind it, learned from recordings.

        Each is an array of samples, or a pair of samples and their times.
        """
        parts = [
            self.features(*one) if isinstance(one, tuple) else self.features(one)
            for one in recordings
        ]
        joined = np.concatenate(parts).astype(np.float64)
        std = np.clip(joined.std(axis=0), 1e-3, 2e4)
        learned = Standardise.of(self.rate, joined.mean(axis=0).tolist(), std.tolist())
        return replace(self, stages=[*self.stages, learned.config()])

    def config(self) -> dict[str, Any]:
        """The description as JSON."""
        return {
            "kind": self.kind,
            "rate": self.rate,
            "names": list(self.names),
            "sample_scale": self.sample_scale,
            "fraction": self.fraction,
            "max_gap": self.max_gap,
            "policy": self.policy,
            "stages": [stage.config() for stage in self.made],
        }


class SensorStream:
    """One stream of samples on its way to features."""

    def __init__(self, front_end: SensorFrontEnd) -> None:
        self.front_end = front_end
        self._resampler = Resampler(front_end.grid, front_end.channels)
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        self._resampler.reset()
        self._own = {"bad_values": 0}
        self._good = [0] * self.front_end.channels
        self._taken = 0
        self._broken = False
        self._begin()

    def _begin(self) -> None:
        """The stages from their start."""
        pairs = zip(self.front_end.made, self.front_end.widths, strict=False)
        self._runners = [s.runner(width, self.front_end.fraction) for s, width in pairs]

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far."""
        return {**self._own, **self._resampler.counters}

    @property
    def jitter(self) -> float:
        """Mean of |interval - period| in microseconds, over intervals that are no gaps."""
        total, number = self._resampler.jitter
        return total / number if number else 0.0

    def push(self, samples: Array, times: Array | None = None) -> Frames:
        """See `FrontEndStream.push`; takes integers, or real values that are rounded to them."""
        block = self._checked(samples)
        if times is not None and np.shape(times) != (len(block),):
            raise InputError(f"{len(block)} samples with {np.size(times)} times")
        values = clamp((block * self.front_end.gain + (1 << (SCALE_BITS - 1))) >> SCALE_BITS)
        if times is None:
            counted = np.arange(self._taken + 1, self._taken + len(values) + 1, dtype=np.int64)
            stamps = (counted * self.front_end.grid.period) >> FINE
            self._taken += len(values)
            return self._through(values, stamps, np.zeros(len(values), bool))
        return self._through(*self._resampler.run(values, np.asarray(times, np.int64)))

    def _checked(self, samples: Array) -> npt.NDArray[np.int64]:
        channels = self.front_end.channels
        if samples.ndim == 1 and channels == 1:
            samples = samples[:, np.newaxis]
        if samples.ndim != 2 or samples.shape[1] != channels or samples.dtype.kind not in "iuf":
            raise InputError(
                f"samples of shape {samples.shape} and type {samples.dtype}; the front end takes "
                f"(n, {channels}) numbers"
            )
        if samples.dtype.kind != "f":
            return np.clip(samples, -(1 << 31), (1 << 31) - 1).astype(np.int64)
        block = self.front_end.from_real(samples).astype(np.int64)
        bad = ~np.isfinite(samples)
        self._own["bad_values"] += int(bad.sum())
        for channel in range(channels):  # what is no number is held from before
            block[:, channel] = self._held(channel, block[:, channel], bad[:, channel])
        return block

    def _held(self, channel: int, values: Array, bad: npt.NDArray[np.bool_]) -> Array:
        known = np.concatenate([[self._good[channel]], values])
        at = np.maximum.accumulate(
            np.where(np.concatenate([[False], bad]), 0, np.arange(len(known)))
        )
        held: Array = known[at]
        self._good[channel] = int(held[-1])
        return held[1:]

    def _through(self, values: Array, stamps: Array, anew: Array) -> Frames:
        """Values on the grid through the stages, which begin anew where the grid does."""
        parts = []
        cuts = [0, *np.flatnonzero(anew).tolist(), len(values)]
        for start, end in pairwise(cuts):
            if start < end and anew[start]:
                self._begin()
                self._broken = True
            rows, times = values[start:end], stamps[start:end]
            for runner in self._runners:
                rows, completed = runner.run(rows)
                times = times[completed]
            breaks = np.zeros(len(rows), bool)
            if len(rows) and self._broken:
                breaks[0], self._broken = True, False
            parts.append((rows, times, breaks))
        features, times, breaks = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Frames(features.astype(np.int32), times, breaks)

    def save(self) -> bytes:
        """The state."""
        runners = [runner.save() for runner in self._runners]
        own = [self._own, self._good, self._taken, self._broken]
        return json.dumps([own, self._resampler.save(), runners]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        try:
            own, resampler, runners = json.loads(saved)
            self._own, self._good, self._taken, self._broken = own
            self._resampler.restore(resampler)
            for runner, state in zip(self._runners, runners, strict=True):
                runner.restore(state)
        except (ValueError, TypeError) as error:
            raise StateError(f"this is no saved state of the front end ({error})") from None
