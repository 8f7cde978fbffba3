"""Labels of samples: what the model says with every prediction, against what was true then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors import read
from edgernn.detectors.fields import names_of
from edgernn.detectors.majority import Majority
from edgernn.evaluation.runs import Answers, Run, samples_of
from edgernn.evaluation.tally import NOTHING, Tally, position
from edgernn.labelled import Labelled
from edgernn.model import Model
from edgernn.pipeline import facts_of

Array = npt.NDArray[Any]
_EPSILON = 1e-6
"""Seconds: what times are rounded to."""
Progress = Callable[[int, int], None]


def truth_at(
    recording: Labelled, labels: Sequence[str], seconds: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Positions of the labels that are true at some moments; `NOTHING` outside of all spans.

    A span's start belongs to it, its end to what comes behind it.

    Raises:
        InputError: a span's label is none of `labels`.
    """
    spans = sorted(recording.spans, key=lambda span: span.start)
    if not spans:
        return np.full(len(seconds), NOTHING)
    known = np.array([position(labels, span.label, recording.name) for span in spans])
    at = np.searchsorted([span.start for span in spans], seconds, side="right") - 1
    inside = (at >= 0) & (seconds < np.array([span.end for span in spans])[at])
    return np.where(inside, known[at], NOTHING)


def latency_of(model: Model) -> float:
    """Seconds between the frame that a prediction is for, and the prediction."""
    rate = frontends.read(model.metadata.front_end).frame_rate
    return model.metadata.latency / rate


def judge(
    run: Run,
    model: Model,
    recordings: Sequence[Labelled],
    progress: Progress | None = None,
    vote: Majority | None = None,
) -> Tally:
    """Every prediction of every recording, from a reset on; frames without a label do not count.

    A prediction decides for its highest score; with `vote`, for what the vote believes by then.

    Raises:
        InputError: a label is none of the model's.
    """
    labels = names_of(model.labels, int(np.prod(model.prediction_shape)))
    tally = Tally(labels)
    latency = latency_of(model)
    for done, recording in enumerate(recordings, start=1):
        run.reset()
        answers = run.push(*samples_of(recording))
        # Without a clock, a stream's time is that behind a sample, and a span's that before it.
        behind = 1 / recording.rate if recording.times is None else 0.0
        truth = truth_at(recording, labels, answers.times / 1e6 - latency - behind + _EPSILON)
        best = run.real(answers.raw).argmax(axis=1)
        decided = best if vote is None else believed(vote, answers)
        counted = truth != NOTHING
        tally.add(recording.group, truth[counted], decided[counted])
        if progress is not None:
            progress(done, len(recordings))
    return tally


def vote_of(model: Model) -> Majority | None:
    """The model's vote, telling of every label; None if its detector is another."""
    if model.metadata.detector.get("kind") != "majority":
        return None
    fields = {**model.metadata.detector, "ignore": []}
    made = read(fields, facts_of(model, frontends.read(model.metadata.front_end)))
    return made if isinstance(made, Majority) else None


def believed(vote: Majority, answers: Answers) -> npt.NDArray[np.int64]:
    """Positions of the labels that a vote believes at every prediction; `NOTHING` at first."""
    vote = replace(vote, ignored=())
    result = np.full(len(answers.times), NOTHING)
    for rows in np.split(np.arange(len(answers.times)), list(answers.starts)):
        if not len(rows):
            continue
        times = answers.times[rows]
        for event in vote.stream().push(answers.raw[rows], times):
            if event.phase == "on":
                turn = int(np.searchsorted(times, round(event.end * 1e6)))
                result[rows[turn:]] = vote.labels.index(event.label)
    return result
