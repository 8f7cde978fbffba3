"""Keywords: a network that listens all the time, and says which word just ended.

It is trained on endless streams made out of the clips (`converters/training/words.py`) and judged
as the device will judge: a clip's word is the label whose smoothed score peaks highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from converters.configure import configure
from converters.conversion import convert
from converters.training import architectures
from converters.training.augment.audio import AudioAugmentation
from converters.training.fitting import Progress, deterministic, fit
from converters.training.outcome import Trained, write
from converters.training.plan import Plan
from converters.training.settings import CHECKPOINT, Settings
from converters.training.voices import accents, spoken
from converters.training.words import BACKGROUND, Words, WordStreams, section, varied
from edgernn.errors import InputError
from edgernn.frontends import read
from edgernn.frontends.audio import AudioFrontEnd
from edgernn.labelled import Labelled
from edgernn.labelled.splits import Split, split

Array = npt.NDArray[Any]

WINDOW: Final = 2.0
"""Seconds through which gradients flow; the state goes on."""
SMOOTHING: Final = 0.12
"""Seconds over which the detector takes the mean of scores."""
DROPOUT: Final = 0.2
"""Less than elsewhere: what is said is altered so much that it is hard enough to learn."""
_TAIL: Final = 0.4
"""Seconds of near silence behind a clip on which validation looks."""
_SAMPLE: Final = 64
"""Sections for the statistics of frames."""
_CALIBRATION: Final = 100
"""Sections that the converter sees."""


@dataclass(frozen=True)
class Task:
    """What is to be told apart: labels by output, the first for all else."""

    labels: tuple[str, ...]
    front_end: AudioFrontEnd
    parts: Split

    def class_of(self, label: str | None) -> int:
        """The output of a label, 0 if it is none of the keywords."""
        return self.labels.index(label) if label in self.labels else 0


def front_end_of(settings: Settings, recordings: Sequence[Labelled]) -> AudioFrontEnd:
    """The settings' own; 32 bands of windows of 32 ms every 20 ms where they say nothing.

    Raises:
        InputError: the front end is not for sound.
    """
    if settings.front_end.get("kind", "audio") != "audio":
        raise InputError(
            f"front end '{settings.front_end['kind']}': the recipe keyword needs kind = \"audio\""
        )
    given = {"bands": 32, **settings.front_end, "kind": "audio"}
    if given.get("output") != "agc":
        # That of quiet speech: how silent a room was says nothing about the word.
        given.setdefault("floor", 0.01)
    given.setdefault("rate", round(recordings[0].rate))
    given.setdefault("window", min(1024, round(0.032 * given["rate"])))
    given.setdefault("hop", min(given["window"], round(0.02 * given["rate"])))
    front_end = read(given)
    assert isinstance(front_end, AudioFrontEnd)
    return front_end


def task_of(settings: Settings, recordings: Sequence[Labelled], front_end: AudioFrontEnd) -> Task:
    """Labels and parts.

    Raises:
        InputError: a keyword is no label of the recordings, or the split cannot be made.
    """
    found = sorted({r.label for r in recordings if r.label is not None})
    missing = [word for word in settings.keywords if word not in found]
    if missing:
        raise InputError(
            f"keyword '{missing[0]}' is no label of the data, which have: {', '.join(found)}"
        )
    words = tuple(settings.keywords) or tuple(found)
    if len(found) < 2 and not settings.keywords:
        raise InputError(f"the data have only the label '{found[0]}': two classes are needed")
    how = settings.split
    parts = split(
        recordings,
        test=how.test,
        validation=how.validation,
        train=how.train,
        seed=settings.fit.seed,
        labels=words,
    )
    return Task((BACKGROUND, *words), front_end, parts)


def plan(settings: Settings, recordings: Sequence[Labelled]) -> Plan:
    """What will be trained.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    task = task_of(settings, recordings, front_end_of(settings, recordings))
    if settings.voices:
        accents(settings.voices)  # that there are any, before anything is begun
    return Plan(task.front_end, task.parts, len(task.labels), task.labels)


def train(
    settings: Settings, recordings: Sequence[Labelled], progress: Progress | None = None
) -> Trained:
    """Train, convert, and write into the settings' folder; a checkpoint there is continued.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    front_end = front_end_of(settings, recordings)
    task = task_of(settings, recordings, front_end)
    deterministic(settings.fit.seed)
    keras.utils.clear_session()
    streams = streams_of(settings, task)
    shape = shape_of(settings, task, streams)
    streams.still = shape.mean
    model = architectures.build(settings.architecture, shape)
    twin = architectures.build_carried(settings.architecture, shape, streams.rows)
    validation = Validation(task)
    history = fit(
        model, twin, streams, validation, "classes", settings.fit, settings.folder, progress
    )
    detector = {
        "kind": "trigger",
        "threshold": 0.5,
        "smoothing": max(1, round(SMOOTHING * front_end.frame_rate / streams.stride)),
        "ignore": [BACKGROUND],
        **settings.detector,
    }
    made = convert(
        model,
        _calibration(task, streams),
        precision=settings.precision,
        labels=list(task.labels),
    )
    made = configure(made, front_end, detector)
    facts = {
        "labels": list(task.labels),
        "groups": {
            name: sorted({r.group for r in part}) for name, part in task.parts._asdict().items()
        },
        "recordings": {name: len(part) for name, part in task.parts._asdict().items()},
        "evaluate": _judged_by(settings, task),
    }
    (settings.folder / CHECKPOINT).unlink(missing_ok=True)
    return write(settings, model, made, history, facts)


def _judged_by(settings: Settings, task: Task) -> list[str]:
    """Flags of `edgernn evaluate`: who was never heard, and an hour of streams for keywords."""
    groups = [sorted({r.group for r in part if r.label is not None}) for part in task.parts]
    trained_on, _, test = groups
    flags = ["--test", ",".join(test)] if test else []
    if not settings.keywords:
        return ["--task", "clips", *flags]
    chosen_on = ["--choose-on", ",".join(trained_on)] if test else []
    return ["--task", "events", "--hours", "1", *flags, *chosen_on]


def streams_of(settings: Settings, task: Task) -> WordStreams:
    """The endless streams that it is trained on; an epoch is about two passes over the clips."""
    clips = [r for r in task.parts.train if r.label is not None]
    words = Words(
        [clip.samples.astype(np.float32) for clip in clips],
        [task.class_of(clip.label) for clip in clips],
        task.front_end.rate,
        [r.samples for r in task.parts.train if r.label is None],
        voices=_voices(settings, task, clips),
    )
    chosen = architectures.find(settings.architecture)
    rate = task.front_end.frame_rate
    frames = round((settings.fit.window or WINDOW) * rate / chosen.stride) * chosen.stride
    spoken = sum(len(clip.samples) / clip.rate for clip in clips) + 0.6 * len(clips)
    steps = max(4, round(2 * spoken * rate / (frames * settings.fit.batch)))
    return WordStreams(
        words,
        task.front_end,
        augmentation(settings.augmentation),
        rows=settings.fit.batch,
        frames=frames,
        steps=steps,
        seed=settings.fit.seed,
        context=chosen.context,
        stride=chosen.stride,
    )


def _voices(settings: Settings, task: Task, clips: Sequence[Labelled]) -> Words | None:
    """The labels said by synthetic voices, as loud as the recordings."""
    if not settings.voices:
        return None
    labels = sorted({clip.label for clip in clips if clip.label is not None})
    rate = task.front_end.rate
    takes = spoken(labels, settings.voices, rate, settings.fit.seed)
    loud = float(np.median([_power(clip.samples) for clip in clips]))
    said, classes = [], []
    for label in labels:
        said += [take * np.float32(loud / _power(take)) for take in takes[label]]
        classes += [task.class_of(label)] * len(takes[label])
    return Words(said, classes, rate)


def _power(samples: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float32))) + 1e-9))


def augmentation(given: Mapping[str, Any]) -> AudioAugmentation:
    """How far recordings are altered.

    Raises:
        InputError: a field is not known.
    """
    known = {one.name for one in fields(AudioAugmentation)}
    for name in given:
        if name not in known:
            raise InputError(f"augmentation: no field '{name}'; use {', '.join(sorted(known))}")
    return AudioAugmentation(**given)


def shape_of(settings: Settings, task: Task, streams: WordStreams) -> architectures.Shape:
    """Sizes, and the statistics of frames as they are trained on."""
    seed = settings.fit.seed
    random = np.random.default_rng([seed, 0])
    how = streams.augmentation
    made = [section(streams.words, task.front_end, how, random) for _ in range(_SAMPLE)]
    frames = np.concatenate([varied(one, task.front_end, how, random).features for one in made])
    return architectures.Shape(
        frames.shape[1],
        len(task.labels),
        mean=frames.mean(axis=0),
        variance=frames.var(axis=0),
        dropout=DROPOUT,
    )


def _calibration(task: Task, streams: WordStreams) -> list[Array]:
    random = np.random.default_rng([streams.seed, 1])
    how = streams.augmentation
    made = [section(streams.words, task.front_end, how, random) for _ in range(_CALIBRATION)]
    return [varied(one, task.front_end, how, random).features for one in made]


class Validation:
    """The share of validation's keywords that the network decides right, in float."""

    def __init__(self, task: Task) -> None:
        keywords = [r for r in task.parts.validation if r.label in task.labels]
        self.classes = np.array([task.class_of(r.label) for r in keywords])
        self.features = _padded([r.samples for r in keywords], task.front_end)
        self.smoothing = SMOOTHING * task.front_end.frame_rate

    def __call__(self, model: keras.Model) -> float:
        """Between 0 and 1; 0 if there is nothing to judge by."""
        if not len(self.classes):
            return 0.0
        scores = model.predict(self.features, batch_size=64, verbose=0)[:, :, 1:]
        per_frame = scores.shape[1] / self.features.shape[1]
        count = max(1, round(self.smoothing * per_frame))
        sums = np.cumsum(np.pad(scores, ((0, 0), (count, 0), (0, 0))), axis=1)
        peaks = (sums[:, count:] - sums[:, :-count]).max(axis=1)
        return float(np.mean(peaks.argmax(axis=1) + 1 == self.classes))


def _padded(clips: Sequence[Array], front_end: AudioFrontEnd) -> Array:
    """Features of clips with near silence behind them, all of one length."""
    if not clips:
        return np.zeros((0, 1, front_end.bands), np.float32)
    tail = int(_TAIL * front_end.rate)
    longest = max(map(len, clips)) + tail
    random = np.random.default_rng(0)
    made = []
    for clip in clips:
        samples = np.rint(random.standard_normal(longest)).astype(np.int16)
        samples[: len(clip)] += clip
        made.append(front_end.features(samples))
    return np.stack(made)
