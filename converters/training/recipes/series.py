"""Forecasts of slow sensors: what the recipes anomaly and forecast share.

One long recording has no groups to split by: it is split in time, and the later part judges. A
network is trained on stretches of the first part, each moved and scaled as a whole, so that levels
which that part never reached are nothing new to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from converters.training.architectures import Shape, build, build_carried, find
from converters.training.fitting import Batch
from converters.training.recipes.sensors import averaged, found, varied_by
from converters.training.settings import Settings
from edgernn.errors import InputError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.labelled import Labelled
from edgernn.labelled.splits import Split, split

Array = npt.NDArray[Any]

WIDER: Final = 3.0
"""What the converted model can say reaches so many times further from the mean than what it saw."""


@dataclass(frozen=True)
class SeriesAugmentation:
    """How far stretches are altered; in standard deviations of the series.

    Args:
        shift: of the level, standard deviation.
        scale: of the swings, standard deviation around 1.
        jitter: noise of every reading.
    """

    shift: float = 0.3
    scale: float = 0.15
    jitter: float = 0.05


def front_end_of(
    settings: Settings, recordings: Sequence[Labelled], average: int = 1
) -> SensorFrontEnd:
    """What the settings say, else the mean of so many readings, and standardised in any case.

    Means and deviations are those of `recordings`, which must be the training part.
    """
    front_end = found(settings)
    if not front_end.stages:
        front_end = replace(front_end, stages=averaged(average))
    if any(stage["stage"] == "standardise" for stage in front_end.stages):
        return front_end
    return front_end.learn([pair(one) for one in recordings])


def pair(recording: Labelled) -> Any:
    """Samples, with their times if it has them, as front ends and pipelines take them."""
    if recording.times is None:
        return recording.samples
    return recording.samples, recording.times


def frames_of(front_end: SensorFrontEnd, recordings: Sequence[Labelled]) -> list[Array]:
    """Frames `(n, F)` of every unbroken stretch."""
    stretches = []
    for one in recordings:
        made = front_end.stream().push(one.samples, one.times)
        real = (made.features * front_end.scale).astype(np.float32)
        stretches += [part for part in np.split(real, np.flatnonzero(made.breaks)) if len(part)]
    return stretches


def parts_of(settings: Settings, recordings: Sequence[Labelled]) -> Split:
    """By group where groups are named or there are several; else by time, the test last.

    Raises:
        InputError: a share is none, or nothing is left to train on.
    """
    chosen = settings.split
    shares = (chosen.test or 0.0, chosen.validation or 0.0)
    test, validation = (share if isinstance(share, (int, float)) else None for share in shares)
    several = len({one.group for one in recordings}) > 1
    if test is None or validation is None or chosen.train or several:
        return split(
            recordings,
            test=chosen.test,
            validation=chosen.validation,
            train=chosen.train,
            seed=settings.fit.seed,
        )
    if not (test >= 0 and validation >= 0 and test + validation < 1):
        raise InputError(
            f"split: test {test:g} and validation {validation:g} leave no training part"
        )
    cuts = (0.0, 1 - test - validation, 1 - test, 1.0)
    made = [
        [stretch(one, cuts[k], cuts[k + 1]) for one in recordings if cuts[k] < cuts[k + 1]]
        for k in range(3)
    ]
    return Split(*made)


def joined(first: Sequence[Labelled], second: Sequence[Labelled]) -> list[Labelled]:
    """Stretches of the same recordings, the second right behind the first, as whole ones."""
    after = {one.name: one for one in second}
    whole = []
    for one in first:
        other = after.pop(one.name, None)
        if other is not None:
            samples = np.concatenate([one.samples, other.samples])
            times = None
            if one.times is not None and other.times is not None:
                times = np.concatenate([one.times, other.times])
            one = replace(one, samples=samples, times=times)
        whole.append(one)
    return [*whole, *after.values()]


def stretch(recording: Labelled, first: float, last: float) -> Labelled:
    """The samples of a recording between two shares of it, without what is true of them."""
    count = len(recording.samples)
    rows = slice(round(first * count), round(last * count))
    times = None if recording.times is None else recording.times[rows]
    return replace(recording, samples=recording.samples[rows], times=times, spans=())


class Memory(NamedTuple):
    """How long a series remembers: frames until it has `forgotten` what it was, and frames that
    stand for one `independent` value.
    """

    forgotten: int
    independent: int


def memory_of(series: Sequence[Array], longest: int) -> Memory:
    """From the autocorrelation of stretches `(n, F)`: where it is 0 first, and its integral so far.

    It is that of all channels together, and looked at up to `longest` frames.
    """
    level = np.concatenate(series).mean(axis=0)
    apart = [(one - level).astype(np.float64) for one in series]

    def product(lag: int) -> float:
        return sum(float((one[: len(one) - lag] * one[lag:]).sum()) for one in apart)

    whole, total = product(0), 1.0
    for lag in range(1, longest + 1):
        share = product(lag) / whole if whole else 0.0
        if share <= 0:
            return Memory(lag, max(1, round(total)))
        total += 2 * share
    return Memory(max(1, longest), max(1, round(total)))


def networks(settings: Settings, features: int, residual: bool) -> tuple[keras.Model, keras.Model]:
    """The network that forecasts a frame from those before it, and its twin for training.

    With `residual` it says how far the frame will be from the present one, which is added.

    Raises:
        InputError: the architecture does not give a forecast with every frame.
    """
    chosen = find(settings.architecture)
    if chosen.stride != 1 or chosen.context:
        raise InputError(
            f"architecture '{settings.architecture}' does not forecast at every frame: use gru-s, "
            "lstm-s, fastgrnn-s …"
        )
    shape = Shape(features, features, "linear", dropout=0.1)
    made = (
        build(settings.architecture, shape),
        build_carried(settings.architecture, shape, settings.fit.batch),
    )
    if not residual:
        return made
    first, second = (
        keras.Model(one.input, keras.layers.Add(name="forecast")([one.input, one.output]))
        for one in made
    )
    return first, second


@dataclass(frozen=True)
class Stretches:
    """`Batches` of stretches that begin anywhere in the training part."""

    series: tuple[Array, ...]
    horizon: int
    how: SeriesAugmentation
    rows: int
    window: int
    warmup: int
    seed: int
    carried: bool = True

    @property
    def steps(self) -> int:
        """Of an epoch: as long as half of the longest stretch, at most a dozen windows."""
        longest = max(len(one) for one in self.series) - self.horizon
        steps = min(12, longest // (2 * self.window))
        if steps < 1:
            raise InputError(
                f"the training part has {longest + self.horizon} frames without a gap: too few to "
                f"learn from in windows of {self.window}, {self.horizon} frames ahead"
            )
        return steps

    def batch(self, epoch: int, index: int) -> Batch:
        """See `Batches`."""
        random = np.random.default_rng((self.seed, epoch))
        length = self.steps * self.window
        usable = [one for one in self.series if len(one) >= length + self.horizon]
        room = np.array([len(one) - length - self.horizon + 1 for one in usable], float)
        chosen = random.choice(len(usable), self.rows, p=room / room.sum())
        starts = [int(random.integers(room[k])) for k in chosen]
        width = self.series[0].shape[1]
        size = np.exp(self.how.scale * random.normal(size=(self.rows, 1, width)))
        level = self.how.shift * random.normal(size=(self.rows, 1, width))
        noise = np.random.default_rng((self.seed, epoch, index)).normal(
            size=(self.rows, self.window, width)
        )
        first = index * self.window

        def cut(ahead: int) -> Array:
            at = first + ahead
            rows = [
                usable[k][start + at : start + at + self.window]
                for k, start in zip(chosen, starts, strict=True)
            ]
            return np.asarray(np.stack(rows) * size + level)

        weight = np.ones((self.rows, self.window), np.float32)
        if first < self.warmup:
            weight[:, : self.warmup - first] = 0.0
        x = (cut(0) + self.how.jitter * noise).astype(np.float32)
        return Batch(x, cut(self.horizon).astype(np.float32), weight)


def stretches(
    settings: Settings,
    learned: Sequence[Array],
    horizon: int,
    rate: float,
    lengths: tuple[int, int],
) -> Stretches:
    """The batches of the settings; `lengths` are the recipe's own of window and warm-up."""
    window, warmup = (
        max(1, round(seconds * rate)) if seconds else own
        for seconds, own in zip((settings.fit.window, settings.fit.warmup), lengths, strict=True)
    )
    return Stretches(
        tuple(learned),
        horizon,
        varied_by(SeriesAugmentation, settings),
        rows=settings.fit.batch,
        window=window,
        warmup=warmup,
        seed=settings.fit.seed,
    )


def validation_of(series: Sequence[Array], horizon: int, skipped: int) -> Any:
    """How good a forecast is: minus the mean error in standard deviations; 0 without data.

    The first `skipped` frames of each stretch warm the network up.
    """
    usable = [one for one in series if len(one) > horizon + skipped]

    def score(model: keras.Model) -> float:
        errors = []
        for one in usable:
            said = model.predict_on_batch(one[np.newaxis, :-horizon])[0]
            errors.append(np.abs(said - one[horizon:])[skipped:].ravel())
        return -float(np.concatenate(errors).mean()) if errors else 0.0

    return score


def calibration(series: Sequence[Array]) -> list[Array]:
    """What quantization is calibrated on: the series, and the same with wider swings.

    An anomaly that the first weeks have not seen must not be cut off at what they have.
    """
    return [*series, *(one * np.float32(WIDER) for one in series)]
