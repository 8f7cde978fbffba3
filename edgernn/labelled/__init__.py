"""Recordings with their truth: what a model is trained on, and judged by.

One module a layout of data; `read_labelled` finds out which it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends import Frames, FrontEnd

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Span:
    """What is true from `start` to `end`, in seconds since the recording's first sample."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Labelled:
    """A recording and what is true of it.

    `samples` are int16 `(n,)` of sound, or float64 `(n, channels)` of sensors in real units, with
    int64 microseconds of each in `times` where the recording has a clock. `group` is who or what
    was recorded: recordings of one group never fall on both sides of a split. `label` is true of
    the whole recording, `spans` of parts of it. `part` is the side of the split (train, validation
    or test) that the data themselves put it on, if they do.
    """

    name: str
    samples: Array
    rate: float
    group: str
    label: str | None = None
    spans: tuple[Span, ...] = ()
    times: npt.NDArray[np.int64] | None = None
    part: str | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        if self.times is not None and len(self.times):
            return float(self.times[-1] - self.times[0]) / 1e6
        return len(self.samples) / self.rate


def read_labelled(
    source: str | os.PathLike[str],
    *,
    front_end: FrontEnd | Mapping[str, Any] | None = None,
    pattern: str | None = None,
    label_column: str = "",
    windows: str | os.PathLike[str] | None = None,
    resample: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Labelled]:
    """All recordings of a source, in order of name, each with what is true of it.

    Args:
        source: a folder with a folder a class; a folder of files whose names say label and group;
            a table or a folder of tables, with a label a row or without; a table that lists files
            (columns `file`, `label`, `group`); or `tfds:NAME`, of TensorFlow Datasets.
        front_end: what the samples are for: the rate of sound, the columns of tables. None, or
            fields of one: what is missing is found in the data (`found_front_end`).
        pattern: how names are made, such as `{label}_{group}_{take}`; see
            `edgernn/labelled/patterns.py`.
        label_column: of tables, the column of labels; one that is called `label`, `class` … by
            default.
        windows: JSON or CSV with the spans of one table; the JSON file beside it by default.
        resample: take sound of any rate.
        progress: is told how many recordings are read, of how many.

    Raises:
        InputError: there is nothing to read, or something cannot be used; the one line names some
            of what is wrong and says how much there is.
        MissingDependencyError: a package that the source needs is not installed.
    """
    from edgernn.labelled import datasets, folders, listing, tables
    from edgernn.labelled.reading import Reading, found_front_end

    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return datasets.read_dataset(name, front_end, pattern, resample, progress)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not hasattr(front_end, "features"):
        front_end = found_front_end(path, front_end, label_column)
    assert not isinstance(front_end, Mapping)
    assert front_end is not None
    reading = Reading(front_end, resample, progress)
    if listing.is_listing(path):
        return listing.read_listing(path, reading)
    if path.suffix.lower() == ".csv" or front_end.sample_dtype != "int16":
        return tables.read_tables(path, reading, pattern, label_column, windows)
    return folders.read_folder(path, reading, pattern)


def classes(recordings: Sequence[Labelled]) -> tuple[str, ...]:
    """The labels of recordings and of their spans, in order.

    Raises:
        InputError: there are fewer than two, so that there is nothing to tell apart.
    """
    found = {r.label for r in recordings if r.label is not None}
    found |= {span.label for r in recordings for span in r.spans}
    if len(found) < 2:
        what = f"only the label '{found.pop()}'" if found else "no label"
        raise InputError(f"the data have {what}: a classifier needs at least two classes")
    return tuple(sorted(found))


def labels_of_frames(
    recording: Labelled, frames: Frames, labels: Sequence[str]
) -> npt.NDArray[np.int64]:
    """What is true at each frame's last sample, `(n,)`: its place in `labels`, or -1 for none.

    `frames` are what `front_end.stream().push(recording.samples, recording.times)` gave.
    """
    places = {label: i for i, label in enumerate(labels)}
    origin = 0 if recording.times is None else int(recording.times[0])
    seconds = (frames.times - origin) / 1e6
    whole = -1 if recording.label is None else places.get(recording.label, -1)
    found = np.full(len(seconds), whole, np.int64)
    for span in recording.spans:
        inside = (seconds >= span.start) & (seconds < span.end)
        found[inside] = places.get(span.label, -1)
    return found


def cut(recording: Labelled, start: float, end: float) -> Labelled:
    """The part of it from `start` to `end`, in seconds since its first sample."""
    if recording.times is None:
        seconds = np.arange(len(recording.samples)) / recording.rate
    else:
        seconds = (recording.times - recording.times[0]) / 1e6
    inside = (seconds >= start) & (seconds < end)
    if not inside.any():
        raise InputError(f"{recording.name}: has no sample from {start:g} to {end:g} seconds")
    first = float(seconds[inside][0])
    spans = tuple(
        Span(span.label, max(span.start, first) - first, min(span.end, end) - first)
        for span in recording.spans
        if span.end > first and span.start < end
    )
    times = None if recording.times is None else recording.times[inside]
    name = f"{recording.name}[{start:g}:{end:g}]"
    samples = recording.samples[inside]
    return Labelled(
        name, samples, recording.rate, recording.group, recording.label, spans, times,
        recording.part,
    )  # fmt: skip
