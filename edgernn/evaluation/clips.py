"""Labelled clips: which label a model decides on for each, with its state reset or carried.

With a trigger, the decision is the label whose smoothed score peaks highest over the clip and a
short tail of silence; labels that the trigger ignores are never decided on. Without one, the model
answers at the end: its last scores decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors.fields import names_of
from edgernn.detectors.scores import windowed
from edgernn.detectors.trigger import Trigger
from edgernn.errors import InputError
from edgernn.evaluation.runs import Run, samples_of
from edgernn.evaluation.tally import NOTHING, Tally, position
from edgernn.labelled import Labelled
from edgernn.model import Model
from edgernn.pipeline import detector_of

TAIL = 0.5
"""Seconds of silence behind a clip, in which a score may still rise."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Decision:
    """How a model's scores become one label of a clip.

    `outputs` are the positions of labels that can be decided on, `smoothing` is in predictions,
    `peak` says whether the highest score of the clip decides, or the last.
    """

    labels: tuple[str, ...]
    outputs: tuple[int, ...]
    smoothing: int
    peak: bool


def decision_of(model: Model) -> Decision:
    """What the model's detector says about it.

    Raises:
        InputError: its predictions are not scores of two labels or more.
    """
    labels = names_of(model.labels, int(np.prod(model.prediction_shape)))
    detector = detector_of(model, frontends.read(model.metadata.front_end))
    if isinstance(detector, Trigger):
        outputs = tuple(label.output for label in detector.labels)
        return Decision(labels, outputs, detector.smoothing, True)
    if len(labels) < 2:
        raise InputError("the model has one output and no trigger: there is no label to decide on")
    return Decision(labels, tuple(range(len(labels))), 1, False)


def judge(
    run: Run,
    clips: Sequence[Labelled],
    decision: Decision,
    *,
    carried: bool = False,
    tail: float = TAIL,
    progress: Progress | None = None,
) -> Tally:
    """Decide on every clip; `carried` keeps the state from one clip to the next (`reset0`).

    `tail` is in seconds; models that answer at the end get none. `progress` is called with the
    number of clips done and the number there are. Clips must have a `label`.

    Raises:
        InputError: a clip's label is none of the model's.
    """
    tally = Tally(decision.labels)
    before = _nothing(decision)
    elapsed = 0
    run.reset()
    for done, clip in enumerate(clips, start=1):
        truth = position(decision.labels, clip.label or "", clip.name)
        if not carried:
            run.reset()
            before, elapsed = _nothing(decision), 0
        samples, times = samples_of(clip, tail if decision.peak else 0.0)
        if times is not None:
            times = times + elapsed
            elapsed = int(times[-1] + 1e6 / clip.rate)
        raw = run.push(samples, times).raw
        decided = NOTHING
        if len(raw) and decision.peak:
            scores = run.scores(raw)[:, list(decision.outputs)]
            sums = windowed(scores, before)
            before = np.concatenate([before, scores])[len(scores) :]
            decided = decision.outputs[int(sums.max(axis=0).argmax())]
        elif len(raw):
            decided = int(run.real(raw[-1:])[0].argmax())
        tally.add(clip.group, truth, decided)
        if progress is not None:
            progress(done, len(clips))
    return tally


def _nothing(decision: Decision) -> npt.NDArray[np.int64]:
    return np.zeros((decision.smoothing - 1, len(decision.outputs)), np.int64)


def decidable(clips: Iterable[Labelled], decision: Decision) -> tuple[list[Labelled], int]:
    """The clips that a decision can be right about, and how many have an ignored label."""
    known = {decision.labels[i] for i in decision.outputs}
    ignored = set(decision.labels) - known
    every = list(clips)
    kept = [clip for clip in every if clip.label not in ignored]
    return kept, len(every) - len(kept)


def both(
    run: Run,
    clips: Sequence[Labelled],
    decision: Decision,
    tail: float = TAIL,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """`reset1`, the state reset before each clip, and `reset0`, carried from clip to clip."""
    found = {}
    for name, carried in (("reset1", False), ("reset0", True)):
        tally = judge(run, clips, decision, carried=carried, tail=tail, progress=progress)
        found[name] = tally.to_dict()
    return found
