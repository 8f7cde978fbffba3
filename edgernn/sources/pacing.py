"""A recording at its own pace, so that it can stand for a sensor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any, ClassVar, Final

from edgernn.closing import Closing
from edgernn.sources import Block, Source

STEP: Final = 0.05
"""Seconds that a block holds at most."""


class Paced(Closing):
    """The blocks of a source, each when its last sample would have been taken.

    Times of the recording are left as they are, and gaps in it are not waited for. Blocks that come
    later than the next one is due are counted as `late_blocks`: a sensor would have lost them.
    """

    live = True
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def __init__(self, source: Source) -> None:
        self._source, self._closed = source, Event()
        self.rate, self._late = source.rate, 0

    @property
    def counters(self) -> dict[str, int]:
        """Those of the recording, and its own."""
        return {**self._source.counters, "late_blocks": self._late}

    def __iter__(self) -> Iterator[Block]:
        size = max(1, round(self.rate * STEP))
        start, given = time.monotonic(), 0
        for samples, times in self._source:
            for i in range(0, len(samples), size):
                part = samples[i : i + size]
                given += len(part)
                due = start + given / self.rate
                now = time.monotonic()
                self._late += now > due + size / self.rate
                if self._closed.wait(max(0.0, due - now)):
                    return
                yield Block(part, None if times is None else times[i : i + size])

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._source.close()
