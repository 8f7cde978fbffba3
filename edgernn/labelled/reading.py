"""Reading many recordings at once, and the plainest front end that takes them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.errors import EdgernnError, InputError, MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.recordings import Recording, read_recording
from edgernn.sources.columns import is_label, is_number, is_time, times_in_seconds

SOUND: Final = (".wav", ".flac", ".ogg")
TABLE: Final = (".csv",)
NAMED: Final = 3
"""Bad recordings that an error names; it counts the others."""

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reading:
    """How recordings are read."""

    front_end: FrontEnd
    resample: bool = False
    progress: Callable[[int, int], None] | None = None

    def file(self, path: Path) -> Recording:
        """One whole file; a row that cannot be used is an error."""
        if path.suffix.lower() in TABLE:
            return read_recording(path, self.front_end, whole=True, strict=True)
        return read_recording(path, self.front_end, whole=True, resample=self.resample)

    def all(self, where: object, items: Sequence[Item], read: Callable[[Item], T]) -> list[T]:
        """`read` of every item.

        Raises:
            InputError: some cannot be used: one line that names a few and counts the others.
        """
        done, wrong = [], []
        for number, item in enumerate(items, 1):
            try:
                done.append(read(item))
            except MissingDependencyError:
                raise
            except (EdgernnError, OSError) as error:
                wrong.append(str(error))
            if self.progress is not None:
                self.progress(number, len(items))
        if len(wrong) > 1:
            more = f"; and {len(wrong) - NAMED:,} more" if len(wrong) > NAMED else ""
            raise InputError(
                f"{where}: {len(wrong):,} of {len(items):,} recordings cannot be used: "
                f"{'; '.join(wrong[:NAMED])}{more}"
            )
        if wrong:
            raise InputError(wrong[0])
        return done


def files_in(folder: Path, suffixes: Sequence[str] = SOUND + TABLE) -> list[Path]:
    """The recordings in a folder and the folders in it, in order of name; no hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def found_front_end(
    source: Path, fields: Mapping[str, Any] | None = None, label_column: str = ""
) -> FrontEnd:
    """The front end of these fields; what is missing is found in the data.

    Of sound that is the rate, with windows of 32 ms every 16 ms; of tables the names of the columns
    and the rate of their times.

    Raises:
        InputError: there are no recordings, of both kinds, or nothing tells the rate.
    """
    fields = dict(fields or {})
    kind = fields.get("kind")
    file = _example(source, kind)
    if file.suffix.lower() in TABLE:
        if kind not in (None, "sensor"):
            raise InputError(f"{file}: is a table, and the front end '{kind}' takes sound")
        fields["kind"] = "sensor"
        if "names" not in fields or "rate" not in fields:
            names, rate = _columns(file, label_column)
            fields.setdefault("names", names)
            if "rate" not in fields and rate is None:
                raise InputError(f"{file}: nothing tells its rate: say it in the front end")
            fields.setdefault("rate", rate)
    elif kind in (None, "audio"):
        rate = int(fields.setdefault("rate", _sound_rate(file)))
        fields["kind"] = "audio"
        fields.setdefault("window", min(1024, round(0.032 * rate)))
        fields.setdefault("hop", min(int(fields["window"]), round(0.016 * rate)))
    return frontends.read(fields)


def _example(source: Path, kind: str | None) -> Path:
    """A recording of the source, of the kind that the front end takes."""
    from edgernn.labelled.listing import is_listing, listed_files

    if is_listing(source):
        return listed_files(source)[0]
    if source.is_file():
        return source
    suffixes = {None: SOUND + TABLE, "sensor": TABLE}.get(kind, SOUND)
    files = files_in(source, suffixes)
    if not files:
        raise InputError(f"{source}: the folder holds no {', '.join(suffixes)} file")
    sound = [file for file in files if file.suffix.lower() in SOUND]
    if sound and kind is None:
        return sound[0]
    # A table that only tells of the others (subjects, units) has other columns than they.
    common, _ = Counter(_header(file) for file in files[:256]).most_common(1)[0]
    return next(file for file in files if _header(file) == common)


def _sound_rate(file: Path) -> float:
    from edgernn.sources.audio_file import sound_rate

    return sound_rate(str(file))


def _header(file: Path) -> tuple[str, ...]:
    rows = head(file, 1)
    return tuple(rows[0]) if rows else ()


def head(file: Path, count: int) -> list[list[str]]:
    """The first rows of a table; none if it cannot be read."""
    try:
        with open(file, newline="", encoding="utf-8-sig", errors="replace") as text:
            line = text.readline(1 << 16)
            comma = ";" if line.count(";") > line.count(",") else ","
            lines = [line, *(text.readline(1 << 16) for _ in range(count - 1))]
            rows = csv.reader(lines, delimiter=comma)
            return [[cell.strip() for cell in row] for row in rows if row]
    except (OSError, csv.Error):
        return []


def _columns(file: Path, label_column: str) -> tuple[list[str], float | None]:
    """Columns of numbers that are neither time nor label; and samples a second, if times tell."""
    rows = head(file, 1000)
    if len(rows) < 2:
        raise InputError(f"{file}: holds no samples")
    header, first = rows[0], rows[1]
    names = [
        name
        for name, cell in zip(header, first, strict=False)
        if is_number(cell) and not is_time(name) and not is_label(name) and name != label_column
    ]
    if not names:
        raise InputError(f"{file}: has no column of numbers, it has {', '.join(header)}")
    at = next((i for i, name in enumerate(header) if is_time(name)), None)
    if at is None:
        return names, None
    return names, _rate(times_in_seconds(header[at], [r[at] for r in rows[1:] if len(r) > at]))


def _rate(seconds: Sequence[float] | None) -> float | None:
    """Samples a second, gaps apart: a whole number of them, or of seconds from one to the next."""
    step = _mean_step(np.diff(np.array([] if seconds is None else seconds)))
    if step is None:
        return None
    return float(round(1 / step)) if step <= 1 else 1 / round(step)


def _mean_step(steps: npt.NDArray[np.float64]) -> float | None:
    """The mean of those that go on and are no gaps."""
    steps = steps[steps > 0]
    return float(steps[steps <= 2.5 * np.median(steps)].mean()) if len(steps) else None


def sample_rate(recording: Recording, wanted: float) -> float:
    """Samples a second, as the times have it; the front end's without times.

    Raises:
        InputError: the times are so far apart that the front end would see nothing but gaps.
    """
    steps = np.diff([] if recording.times is None else recording.times)
    seconds = _mean_step(steps / 1e6)
    rate = wanted if seconds is None else 1 / seconds
    if rate < wanted / 2.5:
        raise InputError(
            f"{recording.path}: has about {rate:.3g} samples a second, the front end takes "
            f"{wanted:g}: nothing but gaps; give the front end this rate"
        )
    return rate
