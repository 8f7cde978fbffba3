"""Samples of a sensor from a CSV file with a header: channels by name, and a column of times."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from edgernn.closing import Closing
from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.sources import BLOCK, Block, flag, listed
from edgernn.sources.columns import Columns, is_number

_log = logging.getLogger(__name__)


class Table(Closing):
    """The rows of a file. Those that cannot be used are counted, and the first one is named."""

    live = False
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "columns": listed,
        "labels": listed,
        "time": str,
        "unit": str,
        "strict": flag,
    }

    def __init__(
        self,
        path: str,
        front_end: FrontEnd,
        columns: Sequence[str] = (),
        labels: Sequence[str] = (),
        time: str = "",
        unit: str = "",
        strict: bool = False,
    ) -> None:
        """Open it and find the columns.

        Args:
            path: the file, in UTF-8, with commas or semicolons.
            front_end: what takes the samples.
            columns: the channels, if they are not called as the front end calls them.
            labels: columns that are no channels.
            time: the column of times; one that is called `time`, `timestamp` … by default.
            unit: of the times: ns, us, ms or s; told by the column's name or found by default.
            strict: a row that cannot be used is an error.

        Raises:
            InputError: it cannot be read, or lacks a channel.
        """
        if front_end.sample_dtype != "int32":
            raise InputError(f"{path}: is a table, and the model's front end takes sound")
        self.counters = {"bad_rows": 0}
        self.rate = front_end.rate
        self._path, self._strict = path, strict
        try:
            # utf-8-sig: spreadsheets write a mark in front.
            self._file = open(  # noqa: SIM115 (closed by `close`)
                path, newline="", encoding="utf-8-sig", errors="replace"
            )
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({(error.strerror or '').lower()})") from None
        try:
            self._columns = self._of_header(front_end, columns, labels, time, unit)
        except BaseException:
            self.close()
            raise

    def _of_header(self, front_end: FrontEnd, *chosen: Any) -> Columns:
        try:
            line = self._file.readline(1 << 16)
            comma = ";" if line.count(";") > line.count(",") else ","
            header = next(csv.reader([line], delimiter=comma), [])
        except (OSError, csv.Error):
            raise InputError(f"{self._path}: is no CSV file") from None
        if not header or "\0" in line:
            raise InputError(f"{self._path}: is no CSV file")
        if all(is_number(cell) for cell in header):
            raise InputError(
                f"{self._path}: begins with numbers: put a line with the columns' names above them"
            )
        self._rows = csv.reader(self._file, delimiter=comma)
        return Columns(self._path, header, front_end, *chosen)

    def __iter__(self) -> Iterator[Block]:
        while True:
            try:
                row = next(self._rows)
            except (StopIteration, ValueError):  # ValueError: closed
                break
            except csv.Error as error:
                self._bad(str(error))
                continue
            if not row:
                continue
            wrong = self._columns.take(row)
            if wrong:
                self._bad(wrong)
            if len(self._columns) >= BLOCK and (block := self._columns.block()):
                yield block
        if block := self._columns.block(last=True):
            yield block

    def _bad(self, wrong: str) -> None:
        line = f"{self._path}, line {self._rows.line_num + 1}: {wrong}"
        if self._strict:
            raise InputError(line)
        if not self.counters["bad_rows"]:
            _log.warning("%s: left out, as all such rows are", line)
        self.counters["bad_rows"] += 1

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()
