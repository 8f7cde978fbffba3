"""Tables of sensors: a label a row, one for the whole file, windows beside them, or none at all.

Runs of rows with one label become spans; rows without a label are in none.
"""

from __future__ import annotations

import csv
import logging
import os
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.labelled import Labelled, Span
from edgernn.labelled.folders import names
from edgernn.labelled.patterns import Named, matcher
from edgernn.labelled.reading import TABLE, Reading, files_in, head, sample_rate
from edgernn.labelled.windows import find_windows, read_windows
from edgernn.recordings import Recording
from edgernn.sources.columns import is_label

_log = logging.getLogger(__name__)


def read_tables(
    source: Path,
    reading: Reading,
    pattern: str | None = None,
    label_column: str = "",
    windows: str | os.PathLike[str] | None = None,
) -> list[Labelled]:
    """A table, or all in a folder that have the columns.

    A folder may also have a folder a class. Tables without the front end's columns, or without a
    label where others have one, are left out with a warning.

    Raises:
        InputError: there are none, a name does not fit, a row or the windows cannot be used.
    """
    folder = source if source.is_dir() else source.parent
    files = files_in(source, TABLE) if source.is_dir() else [source]
    files = _usable(source, files, reading, label_column)
    aside = find_windows(files[0], windows) if len(files) == 1 else windows
    if aside is not None and len(files) > 1:
        raise InputError(f"{aside}: windows are of one table, and {source} holds {len(files)}")
    named = _names(folder, files, pattern, source.is_dir())

    def read(item: tuple[Path, Named]) -> Labelled:
        file, fields = item
        recording = reading.file(file)
        rate = sample_rate(recording, reading.front_end.rate)
        if aside is not None:
            spans = read_windows(Path(aside), file, recording, rate)
        else:
            spans = _spans(file, recording, rate, label_column)
        name = file.relative_to(folder).as_posix()
        label, part = fields.get("label"), fields.get("part")
        return Labelled(
            name, recording.samples, rate, fields["group"], label, spans, recording.times, part
        )

    return reading.all(source, list(zip(files, named, strict=True)), read)


def _usable(source: Path, files: list[Path], reading: Reading, label_column: str) -> list[Path]:
    wanted = set(getattr(reading.front_end, "names", ()))
    headers = {file: (head(file, 1) or [[]])[0] for file in files}
    fitting = [file for file in files if wanted <= set(headers[file])]
    if not fitting:
        if len(files) == 1:
            return files  # reading it says what is wrong
        columns = ", ".join(sorted(wanted))
        raise InputError(f"{source}: holds no table with the columns {columns}")
    labelled = [f for f in fitting if _label_place(headers[f], label_column) is not None]
    if label_column and not labelled:
        raise InputError(f"{source}: has no column '{label_column}'")
    chosen = labelled or fitting
    if left := [file.name for file in files if file not in set(chosen)]:
        what = "columns or the label" if labelled else "columns"
        some = ", ".join(left[:3]) + (", …" if len(left) > 3 else "")
        _log.warning("%s: left out, for it lacks the %s of the others: %s", source, what, some)
    return chosen


def _names(folder: Path, files: list[Path], pattern: str | None, is_folder: bool) -> list[Named]:
    """Group and maybe label, by pattern or folder; else the group is what ends at the first `_`."""
    if pattern is not None and (is_folder or matcher(pattern)(files[0]) is not None):
        return names(folder, files, pattern)
    if any(file.parent != folder for file in files):
        return names(folder, files, None)
    alone = len(files) == 1
    return [{"group": f.stem if alone else f.stem.partition("_")[0]} for f in files]


def _label_place(header: list[str], label_column: str) -> int | None:
    for place, name in enumerate(header):
        if name == label_column or (not label_column and is_label(name)):
            return place
    return None


def _spans(file: Path, recording: Recording, rate: float, label_column: str) -> tuple[Span, ...]:
    place = _label_place((head(file, 1) or [[]])[0], label_column)
    if place is None:
        return ()
    labels = _cells(file, place)
    edges = _edges(recording, rate)
    spans, first = [], 0
    for label, run in groupby(labels):
        end = first + len(list(run))
        if label:
            spans.append(Span(label, float(edges[first]), float(edges[end])))
        first = end
    return tuple(spans)


def _cells(file: Path, place: int) -> list[str]:
    """A column's cells, in the rows that a source takes: those with anything in them."""
    with open(file, newline="", encoding="utf-8-sig", errors="replace") as text:
        line = text.readline()
        rows = csv.reader(text, delimiter=";" if line.count(";") > line.count(",") else ",")
        cells = []
        for row in rows:
            if row and len(row) <= place:
                raise InputError(f"{file}, line {rows.line_num + 1}: has no label")
            if row:
                cells.append(row[place].strip())
    return cells


def _edges(recording: Recording, rate: float) -> npt.NDArray[np.float64]:
    """Seconds at which each sample begins, and at which the last one ends; never going back."""
    if recording.times is None:
        return np.arange(len(recording.samples) + 1) / rate
    seconds = (recording.times - recording.times[0]) / 1e6
    edges: npt.NDArray[np.float64] = np.maximum.accumulate(seconds)
    return np.append(edges, edges[-1] + 1 / rate)
