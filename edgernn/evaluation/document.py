"""The evaluation document: one function a task, each giving its sections as JSON has them.

That of events is in `event_document.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgernn.detectors.anomaly import Anomaly, AnomalyStream
from edgernn.errors import InputError
from edgernn.evaluation import anomalies, clips, forecasts, frames
from edgernn.evaluation.runs import samples_of
from edgernn.evaluation.subject import Progress, Subject
from edgernn.evaluation.traces import Series, features_of, trace
from edgernn.events import Event
from edgernn.labelled import Labelled

FORMAT = 1
TASKS = ("clips", "events", "frames", "anomaly", "forecast")


def task_of(subject: Subject, recordings: Sequence[Labelled]) -> str:
    """The task that a model's detector is for; without one, what the recordings tell."""
    kind = subject.model.metadata.detector.get("kind")
    if kind is not None:
        return {"trigger": "events", "majority": "frames", "anomaly": "anomaly"}[str(kind)]
    if any(one.label is not None for one in recordings):
        return "clips"
    return "frames" if any(one.spans for one in recordings) else "forecast"


def clips_document(
    subject: Subject, recordings: Sequence[Labelled], tail: float, progress: Progress
) -> dict[str, Any]:
    """Accuracy of labelled clips, state reset and carried, quantized and float."""
    decision = clips.decision_of(subject.model)
    labelled = [one for one in recordings if one.label is not None]
    kept, ignored = clips.decidable(labelled, decision)
    if not kept:
        raise InputError("there is no clip with a label that the model can decide on")
    found = {
        run.name: clips.both(run, kept, decision, tail, progress(f"clips, {run.name}"))
        for run in subject.runs()
    }
    return {"labels": list(decision.labels), "clips": found, "ignored_clips": ignored}


def frames_document(
    subject: Subject, recordings: Sequence[Labelled], progress: Progress
) -> dict[str, Any]:
    """Accuracy and macro-F1 of every prediction, quantized, behind the vote, and float."""
    kept = [one for one in recordings if one.spans]
    if not kept:
        raise InputError("there is no recording that says which label is true when")
    found = {}
    for run in subject.runs():
        tally = frames.judge(run, subject.model, kept, progress(f"frames, {run.name}"))
        found[run.name] = tally.to_dict(macro_f1=True)
    vote = frames.vote_of(subject.model)
    if vote is not None:
        run = subject.quantized()
        tally = frames.judge(run, subject.model, kept, progress("frames, vote"), vote)
        found["vote"] = tally.to_dict(macro_f1=True)
    made = [_frame_trace(subject, one) for one in kept[:: max(1, len(kept) // 3)][:3]]
    return {"labels": list(subject.labels), "frames": found, "traces": made}


def _frame_trace(subject: Subject, recording: Labelled) -> dict[str, Any]:
    """Some seconds in the middle of a recording."""
    samples, times = samples_of(recording)
    run = subject.quantized()
    answers = run.push(samples, times)
    middle, half = recording.seconds / 2, min(10.0, recording.seconds / 2)
    return trace(
        recording.name,
        subject.front_end,
        (middle - half, middle + half),
        features_of(subject.front_end, samples, times),
        subject.labels,
        Series(answers.times / 1e6, run.real(answers.raw)),
        subject.model.pipeline(subject.backend).push(samples, times),
        recording.spans,
    )


def anomaly_document(
    subject: Subject, recordings: Sequence[Labelled], after: float, progress: Progress
) -> dict[str, Any]:
    """Windows found and false alarms behind the share `after` of each recording."""
    detector = subject.detector
    if not isinstance(detector, Anomaly):
        raise InputError("anomalies are evaluated with a detector of kind 'anomaly'")
    found, made = [], []
    for one in recordings:
        first = after * one.seconds
        told = anomalies.alarms(subject.model, one, subject.backend, progress(f"{one.name}"))
        found.append(anomalies.judge(told, one.spans, one.seconds, first))
        made += _anomaly_traces(subject, one, told, found[-1])
    threshold = float(subject.model.metadata.detector["threshold"])
    return {"anomaly": anomalies.to_dict(found, threshold), "traces": made}


def _anomaly_traces(
    subject: Subject, recording: Labelled, told: Sequence[Event], found: anomalies.Found
) -> list[dict[str, Any]]:
    """Each window with as much before and behind it."""
    samples, times = samples_of(recording)
    pipeline = subject.model.pipeline(subject.backend)
    heard: list[Any] = []
    pipeline.watch = heard.append
    stream = pipeline.events
    assert isinstance(stream, AnomalyStream)
    stream.observed = []
    pipeline.push(samples, times)
    if not heard:
        return []
    detector = stream.detector
    sums = np.concatenate(stream.observed)[:, np.newaxis]
    stamps = np.concatenate([one.times for one in heard]) / 1e6
    scores = Series(stamps, sums / detector.many * detector.unit)
    features = features_of(subject.front_end, samples, times)
    made = []
    for window in found.windows:
        length = window.end - window.start
        made.append(
            trace(
                recording.name,
                subject.front_end,
                (max(0.0, window.start - length), window.end + length),
                features,
                ["residual"],
                scores,
                [event for event in told if event.phase == "on"],
                [window],
                float(detector.fields["threshold"]),
            )
        )
    return made


def forecast_document(
    subject: Subject,
    recordings: Sequence[Labelled],
    horizon: forecasts.Horizon,
    unit: str,
    progress: Progress,
) -> dict[str, Any]:
    """Errors of the forecasts of the quantized stream, float, and the baselines."""
    told = progress("forecasts")
    told(0, 1)
    found = forecasts.errors(subject.runs(), subject.front_end, recordings, horizon)
    told(1, 1)
    return {"forecast": forecasts.to_dict(found, horizon, unit)}


def finite(value: Any) -> Any:
    """The same for JSON: what is no number, because there was nothing to count, is null."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
