"""Events to a function of one's own, which may take its time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

from edgernn.closing import Closing
from edgernn.events import Event

QUEUE: Final = 1000
"""Events that wait for the function at most."""


class Callback(Closing):
    """Calls a function with each event, in order, in a thread of its own.

    A slow function does not hold the samples up: events wait for it, and those that find no place
    are counted as `dropped_events`. What the function raises comes out of the next `send` or of
    `close`, and the events behind it are counted as `undelivered_events`.
    """

    def __init__(self, function: Callable[[Event], object], patience: float = 5.0) -> None:
        """Begin; `patience` is how many seconds `close` waits for the function."""
        self.counters = {"dropped_events": 0, "undelivered_events": 0}
        self._function, self._patience = function, patience
        self._queue: queue.Queue[Event] = queue.Queue(QUEUE)
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgernn-callback", daemon=True)
        self._thread.start()

    def send(self, event: Event) -> None:
        """Hand an event over; raises what the function raised before."""
        self._raise()
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.counters["dropped_events"] += 1

    def _run(self) -> None:
        while True:
            try:
                event = self._queue.get(timeout=0.05)
            except queue.Empty:
                if self._ended.is_set():
                    return
                continue
            try:
                self._function(event)
            except BaseException as error:
                self.counters["undelivered_events"] += 1
                self._error = error
                return

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait for the function to take the events that are left; raises what it raised."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join(self._patience)
        self.counters["undelivered_events"] += self._queue.qsize()
        self._raise()
