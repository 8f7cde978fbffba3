"""Events against what was said: misses, false accepts, delay, and thresholds chosen from them.

The scores of a stream are recorded once; for each threshold only the trigger runs again, with all
its labels, its pauses and its windows, so that a point of a curve is what the device would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.detectors import Facts
from edgernn.detectors.scores import ONE
from edgernn.detectors.trigger import Trigger
from edgernn.evaluation.firings import Recorded
from edgernn.labelled import Span

Array = npt.NDArray[Any]

TOLERANCE = 0.75
"""Seconds behind a word's end in which an event still counts for it."""


class Piece(NamedTuple):
    """Samples of a stream, their times if they have some, and the second at which they begin."""

    samples: Array
    times: Array | None
    start: float


@dataclass(frozen=True)
class Heard:
    """The scores of a stream, in unbroken parts, and what is true of it."""

    parts: Sequence[Recorded]
    spans: Sequence[Span]
    seconds: float
    piece: Callable[[float], Piece]
    """The samples around a moment."""


@dataclass(frozen=True)
class Match:
    """Positions of events and spans: `hits` pairs them, the others are told apart."""

    hits: tuple[tuple[int, int], ...]
    misses: tuple[int, ...]
    false_accepts: tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """What a threshold does."""

    threshold: float
    false_reject_rate: float
    false_accepts_per_hour: float
    misses: int
    false_accepts: int
    keywords: int


def match(times: Sequence[float], spans: Sequence[Span], tolerance: float = TOLERANCE) -> Match:
    """Which events, at ascending `times`, are for which spans, in order of their start.

    An event hits a span if it comes between its start and `tolerance` seconds behind its end. A
    span is hit by one event, the first; every further event is a false accept.
    """
    hits: list[tuple[int, int]] = []
    false_accepts: list[int] = []
    taken: set[int] = set()
    first = 0
    for event, time in enumerate(times):
        while first < len(spans) and spans[first].end + tolerance < time:
            first += 1
        for i in range(first, len(spans)):
            if spans[i].start > time:
                false_accepts.append(event)
                break
            if i not in taken and time <= spans[i].end + tolerance:
                taken.add(i)
                hits.append((event, i))
                break
        else:
            false_accepts.append(event)
    misses = tuple(i for i in range(len(spans)) if i not in taken)
    return Match(tuple(hits), misses, tuple(false_accepts))


def fired(heard: Heard, trigger: Trigger, keyword: str) -> list[float]:
    """Seconds at which a keyword fired."""
    column = [label.name for label in trigger.labels].index(keyword)
    return [
        float(part.times[one.row]) / 1e6
        for part in heard.parts
        for one in part.firings(trigger)
        if one.label == column
    ]


def said(heard: Heard, keyword: str) -> list[Span]:
    """The spans of a keyword, in order."""
    return sorted((s for s in heard.spans if s.label == keyword), key=lambda s: s.start)


def with_thresholds(fields: Mapping[str, Any], chosen: Mapping[str, float]) -> dict[str, Any]:
    """The configuration of a trigger with other thresholds for some labels.

    A release that is configured stays, as far as it is not above the threshold.
    """
    labels = dict(fields.get("labels", {}))
    for name, threshold in chosen.items():
        own = labels.get(name, {})
        own = dict(own) if isinstance(own, Mapping) else {}
        own["threshold"] = threshold
        release = own.get("release", fields.get("release"))
        if release is not None and release > threshold:
            own["release"] = threshold
        labels[name] = own
    return {**{k: v for k, v in fields.items() if k not in ("kind", "labels")}, "labels": labels}


def measure(heard: Heard, trigger: Trigger, keyword: str, tolerance: float = TOLERANCE) -> Point:
    """What a trigger does about a keyword, at the threshold that it has."""
    spans = said(heard, keyword)
    found = match(fired(heard, trigger, keyword), spans, tolerance)
    (label,) = (label for label in trigger.labels if label.name == keyword)
    return Point(
        label.threshold / ONE / trigger.smoothing,
        len(found.misses) / len(spans) if spans else float("nan"),
        len(found.false_accepts) / (heard.seconds / 3600),
        len(found.misses),
        len(found.false_accepts),
        len(spans),
    )


def curve(
    heard: Heard,
    trigger: Trigger,
    facts: Facts,
    keyword: str,
    thresholds: Iterable[float],
    tolerance: float = TOLERANCE,
) -> list[Point]:
    """Points of thresholds of one keyword; the other labels keep theirs."""
    points = []
    for threshold in thresholds:
        changed = Trigger.of(with_thresholds(trigger.fields, {keyword: threshold}), facts)
        point = measure(heard, changed, keyword, tolerance)
        points.append(replace(point, threshold=threshold))
    return points


def thresholds(heard: Heard, trigger: Trigger, keyword: str, count: int = 48) -> list[float]:
    """Thresholds worth trying: evenly spread, and finer where the scores have their peaks."""
    column = [label.name for label in trigger.labels].index(keyword)
    peaks = [_peaks(part.sums[:, column]) for part in heard.parts if len(part)]
    heights = np.concatenate([*peaks, np.zeros(0)]) / (ONE * trigger.smoothing)
    heights = heights[heights >= 0.02]
    if not len(heights):
        return [0.5]
    even = np.linspace(0.02, heights.max(), count)
    fine = np.quantile(heights, np.linspace(0.5, 1, count))
    rounded = np.floor(np.concatenate([even, fine]) * 1e4) / 1e4
    return [float(value) for value in np.unique(rounded) if value <= 30]


def _peaks(sums: Array) -> Array:
    """Local maxima."""
    padded = np.concatenate([[-1], sums.astype(np.int64), [-1]])
    top = (padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])
    return sums[top]


def choose(points: Sequence[Point], per_hour: float = 1.0) -> Point:
    """The fewest false rejects with at most so many false accepts an hour.

    Of several the one with the fewest false accepts, then the highest threshold. If none is so
    quiet, the quietest one.
    """
    quiet = [p for p in points if p.false_accepts_per_hour <= per_hour]
    if not quiet:
        return min(points, key=lambda p: (p.false_accepts, p.misses, -p.threshold))
    return min(quiet, key=lambda p: (p.misses, p.false_accepts, -p.threshold))


def delays(
    heard: Heard, trigger: Trigger, keyword: str, tolerance: float = TOLERANCE
) -> npt.NDArray[np.float64]:
    """Seconds from the end of each word that was found to its event; before the end: negative."""
    times, spans = fired(heard, trigger, keyword), said(heard, keyword)
    hits = match(times, spans, tolerance).hits
    return np.array([times[event] - spans[span].end for event, span in hits])


def to_dict(points: Sequence[Point], operating: Point, waits: Array) -> dict[str, Any]:
    """A keyword in the evaluation document."""
    own = ("threshold", "false_reject_rate", "false_accepts_per_hour")
    found = [float(np.quantile(waits, q)) for q in (0.5, 0.95)] if len(waits) else [None, None]
    return {
        "curve": [{name: asdict(point)[name] for name in own} for point in points],
        "operating_point": asdict(operating),
        "delay": {"median": found[0], "p95": found[1]},
    }
