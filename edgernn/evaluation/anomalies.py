"""Anomalies: which labelled windows were found, and how often the alarm was false."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgernn.errors import InputError
from edgernn.evaluation.runs import samples_of
from edgernn.events import Event
from edgernn.labelled import Labelled, Span
from edgernn.model import Model

MONTH = 365.25 / 12 * 86400
"""Seconds."""

_BLOCK = 4096
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """What became of a recording's windows.

    `first_alarms` has for each window the second in which its first alarm began, None for a window
    that was missed; `seconds` is the time outside of all windows.
    """

    windows: tuple[Span, ...]
    first_alarms: tuple[float | None, ...]
    false_alarms: int
    seconds: float


def alarms(
    model: Model, recording: Labelled, backend: str, progress: Progress | None = None
) -> list[Event]:
    """The events of a recording, from a reset on, in seconds since its first sample.

    Raises:
        InputError: the model's detector is not of kind `anomaly`.
    """
    if model.metadata.detector.get("kind") != "anomaly":
        raise InputError("only a detector of kind 'anomaly' gives alarms to evaluate")
    pipeline = model.pipeline(backend)
    samples, times = samples_of(recording)
    events = []
    for start in range(0, len(samples), _BLOCK):
        part = slice(start, start + _BLOCK)
        events += pipeline.push(samples[part], None if times is None else times[part])
        if progress is not None:
            progress(min(start + _BLOCK, len(samples)), len(samples))
    return events


def judge(
    events: Sequence[Event], windows: Sequence[Span], seconds: float, after: float = 0.0
) -> Found:
    """Alarms against windows; what lies before `after` seconds is left out.

    An alarm counts for the window in which it begins, which is when it became certain. One that
    begins in none is false, however long it lasts: a detector that never is quiet finds nothing.
    """
    kept = tuple(sorted((w for w in windows if w.end > after), key=lambda w: w.start))
    begins = [e.end for e in events if e.phase == "on" and e.end >= after]
    first: list[float | None] = []
    for window in kept:
        inside = [time for time in begins if window.start <= time <= window.end]
        first.append(min(inside) if inside else None)
    false = sum(not any(w.start <= time <= w.end for w in kept) for time in begins)
    return Found(kept, tuple(first), false, seconds - after - _covered(kept, after))


def _covered(windows: Sequence[Span], after: float) -> float:
    """Seconds that lie in windows, those in several counted once."""
    total, end = 0.0, after
    for window in windows:
        total += max(0.0, window.end - max(window.start, end))
        end = max(end, window.end)
    return total


def to_dict(found: Sequence[Found], threshold: float) -> dict[str, Any]:
    """Recordings together, as the evaluation document has them; `months` are outside windows."""
    months = sum(one.seconds for one in found) / MONTH
    false = sum(one.false_alarms for one in found)
    return {
        "threshold": threshold,
        "windows": [
            {
                "start": window.start,
                "end": window.end,
                "found": first is not None,
                "first_alarm": first,
            }
            for one in found
            for window, first in zip(one.windows, one.first_alarms, strict=True)
        ],
        "false_alarms": false,
        "months": months,
        "false_alarms_per_month": false / months if months > 0 else None,
    }
