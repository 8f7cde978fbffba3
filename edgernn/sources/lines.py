"""Samples on stdin: lines of CSV or JSON, or raw 16-bit integers, from a program or a file."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any, ClassVar, Final

from edgernn.closing import Closing
from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block, listed
from edgernn.sources.decoding import decoder

CHUNK: Final = 1 << 16
POLL: Final = 0.1
"""Seconds in which an end is noticed."""


class Lines(Closing):
    """What stdin gives: `-` or `stdin:lines` for text, `stdin:int16` for raw samples."""

    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "columns": listed,
        "time": str,
        "unit": str,
    }

    def __init__(
        self,
        format: str,  # noqa: A002
        front_end: FrontEnd,
        columns: Sequence[str] = (),
        time: str = "",
        unit: str = "",
    ) -> None:
        """Begin; the options are those of a `Table`.

        Raises:
            InputError: the format is not known, or stdin is closed.
        """
        self.counters: dict[str, int] = {}
        self.rate = front_end.rate
        self._closed = Event()
        self._decoder = decoder(
            "stdin", front_end, self.counters, format or "lines", columns, time, unit
        )
        try:
            self._stdin = sys.stdin.fileno()
        except (AttributeError, ValueError, OSError):
            raise InputError("stdin: is closed") from None
        self.live = not stat.S_ISREG(os.fstat(self._stdin).st_mode)

    def __iter__(self) -> Iterator[Block]:
        while readable(self._stdin, self._closed):
            data = os.read(self._stdin, CHUNK)
            if block := self._decoder.feed(data, last=not data):
                yield block
            if not data:
                return

    def close(self) -> None:
        """End it; stdin itself stays open."""
        self._closed.set()


def readable(descriptor: int, closed: Event) -> bool:
    """Wait until there is something to read, or its end; False when `closed` is set first."""
    while not closed.is_set():
        if select.select([descriptor], [], [], POLL)[0]:
            return True
    return False
