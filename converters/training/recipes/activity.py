"""Activities of people who wear a sensor: a label for every moment of a continuous stream.

What is trained on are streams of whole recordings, one after the other, with the network's state
carried from batch to batch, as on a wrist. Every recording is varied anew in every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from converters.configure import configure
from converters.conversion import convert
from converters.training.architectures import Shape, build, build_carried, find
from converters.training.augment.motion import (
    MotionAugmentation,
    Triple,
    triples,
    vary_motion,
)
from converters.training.fitting import Batch, Progress, deterministic, fit
from converters.training.outcome import Trained, write
from converters.training.plan import Plan
from converters.training.recipes.sensors import averaged, described, found, varied_by
from converters.training.settings import CHECKPOINT, Settings
from edgernn.errors import InputError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.labelled import Labelled, classes, labels_of_frames
from edgernn.labelled.splits import Split, split

Array = npt.NDArray[Any]

FRAMES: Final = 25.0
"""Frames a second, about: enough for what a body does."""
WINDOW: Final = 5.0
"""Seconds through which gradients flow."""
WARMUP: Final = 0.5
"""Seconds at the start of a stream that are not learned from."""
VOTE: Final = {"kind": "majority", "window": 0.3, "minimum": 0.0}
"""The detector, if none is given."""


@dataclass(frozen=True)
class Example:
    """A recording as the network sees it: frames `(n, F)` and the class of each, -1 for none."""

    frames: Array
    truth: Array


def plan(settings: Settings, recordings: Sequence[Labelled]) -> Plan:
    """What will be trained.

    Raises:
        InputError: the recordings, the split or the settings cannot be used.
    """
    names = classes(recordings)
    return Plan(front_end_of(settings), parts_of(settings, recordings), len(names), names)


def train(
    settings: Settings, recordings: Sequence[Labelled], progress: Progress | None = None
) -> Trained:
    """Train, convert, and write into the settings' folder; a checkpoint there is continued.

    Raises:
        InputError: the recordings, the split or the settings cannot be used.
    """
    deterministic(settings.fit.seed)
    keras.utils.clear_session()
    front_end = front_end_of(settings)
    names = classes(recordings)
    parts = parts_of(settings, recordings)
    late = round(settings.delay * front_end.frame_rate)
    learned = [example(one, front_end, names, late) for one in parts.train]
    judged = [example(one, front_end, names, late) for one in parts.validation]
    architecture, rows = find(settings.architecture), settings.fit.batch
    batches = Streams(
        tuple(learned),
        tuple(front_end.names),
        len(names),
        varied_by(MotionAugmentation, settings),
        rows=rows,
        window=_frames(settings.fit.window or WINDOW, front_end, architecture.stride),
        warmup=_frames(settings.fit.warmup or WARMUP, front_end, 1),
        context=architecture.context,
        stride=architecture.stride,
        seed=settings.fit.seed,
    )
    mean, variance = batches.moments()
    shape = Shape(len(mean), len(names), "softmax", mean, variance)
    model = build(settings.architecture, shape)
    twin = build_carried(settings.architecture, shape, rows)

    def validation(candidate: keras.Model) -> float:
        return macro_f1(candidate, judged, architecture.stride) if judged else 0.0

    history = fit(
        model, twin, batches, validation, "classes", settings.fit, settings.folder, progress
    )
    converted = convert(
        model, [one.frames for one in learned], precision=settings.precision, labels=names
    )
    converted = configure(converted, front_end, {**VOTE, **settings.detector}, delay=late)
    facts = {
        "labels": list(names),
        **described(settings, parts, "--task", "frames"),
        "validation_is": "macro-F1 of frames",
    }
    (settings.folder / CHECKPOINT).unlink(missing_ok=True)
    return write(settings, model, converted, history, facts)


def parts_of(settings: Settings, recordings: Sequence[Labelled]) -> Split:
    """By person; every label must be among what is trained on."""
    how = settings.split
    return split(
        recordings,
        test=how.test,
        validation=how.validation,
        train=how.train,
        seed=settings.fit.seed,
        labels=classes(recordings),
    )


def front_end_of(settings: Settings) -> SensorFrontEnd:
    """What the settings say, else the data, else averages and the length of each triple.

    Lengths stay the same however the sensor is turned, and both they and averages of the rotated
    channels can be computed from rotated frames, so that frames are what is varied.

    Raises:
        InputError: the data are no tables, or the settings do not fit them.
    """
    front_end = found(settings)
    if front_end.stages:
        return front_end
    stages = averaged(max(1, round(front_end.rate / FRAMES)))
    stages += [
        {"stage": "magnitude", "channels": list(triple.places)}
        for triple in triples(front_end.names)
    ]
    return replace(front_end, stages=stages)


def example(
    recording: Labelled, front_end: SensorFrontEnd, names: Sequence[str], late: int = 0
) -> Example:
    """A recording's frames, with what was true `late` frames before each."""
    frames = front_end.stream().push(recording.samples, recording.times)
    if not len(frames):
        raise InputError(f"{recording.name}: is too short for a single frame")
    real = (frames.features * front_end.scale).astype(np.float32)
    truth = labels_of_frames(recording, frames, names)
    known = truth[: max(0, len(truth) - late)]
    return Example(real, np.concatenate([np.full(len(truth) - len(known), -1), known]))


@dataclass(frozen=True)
class Streams:
    """`Batches` of streams: recordings in random order, each varied, one after the other."""

    examples: tuple[Example, ...]
    names: tuple[str, ...]
    classes: int
    how: MotionAugmentation
    rows: int
    window: int
    warmup: int
    context: int
    stride: int
    seed: int
    carried: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "_made", {})

    @property
    def steps(self) -> int:
        """As many as bring every frame about once."""
        total = sum(len(one.frames) for one in self.examples)
        return max(2, round(total / (self.rows * self.window)))

    @property
    def weights(self) -> Array:
        """Of each class: rare ones count more, by the root of how rare they are."""
        truth = np.concatenate([one.truth for one in self.examples])
        counts = np.bincount(truth[truth >= 0], minlength=self.classes)
        rare = np.sqrt(counts.sum() / np.maximum(counts, 1) / self.classes)
        return np.asarray(rare, np.float32)

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance of the frames as they are trained on.

        An axis on which the recordings never change does so once the sensor is turned.
        """
        frames = self._epoch(0)[0].reshape(-1, self.examples[0].frames.shape[1])
        return frames.mean(axis=0), frames.var(axis=0) + 1e-6  # at rest, there is no variance

    def batch(self, epoch: int, index: int) -> Batch:
        """See `Batches`."""
        x, y, weight = self._epoch(epoch)
        first = index * self.window
        seen = slice(first, first + self.context + self.window)
        told = slice(first, first + self.window, self.stride)
        return Batch(x[:, seen], y[:, told], weight[:, told])

    def _epoch(self, epoch: int) -> tuple[Array, Array, Array]:
        """All streams of an epoch; the last one made is kept."""
        made: dict[int, Any] = self._made  # type: ignore[attr-defined]
        if epoch not in made:
            built = self._build(epoch)
            made.clear()
            made[epoch] = built
        return made[epoch]  # type: ignore[no-any-return]

    def _build(self, epoch: int) -> tuple[Array, Array, Array]:
        random = np.random.default_rng((self.seed, epoch))
        length = self.steps * self.window
        sensors = triples(self.names)
        waiting: list[int] = []
        streams = []
        for _ in range(self.rows):
            parts: list[tuple[Array, Array]] = []
            while sum(len(truth) for _, truth in parts) < length:
                waiting = waiting or random.permutation(len(self.examples)).tolist()
                parts.append(self._varied(self.examples[waiting.pop()], sensors, random))
            streams.append([np.concatenate(column)[:length] for column in zip(*parts, strict=True)])
        x, y = (np.stack(column) for column in zip(*streams, strict=True))
        weight = np.where(y >= 0, self.weights[y], 0.0).astype(np.float32)
        weight[:, : self.warmup] = 0.0
        before = np.repeat(x[:, :1], self.context, axis=1)
        return np.concatenate([before, x], axis=1), np.maximum(y, 0), weight

    def _varied(
        self, one: Example, sensors: Sequence[Triple], random: np.random.Generator
    ) -> tuple[Array, Array]:
        channels = len(self.names)
        extra = one.frames.shape[1] - channels
        if extra not in (0, len(sensors)):  # stages of the user's own: turned, they are others
            return one.frames, one.truth
        frames, truth = vary_motion(one.frames[:, :channels], one.truth, sensors, self.how, random)
        lengths = [np.linalg.norm(frames[:, t.places], axis=1, keepdims=True) for t in sensors]
        return np.concatenate([frames, *lengths[:extra]], axis=1), truth


def macro_f1(model: keras.Model, examples: Sequence[Example], stride: int) -> float:
    """F1 of the classes on average, over all frames; every recording from the first state on."""
    longest = max(len(one.frames) for one in examples)
    x = np.stack([np.pad(e.frames, [(0, longest - len(e.frames)), (0, 0)]) for e in examples])
    scores = np.concatenate([model.predict_on_batch(x[i : i + 64]) for i in range(0, len(x), 64)])
    truth = np.concatenate([one.truth[::stride] for one in examples])
    rows = zip(scores, examples, strict=True)
    said = np.concatenate([row[: len(one.truth[::stride])].argmax(axis=1) for row, one in rows])
    hits = np.bincount(truth[(truth == said) & (truth >= 0)], minlength=scores.shape[-1])
    both = np.bincount(truth[truth >= 0], minlength=len(hits))
    both = both + np.bincount(said[truth >= 0], minlength=len(hits))
    return float(np.mean(2 * hits[both > 0] / both[both > 0]))


def _frames(seconds: float, front_end: SensorFrontEnd, multiple: int) -> int:
    return max(1, round(seconds * front_end.frame_rate / multiple)) * multiple
