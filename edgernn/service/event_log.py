"""Events on disk, bounded, that survive a power cut: a ring of segments of lines.

A line is the CRC-32 of the rest in eight hex digits, a space, and JSON. Segments are
`events.00000001.log` and so on; when all would take more than the bytes that were allowed, the
oldest goes. What a power cut tore off the end of the newest is left out, and cut off before the
next event is written; a line that is damaged elsewhere is left out and counted.

An event is on the disk when `append` returns (`sync_seconds` 0), or else so many seconds later at
most, provided that `tick` is called a few times a second.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from edgernn.files import sync_folder

SEGMENTS: Final = 4
"""Segments that the log has at least when it is full."""
LARGEST: Final = 1 << 20
"""Bytes of a segment at most."""
MARGIN: Final = 0.5
"""Seconds before it is due that the disk is written: as long as nobody may call `tick`."""

_NAME: Final = re.compile(r"events\.(\d{8})\.log")
_SUM: Final = 9
"""Bytes of the checksum and its space."""

Entry = dict[str, Any]


class EventLog:
    """A log that is written; one process at a time, and one thread. `read_log` needs neither."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        sync_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or begin it; `limit` is the bytes it takes at most.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self._folder, self._limit, self._clock = folder, limit, clock
        self._due = sync_seconds
        self._segment_limit = min(limit // SEGMENTS, LARGEST)
        self._waiting: float | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.damaged = 0
        numbers = _segments(folder)
        self._segment = numbers[-1] if numbers else 1
        self._sizes = {n: _path(folder, n).stat().st_size for n in numbers}
        self.number = self._last_number(numbers)
        self._file = self._opened(self._segment)
        self._prune(0)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes.values())

    def append(self, fields: Mapping[str, Any]) -> Entry:
        """Add an event; returns it with its `number`.

        Raises:
            OSError: the disk is full; the log is as it was, and goes on with the next event.
            ValueError: the event is larger than a segment, or holds what JSON cannot.
        """
        entry = {"number": self.number + 1, **fields}
        line = _line(entry)
        if len(line) > self._segment_limit:
            raise ValueError(f"an event of {len(line)} bytes, the log takes {self._segment_limit}")
        if self._sizes[self._segment] + len(line) > self._segment_limit:
            self._begin_segment()
        size, written = self._sizes[self._segment], 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
            if not self._due:
                os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise
        self._sizes[self._segment] += len(line)
        self.number += 1
        if self._due and self._waiting is None:
            self._waiting = self._clock()
        return entry

    def tick(self) -> None:
        """Have the disk keep what has waited long enough."""
        if self._waiting is not None and self._clock() - self._waiting >= self._due - MARGIN:
            self.sync()

    def sync(self) -> None:
        """Have the disk keep everything."""
        if self._waiting is not None:
            os.fsync(self._file)
            self._waiting = None

    def newest(self, count: int) -> list[Entry]:
        """The newest events, oldest first; also from another thread."""
        return read_log(self._folder, count)[0]

    def close(self) -> None:
        """End it; twice does no harm."""
        if self._file >= 0:
            with suppress(OSError):
                self.sync()
            os.close(self._file)
            self._file = -1

    def _last_number(self, numbers: list[int]) -> int:
        """The newest event's number; what is behind it in the newest segment is cut off."""
        for segment in reversed(numbers):
            path = _path(self._folder, segment)
            end, last, damaged = 0, 0, 0
            for position, entry in _entries(path.read_bytes()):
                if entry is None:
                    damaged += 1
                else:
                    end, last = position, entry["number"]
                    self.damaged += damaged
                    damaged = 0
            if segment == self._segment and end < self._sizes[segment]:
                os.truncate(path, end)
                self._sizes[segment] = end
            if last:
                return int(last)
        return 0

    def _begin_segment(self) -> None:
        self.sync()
        opened = self._opened(self._segment + 1)  # first: a full disk leaves all as it is
        os.close(self._file)
        self._file = opened
        self._segment += 1
        self._prune(self._segment_limit)

    def _prune(self, room: int) -> None:
        """Remove the oldest segments until there is so much room."""
        for oldest in sorted(self._sizes)[:-1]:
            if self.size + room <= self._limit:
                break
            with suppress(FileNotFoundError):
                _path(self._folder, oldest).unlink()
            del self._sizes[oldest]

    def _opened(self, segment: int) -> int:
        path = _path(self._folder, segment)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._sizes.setdefault(segment, 0)
        sync_folder(self._folder)
        return file


def read_log(folder: Path, count: int | None = None) -> tuple[list[Entry], int]:
    """The newest `count` events (None: all), oldest first, and how many lines were damaged.

    The end that a power cut tore off is not among the damaged lines.
    """
    found: list[list[Entry]] = []
    damaged = total = 0
    for segment in reversed(_segments(folder)):
        if count is not None and total >= count:
            break
        try:
            data = _path(folder, segment).read_bytes()
        except FileNotFoundError:  # it was the oldest
            break
        entries = [entry for _, entry in _entries(data)]
        good = [entry for entry in entries if entry is not None]
        while entries and entries[-1] is None and not found:
            entries.pop()
        damaged += entries.count(None)
        found.append(good)
        total += len(good)
    newest = [entry for part in reversed(found) for entry in part]
    return (newest if count is None else newest[max(0, len(newest) - count) :]), damaged


def _segments(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(m[1]) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)))


def _path(folder: Path, segment: int) -> Path:
    return folder / f"events.{segment:08d}.log"


def _line(entry: Entry) -> bytes:
    text = json.dumps(entry, allow_nan=False, ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entries(data: bytes) -> Iterator[tuple[int, Entry | None]]:
    """Where each line ends, and its event; None for a line that is none."""
    position = 0
    for line in data.split(b"\n"):
        position += len(line) + 1
        if line:
            torn = position > len(data)  # without an end it may be cut
            yield position, None if torn else _entry(line)


def _entry(line: bytes) -> Entry | None:
    text = line[_SUM:]
    if line[:_SUM] != b"%08x " % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    whole = isinstance(entry, dict) and isinstance(entry.get("number"), int)
    return entry if whole else None
