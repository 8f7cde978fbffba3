"""What a sensor's channels go through on their way to features: one class a stage.

Values are integers of at most 28 bits and a sign, in units of 2^-fraction of whatever they measure;
products and sums have 64 bits. A stage is a description; its runner holds the state of a stream:
`run` takes a block `(n, channels)` and gives the rows that it completes, and for each the index of
the sample that did. `targets/frontends/sensor.py` says the same in C.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends.fields import check

Array = npt.NDArray[np.int64]

LIMIT: Final = (1 << 28) - 1
"""Largest value, so that a filter's five products fit into 64 bits."""
SQUARED: Final = 1 << 25
"""Values are clamped to this before they are squared in statistics."""


class Runner(Protocol):
    """One stream through a stage."""

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        """Rows `(m, channels out)`, and which sample of the block `(m,)` completed each."""

    def save(self) -> list[Any]:
        """The state as JSON."""

    def restore(self, state: list[Any]) -> None:
        """Take back what `save` gave."""


class Stage(Protocol):
    """A description."""

    @property
    def stage(self) -> str:
        """Its name in `STAGES`."""

    @property
    def hop(self) -> int:
        """Samples for each row that it gives."""

    def outputs(self, channels: int) -> int:
        """How many channels it gives for so many.

        Raises:
            InputError: it does not take so many.
        """

    def runner(self, channels: int, fraction: int) -> Runner:
        """A new stream."""

    def config(self) -> dict[str, Any]:
        """The fields that it was made from."""


def clamp(values: Array) -> Array:
    """To 28 bits and a sign."""
    return np.clip(values, -LIMIT, LIMIT)


def roots(squares: Array) -> Array:
    """Square roots of non-negative numbers below 2^62, rounded down."""
    found = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    found -= found * found > squares
    found += (found + 1) * (found + 1) <= squares
    return found


class _Stateless:
    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        return self._function(block), np.arange(len(block))

    def save(self) -> list[Any]:
        return []

    def restore(self, state: list[Any]) -> None:
        pass


GAIN_BITS: Final = 24


@dataclass(frozen=True)
class Standardise:
    """`(x - mean) / std`, by channel."""

    stage: ClassVar[str] = "standardise"
    hop: ClassVar[int] = 1
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, rate: float, mean: Sequence[float], std: Sequence[float]) -> Standardise:
        """From the fields of a configuration."""
        made = cls(tuple(map(float, mean)), tuple(map(float, std)))
        if not all(map(math.isfinite, made.mean)) or not all(2e-4 < s < 3e4 for s in made.std):
            raise InputError("stage 'standardise': every std must lie between 0.0002 and 30000")
        return made

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        if not len(self.mean) == len(self.std) == channels:
            raise InputError(
                f"stage 'standardise': {len(self.mean)} means and {len(self.std)} stds for "
                f"{channels} channels"
            )
        return channels

    def constants(self, fraction: int) -> tuple[list[int], list[int]]:
        """Gains with 24 bits behind the point, and what is added to the products."""
        one = 2.0**GAIN_BITS
        pairs = list(zip(self.mean, self.std, strict=True))
        half = 1 << (GAIN_BITS - 1)
        return (
            [round(one / std) for _, std in pairs],
            [half - round(mean / std * one * 2.0**fraction) for mean, std in pairs],
        )

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        gains, offsets = (np.array(v, np.int64) for v in self.constants(fraction))
        return _Stateless(lambda block: clamp((block * gains + offsets) >> GAIN_BITS))

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "mean": list(self.mean), "std": list(self.std)}


COEFFICIENT_BITS: Final = 30


@dataclass(frozen=True)
class Filter:
    """A Butterworth filter of second order, `highpass` or `lowpass` at `cutoff` Hz.

    Coefficients by the bilinear transform (R. Bristow-Johnson's cookbook, Q = 1/sqrt 2). Direct
    form I with error feedback: what rounding cuts off goes into the next two sums, with the whole
    numbers next to the filter's own feedback, which takes its noise out where the filter would
    amplify it: a low cutoff neither drifts nor rings for ever.
    """

    stage: ClassVar[str] = "filter"
    hop: ClassVar[int] = 1
    kind: str
    cutoff: float
    rate: float

    @classmethod
    def of(cls, rate: float, kind: str, cutoff: float) -> Filter:
        """From the fields of a configuration."""
        if kind not in ("highpass", "lowpass"):
            raise InputError(f"stage 'filter': kind {kind!r} is not one of highpass, lowpass")
        if not 1e-4 * rate <= cutoff < 0.5 * rate:
            raise InputError(
                f"stage 'filter': cutoff {cutoff:g} Hz is not between {1e-4 * rate:g} and half of "
                f"{rate:g} samples a second"
            )
        return cls(kind, float(cutoff), float(rate))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels

    def coefficients(self) -> tuple[int, int, int, int]:
        """b0 (= b2), b1, a1 and a2 with 30 bits behind the point."""
        angle = 2 * math.pi * self.cutoff / self.rate
        alpha, cosine = math.sin(angle) / math.sqrt(2), math.cos(angle)
        one = 2.0**COEFFICIENT_BITS / (1 + alpha)
        if self.kind == "highpass":  # with a true zero at 0 Hz
            b = round((1 + cosine) / 2 * one)
            return b, -2 * b, round(-2 * cosine * one), round((1 - alpha) * one)
        a1, a2 = round(-2 * cosine * one), round((1 - alpha) * one)
        total = (1 << COEFFICIENT_BITS) + a1 + a2  # of 4 b: unity at 0 Hz
        b = total // 4
        return b, total - 2 * b, a1, a2

    def feedback(self) -> tuple[int, int]:
        """What the last two remainders are multiplied with."""
        _, _, a1, a2 = self.coefficients()
        half = 1 << (COEFFICIENT_BITS - 1)
        return -((a1 + half) >> COEFFICIENT_BITS), -((a2 + half) >> COEFFICIENT_BITS)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _FilterRunner((*self.coefficients(), *self.feedback()), channels)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "kind": self.kind, "cutoff": self.cutoff}


class _FilterRunner:
    """The state of a channel: two inputs, two outputs, two remainders."""

    def __init__(self, coefficients: Sequence[int], channels: int) -> None:
        self._coefficients = coefficients
        self._channels = [[0] * 6 for _ in range(channels)]

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        result = np.empty_like(block)
        b0, b1, a1, a2, c1, c2 = self._coefficients
        mask = (1 << COEFFICIENT_BITS) - 1
        for channel, state in enumerate(self._channels):
            x1, x2, y1, y2, e1, e2 = state
            column = []
            for x0 in block[:, channel].tolist():
                total = b0 * (x0 + x2) + b1 * x1 - a1 * y1 - a2 * y2 + c1 * e1 + c2 * e2
                y0 = max(-LIMIT, min(LIMIT, total >> COEFFICIENT_BITS))
                column.append(y0)
                x2, x1, y2, y1, e2, e1 = x1, x0, y1, y0, e1, total & mask
            self._channels[channel] = [x1, x2, y1, y2, e1, e2]
            result[:, channel] = column
        return result, np.arange(len(block))

    def save(self) -> list[Any]:
        return self._channels

    def restore(self, state: list[Any]) -> None:
        self._channels = state


@dataclass(frozen=True)
class Magnitude:
    """The length of the vector of some channels, as one more channel, or (`alone`) the only one."""

    stage: ClassVar[str] = "magnitude"
    hop: ClassVar[int] = 1
    channels: tuple[int, ...]
    alone: bool = False

    @classmethod
    def of(cls, rate: float, channels: Sequence[int], alone: bool = False) -> Magnitude:
        """From the fields of a configuration."""
        if not 1 <= len(channels) <= 16:
            raise InputError("stage 'magnitude': it takes 1 to 16 channels")
        return cls(tuple(channels), bool(alone))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        _require(self.stage, self.channels, channels)
        return 1 if self.alone else channels + 1

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""

        def run(block: Array) -> Array:
            chosen = block[:, list(self.channels)]
            length = clamp(roots((chosen * chosen).sum(axis=1)))[:, np.newaxis]
            return length if self.alone else np.concatenate([block, length], axis=1)

        return _Stateless(run)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "channels": list(self.channels), "alone": self.alone}


@dataclass(frozen=True)
class Select:
    """Some of the channels."""

    stage: ClassVar[str] = "select"
    hop: ClassVar[int] = 1
    channels: tuple[int, ...]

    @classmethod
    def of(cls, rate: float, channels: Sequence[int]) -> Select:
        """From the fields of a configuration."""
        return cls(tuple(channels))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        _require(self.stage, self.channels, channels)
        return len(self.channels)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _Stateless(lambda block: block[:, list(self.channels)])

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "channels": list(self.channels)}


@dataclass(frozen=True)
class Difference:
    """`x[t] - x[t-1]`; 0 for the first sample."""

    stage: ClassVar[str] = "difference"
    hop: ClassVar[int] = 1

    @classmethod
    def of(cls, rate: float) -> Difference:
        """It has no fields."""
        return cls()

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _DifferenceRunner()

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage}


class _DifferenceRunner:
    def __init__(self) -> None:
        self._last: list[int] | None = None

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        if not len(block):
            return block, np.arange(0)
        before = block[:1] if self._last is None else np.array([self._last], np.int64)
        self._last = block[-1].tolist()
        return clamp(np.diff(block, axis=0, prepend=before)), np.arange(len(block))

    def save(self) -> list[Any]:
        return [self._last]

    def restore(self, state: list[Any]) -> None:
        (self._last,) = state


STATISTICS: Final = ("mean", "std", "min", "max", "range", "rms", "zero_crossings")


@dataclass(frozen=True)
class Statistics:
    """Of every channel over the last `window` samples, a row every `hop`: the statistics named.

    All of the first channel come first. The standard deviation is around the rounded mean, values
    are clamped to 2^25 units before they are squared. Zero crossings are changes of sign.
    """

    stage: ClassVar[str] = "statistics"
    window: int
    hop: int
    of_: tuple[str, ...]

    @classmethod
    def of(cls, rate: float, window: int, hop: int, statistics: Sequence[str]) -> Statistics:
        """From the fields of a configuration."""
        for name in statistics:
            if name not in STATISTICS:
                known = ", ".join(STATISTICS)
                raise InputError(f"stage 'statistics': {name!r} is not one of {known}")
        if not (1 <= hop <= window <= 4096 and statistics):
            raise InputError(
                "stage 'statistics': it takes a window of at most 4096 samples, a hop of at most "
                "that, and one statistic at least"
            )
        return cls(int(window), int(hop), tuple(statistics))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels * len(self.of_)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _StatisticsRunner(self, channels, fraction)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {
            "stage": self.stage,
            "window": self.window,
            "hop": self.hop,
            "statistics": list(self.of_),
        }


class _StatisticsRunner:
    """Keeps the samples that later windows still need."""

    def __init__(self, described: Statistics, channels: int, fraction: int) -> None:
        self._described, self._one = described, 1 << fraction
        self._held = np.empty((0, channels), np.int64)

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        window, hop = self._described.window, self._described.hop
        before = len(self._held)
        joined = np.concatenate([self._held, block])
        starts = np.arange(0, len(joined) - window + 1, hop)
        self._held = joined[len(starts) * hop :]
        if not len(starts):
            return np.empty((0, joined.shape[1] * len(self._described.of_)), np.int64), starts
        views = np.lib.stride_tricks.sliding_window_view(joined, window, axis=0)[starts]
        columns = [self._statistic(name, views) for name in self._described.of_]
        return np.stack(columns, axis=2).reshape(len(starts), -1), starts + window - 1 - before

    def _statistic(self, name: str, views: Array) -> Array:
        window = views.shape[2]
        low: Array = views.min(axis=2)
        high: Array = views.max(axis=2)
        if name in ("min", "max"):
            return low if name == "min" else high
        if name == "range":
            return clamp(high - low)
        if name == "zero_crossings":
            negative = views < 0
            crossings: Array = (negative[:, :, 1:] != negative[:, :, :-1]).sum(axis=2) * self._one
            return crossings
        mean: Array = (views.sum(axis=2) + window // 2) // window
        if name == "mean":
            return mean
        around = views - mean[:, :, np.newaxis] if name == "std" else views
        small = np.clip(around, -SQUARED, SQUARED)
        return roots((small * small).sum(axis=2) // window)

    def save(self) -> list[Any]:
        return self._held.tolist()

    def restore(self, state: list[Any]) -> None:
        self._held = np.array(state, np.int64).reshape(-1, self._held.shape[1])


STAGES: Final[Mapping[str, Any]] = {
    made.stage: made for made in (Standardise, Filter, Magnitude, Select, Difference, Statistics)
}


def read_stage(config: Mapping[str, Any], rate: float) -> Stage:
    """The stage of a configuration, for samples at a rate.

    Raises:
        InputError: it has no such stage, or a field is wrong.
    """
    fields = dict(config)
    name = fields.pop("stage", None)
    if not isinstance(name, str) or name not in STAGES:
        raise InputError(f"stage {name!r} is not one of {', '.join(STAGES)}")
    check(f"stage '{name}'", STAGES[name].of, fields, given=("rate",))
    made: Stage = STAGES[name].of(rate, **fields)
    return made


def _require(stage: str, wanted: Sequence[int], channels: int) -> None:
    for channel in wanted:
        if not isinstance(channel, int) or not 0 <= channel < channels:
            raise InputError(f"stage '{stage}': there is no channel {channel}, only {channels}")
