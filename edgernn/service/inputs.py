"""The service's input: a source in a thread of its own, opened again whenever it fails.

What it gives comes out of one bounded queue, in order: `BEGUN` whenever a source was opened, then
its blocks, and `ENDED` behind the last one of an input that has an end. A full queue makes the
source wait; a live one then counts what it has no room for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from edgernn.errors import EdgernnError, InputError
from edgernn.frontends import FrontEnd
from edgernn.service.settings import Settings
from edgernn.sources import Block, Source, flag, open_source

QUEUE: Final = 8
"""Blocks that wait for the pipeline."""
PAUSES: Final = (1.0, 60.0)
"""Seconds before a source that failed is tried again: at first, and at most; doubled each time."""
STEADY: Final = 60.0
"""Seconds of samples behind which the pauses begin anew."""
CLOSING: Final = 5.0
"""Seconds in which a source that is closed has to end."""


class Mark(Enum):
    """What comes between blocks."""

    BEGUN = 1
    ENDED = 2


class Input:
    """One input of the settings, from the first opening to `close`."""

    def __init__(
        self,
        settings: Settings,
        front_end: FrontEnd,
        tell: Callable[[str], None],
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        """Nothing is opened yet; `tell` gets a line whenever the source fails or is back."""
        self.spec, self.state, self.error, self.failures = settings.input, "starting", "", 0
        self.queue: queue.Queue[Block | Mark] = queue.Queue(QUEUE)
        self._settings, self._front_end, self._tell = settings, front_end, tell
        self._pauses, self._pause = pauses, pauses[0]
        self._before: dict[str, int] = {}
        self._source: Source | None = None
        self._closed = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgernn-input", daemon=True)

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, of all sources that were opened."""
        return _sum(self._before, self._source.counters if self._source else {})

    def start(self, must_open: bool = False) -> None:
        """Begin; with `must_open` the first opening happens here and now.

        Raises:
            InputError, MissingDependencyError: it cannot be opened, and had to be.
        """
        if must_open:
            self._source = self._opened()
        self._thread.start()

    def wait_tried(self, seconds: float) -> None:
        """Wait until the source was opened once, or could not be."""
        self._tried.wait(seconds)

    def close(self) -> None:
        """End it; whoever reads the queue may leave what is in it."""
        self._closed.set()
        source = self._source
        if source is not None:
            with suppress(Exception):
                source.close()
        if self._thread.is_alive():
            self._thread.join(CLOSING)  # a driver may hang: the thread is a daemon

    def _opened(self) -> Source:
        options = dict(self._settings.options)
        try:
            realtime = flag(options.pop("realtime", False))
        except KeyError:
            raise InputError("option realtime: must be true or false") from None
        return open_source(self.spec, self._front_end, realtime=realtime, **options)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if self._source is None:
                    self._source = self._opened()
                ended = self._read(self._source)
            except Exception as error:  # a driver may raise anything, and none of it ends a service
                self._failed(error)
            else:
                if ended or self._closed.is_set():
                    return
            finally:
                self._drop()

    def _read(self, source: Source) -> bool:
        """Pass a source's blocks on; whether its end is that of the input."""
        self.state = "open"
        self._tried.set()
        self._put(Mark.BEGUN)
        seconds = 0.0
        for block in source:
            if self.error:
                self._tell(f"{self.spec}: is there again")
                self.error = ""
            seconds += len(block.samples) / self._front_end.rate
            if seconds > STEADY:
                self._pause = self._pauses[0]
            if not self._put(block):
                return True
        if self._closed.is_set():
            return True
        if not seconds:
            raise InputError(f"{self.spec}: holds no samples")
        if self._settings.repeat:
            return False
        self.state = "ended"
        self._put(Mark.ENDED)
        return True

    def _put(self, item: Block | Mark) -> bool:
        """Wait for room; False if this was closed meanwhile."""
        while not self._closed.is_set():
            try:
                self.queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _drop(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._before = _sum(self._before, source.counters)
            with suppress(Exception):
                source.close()

    def _failed(self, error: Exception) -> None:
        """Say so, and wait."""
        if self._closed.is_set():
            return
        known = isinstance(error, (EdgernnError, OSError))
        text = " ".join((str(error) if known else repr(error)).split())
        self.failures += 1
        self.state = "waiting"
        if text != self.error:  # the same thing is said once
            self._tell(f"the input failed and is tried again: {text}")
        self.error = text
        self._tried.set()
        self._drop()
        self._closed.wait(self._pause)
        self._pause = min(2 * self._pause, self._pauses[1])


def _sum(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, Any]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in (*a, *b)}
