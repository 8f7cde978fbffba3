"""Samples from bytes that are cut anywhere: lines of CSV or JSON, or raw 16-bit integers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np

from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block
from edgernn.sources.columns import Columns, is_number

FORMATS: Final = ("lines", "int16")
LONGEST: Final = 1 << 16
"""Bytes of a line; what is longer is no line of samples."""
MISFITS: Final = 8
"""Lines without one that fits the front end after which it is another stream."""

_log = logging.getLogger(__name__)


class Decoder(Protocol):
    """One stream of bytes on its way to samples."""

    def feed(self, data: bytes, last: bool = False) -> Block | None:
        """The samples that the bytes complete; `last` when no more will come."""

    def restart(self) -> None:
        """What came so far was cut off."""


def decoder(
    where: str,
    front_end: FrontEnd,
    counters: dict[str, int],
    format: str = "lines",  # noqa: A002
    columns: Sequence[str] = (),
    time: str = "",
    unit: str = "",
    midway: bool = False,
) -> Decoder:
    """The decoder of a format; counts what is wrong in `counters`.

    `midway`: the stream may begin in the middle of a line, so that a first one of numbers is not
    to be trusted.

    Raises:
        InputError: the format is not known, or does not fit the front end.
    """
    if format not in FORMATS:
        raise InputError(f"{where}: format '{format}' is not one of {', '.join(FORMATS)}")
    if format == "int16":
        return _Integers(where, front_end, counters)
    if front_end.sample_dtype == "int16":
        return _Sound(where, counters, midway)
    return _Table(where, front_end, counters, columns, time, unit, midway)


class _Integers:
    """Little-endian 16-bit integers, the channels of a sample side by side."""

    def __init__(self, where: str, front_end: FrontEnd, counters: dict[str, int]) -> None:
        self._where, self._channels = where, front_end.channels
        self._flat = front_end.sample_dtype == "int16"
        self._counters, self._rest, self._begun = counters, b"", False
        counters["cut_samples"] = 0

    def feed(self, data: bytes, last: bool = False) -> Block | None:
        data = self._rest + data
        if not self._begun and data[:4] == b"RIFF":
            raise InputError(
                f"{self._where}: is a WAV file, not raw samples: leave its header out, for example "
                "with `arecord -t raw`"
            )
        self._begun = self._begun or len(data) >= 4
        size = 2 * self._channels
        whole = len(data) // size * size
        self._rest = data[whole:]
        if last:
            self.restart()
        samples = np.frombuffer(data[:whole], "<i2").astype(np.int16)
        if not len(samples):
            return None
        return Block(samples if self._flat else samples.reshape(-1, self._channels))

    def restart(self) -> None:
        self._counters["cut_samples"] += bool(self._rest)
        self._rest = b""


class _Lines:
    """Whole lines of text; those that cannot be used are counted, and the first one is named."""

    def __init__(self, where: str, counters: dict[str, int], midway: bool) -> None:
        self.where, self._counters = where, counters
        self._midway = self._begun_midway = midway
        self._rest, self._number, self._overlong = b"", 0, False
        counters["bad_lines"] = 0

    def lines(self, data: bytes, last: bool) -> Iterator[str]:
        """Those that the bytes complete, without the empty ones."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if last:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            self._number += 1
            if self._overlong:
                self._overlong = False
                continue
            text = line.decode("utf-8", "replace").strip("\ufeff \t\r")
            midway, self._begun_midway = self._begun_midway, False
            if midway and not _is_header(text):
                continue
            if text:
                yield text
        if len(self._rest) > LONGEST:
            if not self._overlong:
                self.bad(f"is longer than {LONGEST:,} bytes", self._number + 1)
            self._rest, self._overlong = b"", True

    def bad(self, wrong: str, number: int | None = None) -> None:
        """Count a line."""
        if not self._counters["bad_lines"]:
            line = self._number if number is None else number
            _log.warning(
                "%s, line %d: %s: left out, as all such lines are", self.where, line, wrong
            )
        self._counters["bad_lines"] += 1

    def restart(self) -> None:
        if self._rest:
            self.bad("was cut off")
        self._rest, self._overlong, self._begun_midway = b"", False, self._midway


class _Sound(_Lines):
    """Samples of sound: one or several integers a line."""

    def feed(self, data: bytes, last: bool = False) -> Block | None:
        if b"\0" in data:
            raise InputError(
                f"{self.where}: is no text: for raw 16-bit samples choose the format int16, for "
                "example `stdin:int16`"
            )
        parts = []
        for line in self.lines(data, last):
            cells = _cells(line)
            if not isinstance(cells, list) or not all(map(is_number, cells)):
                self.bad(f"{line[:40]!r} is no number")
                continue
            numbers = np.array(cells, np.float64)
            samples = np.nan_to_num(numbers).clip(-32768, 32767).astype(np.int16)
            if np.array_equal(samples, numbers):
                parts.append(samples)
            else:
                self.bad(f"{line[:40]!r} is no 16-bit sample")
        return Block(np.concatenate(parts)) if parts else None


class _Table(_Lines):
    """Samples of a sensor: a row a line, with or without a header, or JSON objects or arrays."""

    def __init__(
        self,
        where: str,
        front_end: FrontEnd,
        counters: dict[str, int],
        columns: Sequence[str],
        time: str,
        unit: str,
        midway: bool,
    ) -> None:
        super().__init__(where, counters, midway)
        self._front_end, self._chosen = front_end, (columns, (), time, unit)
        self._columns: Columns | None = None
        self._header: list[str] = []
        self._misfits: list[InputError] = []

    def feed(self, data: bytes, last: bool = False) -> Block | None:
        for line in self.lines(data, last):
            try:
                self._take(line)
            except InputError as error:
                # A device may greet, or be in the middle of a line; a header is to be believed.
                if not self._midway or (_is_header(line) and "," in line):
                    raise
                self.bad(str(error).removeprefix(f"{self.where}: "))
                self._misfits.append(error)
        if self._columns is None and self._misfits and (last or len(self._misfits) >= MISFITS):
            raise self._misfits[-1]
        return None if self._columns is None else self._columns.block(last)

    def _take(self, line: str) -> None:
        cells = _cells(line)
        if cells is None:
            return self.bad(f"{line[:40]!r} is no JSON of numbers")
        if isinstance(cells, dict):
            if self._columns is None:
                self._find(list(cells))
            missing = [name for name in self._header if name not in cells]
            if missing and len(missing) == len(self._header):
                return self.bad(f"has no '{missing[0]}'")
            cells = [cells.get(name) for name in self._header]
        elif self._columns is None:
            if not any(is_number(cell) for cell in cells):
                return self._find(cells)
            self._find(self._unnamed(len(cells)))
        elif cells == self._header:
            return None  # a device that began anew
        assert self._columns is not None
        wrong = self._columns.take(cells)
        return self.bad(wrong) if wrong else None

    def _find(self, header: list[str]) -> None:
        self._columns = Columns(self.where, header, self._front_end, *self._chosen)
        self._header = [name.strip() for name in header]

    def _unnamed(self, width: int) -> list[str]:
        """The names of columns without a header: the channels, and a time before them if any."""
        names = list(self._chosen[0] or getattr(self._front_end, "names", ()))
        names = names or [f"channel {i}" for i in range(self._front_end.channels)]
        if width == len(names):
            return names
        time = self._chosen[2] or "time"
        if width == len(names) + 1:
            return [time, *names]
        raise InputError(
            f"{self.where}: has {width} values a line, the front end takes {len(names)}, or these "
            "behind a time: let it begin with a line of the columns' names"
        )


def _is_header(line: str) -> bool:
    return line[:1] not in ("[", "{") and not any(map(is_number, _cells(line or "0")))


def _cells(line: str) -> Any:
    """A line's cells: a list, or a dict of a JSON object; None if it is neither."""
    if line[0] not in "[{":
        return [cell.strip() for cell in line.split(";" if ";" in line else ",")]
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if found and isinstance(found, (list, dict)) else None
