"""A live page of a running pipeline: scores, events, input, latency, what went wrong.

The pipeline publishes what it has; twenty times a second the newest goes to whoever is looking,
as server-sent events. Nothing here ever makes the pipeline wait.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from edgernn.view.clients import Clients
from edgernn.view.server import Server
from edgernn.view.updates import Update, checked, digest

__all__ = ["Update", "View"]

INTERVAL: Final = 0.05
"""Seconds between two messages."""

PENDING: Final = 256
"""Updates kept between two messages; a pipeline that publishes more is thinned in the plots."""

PENDING_EVENTS: Final = 1000
"""Events kept between two messages; more are counted in `events_not_shown`."""


class View:
    """The page's server, in threads of its own; a context manager."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        *,
        title: str = "edgernn",
        labels: Sequence[str] = (),
        channels: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve at `address` and `port` (0: any free one); see `url`.

        `labels` name the columns of `scores`, `channels` those of a sensor's samples. With `tls`
        the page is served as https.

        Raises:
            InputError: the address is not this machine's own, or the port is taken; or others
                can reach the address, and there is no token of sixteen characters or more.
        """
        self._labels, self._channels = tuple(labels), tuple(channels)
        self._clients = Clients(
            {"title": title, "labels": self._labels, "channels": self._channels}
        )
        self._server = Server(address, port, token, self._clients, tls)
        self._lock = threading.Lock()
        self._pending: deque[Update] = deque(maxlen=PENDING)
        self._events: list[dict[str, Any]] = []
        self._not_shown = 0
        self._started = time.monotonic()
        self._stopped = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="edgernn-view", daemon=True)
        self._ticker.start()

    @property
    def url(self) -> str:
        """Where the page is. The token is not in it: `?token=...` is the user's to add."""
        return self._server.url

    @property
    def counters(self) -> dict[str, int]:
        """Clients dropped because they were slow, connections refused, events not shown."""
        return {**self._clients.counters, "events_not_shown": self._not_shown}

    def publish(self, update: Update) -> None:
        """Show this soon; from any thread, at any rate. See `Update` for what can be shown.

        Raises:
            InputError: a key is unknown, or rows do not fit the labels or the channels.
        """
        if self._stopped.is_set():
            return
        now = time.monotonic() - self._started
        rows, events = checked(update, now, len(self._labels), len(self._channels))
        with self._lock:
            self._pending.append(rows)
            room = PENDING_EVENTS - len(self._events)
            self._events += events[:room]
            self._not_shown += max(0, len(events) - room)

    def close(self) -> None:
        """Send what is left, say goodbye and end all threads; twice does no harm."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._ticker.join()
        self._send()
        self._clients.end()
        self._server.end()

    def __enter__(self) -> View:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tick(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._send()

    def _send(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, deque(maxlen=PENDING)
            events, self._events = self._events, []
        if not self._clients.any:  # only what a later client is told
            pending = deque({"counters": one["counters"]} for one in pending if "counters" in one)
        if pending or events:
            self._clients.send(digest(pending), events)
