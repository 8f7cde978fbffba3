"""Who is looking: a bounded number of clients, each with a bounded queue."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

CLIENTS: Final = 8
"""Pages open at once."""

QUEUE: Final = 64
"""Messages that wait for a client, three seconds of them; one that is slower is dropped."""

HISTORY: Final = 200
"""Past events that a new client is told."""


class Client:
    """An open page: messages on their way to it. None is the last one."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.messages: queue.Queue[bytes | None] = queue.Queue(QUEUE)


class Clients:
    """All open pages, and what a new one is told; safe to use from any thread."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        """`about` goes to every new client, with the events and counters so far."""
        self._about = about
        self._lock = threading.Lock()
        self._open: set[Client] = set()
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._counters: Mapping[str, int] = {}
        self._ended = False
        self.counters = {"clients_dropped": 0, "clients_refused": 0}

    def join(self, connection: socket.socket) -> Client | None:
        """A new client, greeted; None if there are too many."""
        client = Client(connection)
        with self._lock:
            if self._ended or len(self._open) >= CLIENTS:
                self.counters["clients_refused"] += 1
                return None
            told = {**self._about, "events": list(self._history), "counters": self._counters}
            client.messages.put_nowait(_message("hello", told))
            self._open.add(client)
        return client

    @property
    def any(self) -> bool:
        """Whether somebody is looking."""
        return bool(self._open)

    def refuse(self) -> None:
        """Count a connection that was closed as it came."""
        with self._lock:
            self.counters["clients_refused"] += 1

    def drop(self, client: Client) -> None:
        """The client takes nothing any more."""
        with self._lock:
            self.counters["clients_dropped"] += client in self._open
            self._open.discard(client)

    def leave(self, client: Client) -> None:
        """The client has gone."""
        with self._lock:
            self._open.discard(client)

    def send(self, update: Mapping[str, Any], events: list[dict[str, Any]]) -> None:
        """To everyone; who has too much waiting already is dropped."""
        with self._lock:
            self._history.extend(events)
            self._counters = update.get("counters", self._counters)
            if not self._open:
                return
            message = _message("update", {**update, "events": events} if events else update)
            for client in list(self._open):
                if not _offer(client, message):
                    self.counters["clients_dropped"] += 1
                    self._open.discard(client)

    def end(self) -> None:
        """The last message to everyone; nobody joins any more."""
        with self._lock:
            self._ended = True
            for client in self._open:
                if _offer(client, _message("end", {})):
                    _offer(client, None)
            self._open.clear()


def _offer(client: Client, message: bytes | None) -> bool:
    """Queue a message, or hang up: a write that blocks then fails at once."""
    try:
        client.messages.put_nowait(message)
    except queue.Full:
        with suppress(OSError):
            hang_up(client.connection)
        return False
    return True


def hang_up(connection: socket.socket) -> None:
    """Shut a connection that another thread may be writing to."""
    # A TLS socket's own method would take its object away from under that thread.
    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _message(kind: str, content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return f"event: {kind}\ndata: {text}\n\n".encode()
