"""Windows in which something is true of a table: anomalies, mostly.

JSON holds `[[start, end], …]`, objects with `start`, `end` and `label`, or a table of such lists by
the name of the file they are of; CSV has the columns `start`, `end` and maybe `label`. Times are
dates, or numbers as in the table's own column of times (seconds, if it has none).
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import InputError
from edgernn.labelled import Span
from edgernn.labelled.reading import head
from edgernn.recordings import Recording
from edgernn.sources.columns import is_time, moment

LABEL: Final = "anomaly"
"""What is true in a window that does not say it."""


def find_windows(table: Path, named: str | os.PathLike[str] | None) -> Path | None:
    """The file of windows: the one that was named, or the only JSON file beside the table.

    Raises:
        InputError: the named one is not there.
    """
    if named is not None:
        if not Path(named).is_file():
            raise InputError(f"{named}: no such file of windows")
        return Path(named)
    beside = sorted(table.parent.glob("*.json"))
    return beside[0] if len(beside) == 1 and "window" in beside[0].stem else None


def read_windows(path: Path, table: Path, recording: Recording, rate: float) -> tuple[Span, ...]:
    """The windows of one table, in order of time.

    Raises:
        InputError: the file is no list of windows, or one of them is not within the recording.
    """
    entries = _csv(path) if path.suffix.lower() == ".csv" else _json(path, table)
    seconds = _Seconds(path, table, recording)
    end = len(recording.samples) / rate
    if recording.times is not None:
        end = float(recording.times[-1] - recording.times[0]) / 1e6
    spans = []
    for first, last, label in entries:
        span = Span(label, seconds(first), seconds(last))
        if not span.start < span.end:
            raise InputError(f"{path}: the window from {first} to {last} ends before it begins")
        if span.end < 0 or span.start > end:
            raise InputError(f"{path}: the window from {first} to {last} is not within {table}")
        spans.append(span)
    return tuple(sorted(spans, key=lambda span: span.start))


class _Seconds:
    """Times of windows as seconds since a recording's first sample."""

    def __init__(self, path: Path, table: Path, recording: Recording) -> None:
        self._path, self._times = path, recording.times
        rows = head(table, len(recording.samples) + 1)
        at = next((i for i, name in enumerate(rows[0]) if is_time(name)), None)
        raw = [] if at is None else [moment(row[at])[0] for row in rows[1:]]
        self._unit, self._first = 1.0, 0.0
        if recording.times is not None and np.ptp(raw) > 0:
            self._unit = float(np.ptp(recording.times)) / 1e6 / float(np.ptp(raw))
            self._first = raw[0]

    def __call__(self, text: Any) -> float:
        time, is_date = moment(text)
        if not np.isfinite(time):
            raise InputError(f"{self._path}: {text!r} is no time")
        if not is_date:
            return (time - self._first) * self._unit
        if self._times is None:
            raise InputError(f"{self._path}: {text} is a date, and the table has no times")
        return time - float(self._times[0]) / 1e6


def _json(path: Path, table: Path) -> list[tuple[Any, Any, str]]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no JSON that can be read ({error})") from None
    if isinstance(found, dict):
        mine = [key for key in found if Path(key).stem == table.stem]
        if len(mine) != 1:
            raise InputError(f"{path}: has no windows of {table.name}")
        found = found[mine[0]]
    if not isinstance(found, list):
        raise InputError(f"{path}: is no list of windows [start, end]")
    return [_window(path, entry) for entry in found]


def _window(path: Path, entry: Any) -> tuple[Any, Any, str]:
    if isinstance(entry, dict) and {"start", "end"} <= set(entry):
        return entry["start"], entry["end"], str(entry.get("label") or LABEL)
    if isinstance(entry, list) and len(entry) in (2, 3):
        return entry[0], entry[1], str(entry[2]) if len(entry) == 3 else LABEL
    raise InputError(f"{path}: {str(entry)[:60]!r} is no window [start, end]")


def _csv(path: Path) -> list[tuple[Any, Any, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as text:
            rows = list(csv.DictReader(text, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV file that can be read ({error})") from None
    return [_window(path, row) for row in rows]
