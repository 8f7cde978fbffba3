"""Which columns of a table are the channels and which is the time, and the unit of that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block

UNITS: Final = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds in each."""

_TIMES: Final = ("timestamp", "time", "t", "datetime", "date")
_LABELS: Final = ("label", "labels", "class", "target")
_ROWS: Final = 16
"""Rows that a live source may be held back by until the unit of its times is known."""


class Columns:
    """Rows of cells into blocks: real values `(n, channels)`, and times if there is a column.

    A value that is no number becomes NaN, which the front end counts.
    """

    def __init__(
        self,
        where: str,
        header: Sequence[str],
        front_end: FrontEnd,
        columns: Sequence[str] = (),
        labels: Sequence[str] = (),
        time: str = "",
        unit: str = "",
    ) -> None:
        """Find them: `columns` or those that the front end names, else the first that may be it.

        Raises:
            InputError: a column is missing or there twice, or the unit is not known.
        """
        self._where, self._rate = where, front_end.rate
        header = [name.strip() for name in header]
        self._time = _index(where, header, time) if time else _time(header)
        names = columns or getattr(front_end, "names", ())
        if columns and len(columns) != front_end.channels:
            raise InputError(
                f"{where}: {len(columns)} columns are chosen, the front end takes "
                f"{front_end.channels}"
            )
        if names:
            self.channels = [_index(where, header, name) for name in names]
        else:
            left_out = {*_LABELS, *(name.lower() for name in labels)}
            self.channels = [
                i
                for i, name in enumerate(header)
                if i != self._time and name.lower() not in left_out
            ][: front_end.channels]
            if len(self.channels) < front_end.channels:
                raise InputError(
                    f"{where}: has {len(self.channels)} columns of values, the front end takes "
                    f"{front_end.channels}"
                )
        self._wanted = [*self.channels, *([] if self._time is None else [self._time])]
        self.width = max(self._wanted) + 1
        if self._time is not None and not unit:
            unit = _unit_in(header[self._time])
        if unit and unit not in UNITS:
            raise InputError(f"{where}: unit '{unit}' is not one of {', '.join(UNITS)}")
        self._unit = UNITS.get(unit, 0.0)
        self._rows: list[list[float]] = []

    def take(self, cells: Sequence[Any]) -> str:
        """Keep a row for the next block; says what is wrong if it cannot be used."""
        if len(cells) < self.width:
            return f"has {len(cells)} values, not {self.width}"
        values = [_number(cells[i]) for i in self.channels]
        if self._time is not None:
            time, is_date = moment(cells[self._time])
            if not np.isfinite(time):
                return f"has no time but {str(cells[self._time])[:40]!r}"
            if is_date:
                self._unit = UNITS["s"]
            values.append(time)
        self._rows.append(values)
        return ""

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, last: bool = False) -> Block | None:
        """The rows that were kept; None if there are none, or their times cannot be told yet."""
        if not self._rows:
            return None
        table = np.array(self._rows, np.float64)
        if self._time is None:
            self._rows = []
            return Block(table)
        if not self._unit:
            if not last and len(table) < _ROWS and not (np.diff(table[:, -1]) > 0).any():
                return None
            self._unit = _unit(table[:, -1], self._rate)
        self._rows = []
        return Block(table[:, :-1], np.rint(table[:, -1] * self._unit).astype(np.int64))


def _index(where: str, header: Sequence[str], name: str) -> int:
    if name in header:
        if header.count(name) > 1:
            raise InputError(f"{where}: has column '{name}' {header.count(name)} times")
        return header.index(name)
    have = ", ".join(header) or "nothing"
    raise InputError(f"{where}: has no column '{name}', it has {have}")


def _time(header: Sequence[str]) -> int | None:
    """The first column that is called as times are, also with a unit: `Time (ms)`, `t_us`."""
    return next((i for i, name in enumerate(header) if is_time(name)), None)


def is_time(name: str) -> bool:
    """Whether a column is called as times are, also with a unit."""
    words = re.findall(r"[a-zµ]+", name.lower())
    return bool(words) and words[0] in _TIMES and "".join(words[1:]) in ("", *UNITS, "µs")


def is_label(name: str) -> bool:
    """Whether a column is called as labels are."""
    return name.strip().lower() in _LABELS


def times_in_seconds(name: str, cells: Sequence[str]) -> list[float] | None:
    """The times of a column; None if neither its name nor they tell their unit.

    Dates do, and so do numbers that are of our days only in one unit, counted from 1970.
    """
    moments = [moment(cell) for cell in cells]
    unit = UNITS.get(_unit_in(name), 0.0)
    if any(is_date for _, is_date in moments):
        unit = UNITS["s"]
    if moments and not unit:
        first = moments[0][0]
        unit = next((u for u in UNITS.values() if 1e15 / u <= first < 4e15 / u), 0.0)
    return [time * unit / 1e6 for time, _ in moments] if unit else None


def _unit_in(name: str) -> str:
    """The unit that a column's name ends in, if it does."""
    found = re.findall(r"[a-zµ]+", name.lower())
    unit = found[-1].replace("µ", "u") if found else ""
    return unit if unit in UNITS else ""


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number; NaN is one, nothing is not."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _number(cell: Any) -> float:
    return float(cell) if is_number(cell) else float("nan")


def moment(cell: Any) -> tuple[float, bool]:
    """A time (NaN: it is none), and whether it was a date: then in seconds, of UTC if no zone."""
    if is_number(cell):
        return float(cell), False
    try:
        date = datetime.fromisoformat(str(cell).strip().replace("Z", "+00:00"))
    except ValueError:
        return float("nan"), False
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp(), True


def _unit(times: npt.NDArray[np.float64], rate: float) -> float:
    """Microseconds in a unit of the times: the one in which their steps fit the rate best."""
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    return min(UNITS.values(), key=lambda unit: abs(np.log(step * unit * rate / 1e6)))
