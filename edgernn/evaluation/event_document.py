"""The evaluation document of a trigger: how long streams of sound, or of a sensor, are heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from edgernn.detectors.scores import ONE
from edgernn.detectors.trigger import Trigger
from edgernn.errors import InputError
from edgernn.evaluation import events
from edgernn.evaluation.firings import Firing, Recorded
from edgernn.evaluation.listening import hear_recordings, hear_stream
from edgernn.evaluation.streams import LongStream, Scene
from edgernn.evaluation.subject import Progress, Subject
from edgernn.evaluation.traces import Series, features_of, trace
from edgernn.events import Event
from edgernn.labelled import Labelled
from edgernn.pipeline import facts_of

_AROUND = 3.0
"""Seconds before and behind what a trace of a stream shows."""


@dataclass(frozen=True)
class EventSettings:
    """What is listened to: `keywords`, all of the trigger's if there are none, in streams of a
    scene. `per_hour` false accepts are allowed where a threshold is chosen.
    """

    scene: Scene = field(default_factory=Scene)
    keywords: tuple[str, ...] = ()
    tolerance: float = events.TOLERANCE
    per_hour: float = 1.0
    backgrounds: tuple[Labelled, ...] = ()


def events_document(
    subject: Subject,
    recordings: Sequence[Labelled],
    chosen_on: Sequence[Labelled],
    settings: EventSettings,
    progress: Progress,
) -> dict[str, Any]:
    """False rejects against false accepts, of streams made of clips, or of recordings with spans.

    Thresholds are chosen on `chosen_on` and reported on `recordings`; if it is empty, they are the
    model's own. The detector that comes out is in `detector`.

    Raises:
        InputError: the detector is no trigger, or never told of a keyword.
    """
    trigger, front_end = subject.detector, subject.front_end
    if not isinstance(trigger, Trigger):
        raise InputError("events are evaluated with a detector of kind 'trigger'")
    facts = facts_of(subject.model, front_end)
    names = [label.name for label in trigger.labels]
    for name in settings.keywords:
        if name not in names:
            raise InputError(f"the trigger has no label '{name}'; it has {', '.join(names)}")
    keywords = settings.keywords or tuple(n for n in names if n in _labels_of(recordings))
    if not keywords:
        raise InputError(f"the recordings hold none of the trigger's labels: {', '.join(names)}")
    for part in (recordings, chosen_on):
        for name in keywords:
            if part and name not in _labels_of(part):
                raise InputError(f"'{name}' is never said by {_groups(part)}")
    count = 48 if len(keywords) < 4 else 20
    chosen: dict[str, events.Point] = {}
    if chosen_on:
        heard = _hear(subject, trigger, chosen_on, settings, keywords, 1, progress("choosing"))
        for name in keywords:
            tried = events.thresholds(heard, trigger, name, count)
            points = events.curve(heard, trigger, facts, name, tried, settings.tolerance)
            chosen[name] = events.choose(points, settings.per_hour)
        wanted = {name: point.threshold for name, point in chosen.items()}
        trigger = Trigger.of(events.with_thresholds(trigger.fields, wanted), facts)
    heard = _hear(subject, trigger, recordings, settings, keywords, 0, progress("listening"))
    found = {}
    told = progress("thresholds")
    for done, name in enumerate(keywords):
        told(done, len(keywords))
        tried = events.thresholds(heard, trigger, name, count)
        points = events.curve(heard, trigger, facts, name, tried, settings.tolerance)
        point = events.measure(heard, trigger, name, settings.tolerance)
        waits = events.delays(heard, trigger, name, settings.tolerance)
        found[name] = events.to_dict(points, point, waits)
        if name in chosen:
            found[name]["chosen"] = asdict(chosen[name])
    return {
        "events": {
            "chosen_on": _groups(chosen_on) if chosen_on else "model",
            "reported_on": _groups(recordings),
            "hours": heard.seconds / 3600,
            "words": len(heard.spans),
            "tolerance": settings.tolerance,
            "keywords": found,
        },
        "labels": list(subject.labels),
        "detector": trigger.config(),
        "traces": _event_traces(subject, trigger, heard, keywords[0], settings.tolerance),
    }


def _labels_of(recordings: Sequence[Labelled]) -> set[str]:
    own = {one.label for one in recordings if one.label is not None}
    return own | {span.label for one in recordings for span in one.spans}


def _groups(recordings: Sequence[Labelled]) -> str:
    return ", ".join(sorted({one.group for one in recordings}))


def _hear(
    subject: Subject,
    trigger: Trigger,
    recordings: Sequence[Labelled],
    settings: EventSettings,
    keywords: Sequence[str],
    seed: int,
    progress: Callable[[int, int], None],
) -> events.Heard:
    """Recordings that are streams already, or a stream made of clips."""
    run = subject.quantized()
    if all(one.label is None and one.spans for one in recordings):
        return hear_recordings(run, trigger, recordings, progress)
    words = [one for one in recordings if one.label is not None]
    stream = LongStream(words, settings.scene, keywords, settings.backgrounds, seed)
    return hear_stream(run, trigger, stream, progress)


def _event_traces(
    subject: Subject, trigger: Trigger, heard: events.Heard, keyword: str, tolerance: float
) -> list[dict[str, Any]]:
    """A word that was found, one that was missed, and a false accept, if there are such."""
    names = [label.name for label in trigger.labels]
    times, spans = events.fired(heard, trigger, keyword), events.said(heard, keyword)
    found = events.match(times, spans, tolerance)
    moments = [("found", times[event]) for event, _ in found.hits[:1]]
    moments += [("missed", spans[span].end) for span in found.misses[:1]]
    moments += [("false accept", times[event]) for event in found.false_accepts[:1]]
    told = [
        Event(names[one.label], _score(part, one, trigger), time, time)
        for part in heard.parts
        for one in part.firings(trigger)
        for time in [float(part.times[one.row]) / 1e6]
    ]
    threshold = trigger.labels[names.index(keyword)].threshold / ONE / trigger.smoothing
    made = []
    for what, moment in moments:
        piece = heard.piece(moment)
        features = features_of(subject.front_end, *piece)
        between = (max(moment - _AROUND, piece.start), moment + _AROUND)
        near = [p for p in heard.parts if p.times[0] <= moment * 1e6 <= p.times[-1] + 1e6]
        part = near[-1] if near else heard.parts[0]
        rows = slice(*np.searchsorted(part.times, [1e6 * between[0], 1e6 * between[1] + 1]))
        scores = Series(part.times[rows] / 1e6, part.sums[rows] / (ONE * trigger.smoothing))
        made.append(
            trace(
                f"'{keyword}' {what}",
                subject.front_end,
                between,
                features,
                names,
                scores,
                told,
                heard.spans,
                threshold,
            )
        )
    return made


def _score(part: Recorded, firing: Firing, trigger: Trigger) -> float:
    return float(part.sums[firing.row, firing.label]) / (ONE * trigger.smoothing)
