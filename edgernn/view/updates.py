"""What a pipeline publishes, and how many updates become one message for the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypedDict, cast

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.events import Event

Array = npt.NDArray[Any]

ROWS: Final = 8
"""Most rows of each kind in a message: 160 a second are more than the page has pixels."""


class Update(TypedDict, total=False):
    """Any of these; of everything that is published in between, the page gets at most ROWS rows."""

    times: npt.ArrayLike
    """`(n,)` seconds of the scores; without it, now."""
    scores: npt.ArrayLike
    """`(n, labels)` real values. Of several rows the highest value of each label is shown."""
    features: npt.ArrayLike
    """`(n, F)` frames in real units, drawn as a strip with the first value at the bottom."""
    channels: npt.ArrayLike
    """`(n, channels)` samples of a sensor, drawn as lines from the lowest to the highest."""
    level: float
    """Peak of the sound, 0 to 1 of full scale. The highest is shown."""
    latency: float
    """Seconds from a block's arrival to its events. The longest is shown."""
    real_time_factor: float
    """Seconds of work for a second of samples."""
    counters: Mapping[str, int]
    """What went wrong so far, by name."""
    events: Sequence[Event]
    """What was detected, in order."""


def checked(
    update: Update, now: float, labels: int, channels: int
) -> tuple[Update, list[dict[str, Any]]]:
    """A copy that the caller's later changes do not reach, its rows as arrays; and its events.

    Raises:
        InputError: see `View.publish`.
    """
    for key in update:
        if key not in Update.__annotations__:
            raise InputError(
                f"the view shows no {key!r}: it takes {', '.join(Update.__annotations__)}"
            )
    copy = cast("dict[str, Any]", {**update})
    events = [_event(event) for event in copy.pop("events", ())]
    for key, columns in (("scores", labels), ("features", 0), ("channels", channels)):
        if key in copy:
            copy[key] = _rows(key, copy[key], columns)
    if "scores" in copy:
        count = len(copy["scores"])
        times = np.array(copy.get("times", np.full(count, now)), np.float64).reshape(-1)
        if len(times) != count:
            raise InputError(f"{len(times)} times for {count} rows of scores")
        copy["times"] = times
    if "counters" in copy:
        copy["counters"] = {name: int(count) for name, count in copy["counters"].items()}
    return cast("Update", copy), events


def _event(event: Event) -> dict[str, Any]:
    times = {"start": round(float(event.start), 4), "end": round(float(event.end), 4)}
    return {**asdict(event), "score": _number(event.score), **times}


def _rows(key: str, values: npt.ArrayLike, columns: int) -> Array:
    rows = np.array(values, np.float32)
    rows = rows[np.newaxis] if rows.ndim == 1 else rows
    if rows.ndim != 2 or (columns and rows.shape[1] != columns):
        wanted = columns or "any number of"
        raise InputError(f"{key} of shape {rows.shape}: the view takes rows of {wanted} values")
    return rows


def digest(updates: Iterable[Update]) -> dict[str, Any]:
    """One message for the page, as JSON, of updates in order."""
    message: dict[str, Any] = {}
    parts: dict[str, list[Array]] = {}
    for update in updates:
        items: Any = update.items()  # of different types
        for key, value in items:
            if isinstance(value, np.ndarray):
                parts.setdefault(key, []).append(value)
            elif key in ("level", "latency"):
                message[key] = max(_number(value) or 0.0, message.get(key, 0.0))
            else:
                message[key] = value if key == "counters" else _number(value)
    rows = {key: _joined(arrays) for key, arrays in parts.items()}
    if len(rows.get("scores", ())):
        starts = _starts(len(rows["scores"]))
        last = np.append(starts[1:], len(rows["scores"])) - 1
        message["times"] = [round(float(time), 4) for time in rows["times"][last]]
        message["scores"] = _plain(np.maximum.reduceat(rows["scores"], starts))
    if len(rows.get("features", ())):
        features = rows["features"]
        message["features"] = _plain(np.maximum.reduceat(features, _starts(len(features))))
    if len(rows.get("channels", ())):
        samples = rows["channels"]
        starts = _starts(len(samples))
        message["low"] = _plain(np.minimum.reduceat(samples, starts))
        message["high"] = _plain(np.maximum.reduceat(samples, starts))
    return message


def _joined(arrays: list[Array]) -> Array:
    """All rows of the newest width: without names, a pipeline may change it."""
    return np.concatenate([part for part in arrays if part.shape[1:] == arrays[-1].shape[1:]])


def _starts(count: int) -> npt.NDArray[np.intp]:
    """Where each of at most ROWS groups begins."""
    groups = min(count, ROWS)
    return np.arange(groups) * count // groups


def _plain(rows: Array) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in rows.tolist()]


def _number(value: float) -> float | None:
    """Four digits are more than can be seen; JSON knows no NaN and no infinity."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
