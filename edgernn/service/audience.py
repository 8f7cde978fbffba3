"""Who watches or records a running service: clients with bounded queues, which hold nobody up."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np

from edgernn.sources import Block

LINES: Final = 512
"""Lines that wait for a slow client."""

Line = Mapping[str, Any]


class Client:
    """Lines on their way to one client, None the last one; `wanted` samples, if it records."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.recorded = wanted, 0
        self.lines: queue.Queue[bytes | None] = queue.Queue(LINES)
        self.lost = 0

    def offer(self, line: Line) -> None:
        """Queue a line; one that finds no room is lost, and that is told as soon as there is."""
        try:
            if self.lost:
                self.lines.put_nowait(encoded({"lost": self.lost}))
                self.lost = 0
            self.lines.put_nowait(encoded(line))
        except queue.Full:
            self.lost += 1

    def take(self, block: Block) -> bool:
        """Queue samples; whether there is an end of it: all are there, or some found no room."""
        part = Block(
            *(column[: self.wanted - self.recorded] for column in block if column is not None)
        )
        self.offer({"first": self.recorded, **_samples(part)})
        self.recorded += len(part.samples)
        if self.lost or self.lines.full():
            self.end("samples were lost: the connection is too slow")
            return True
        if self.recorded == self.wanted:
            self.lines.put_nowait(None)
        return self.recorded == self.wanted

    def end(self, reason: str = "") -> None:
        """The last line; what waits before it is dropped if there is no room."""
        last = [encoded({"error": reason})] if reason else []
        for line in (*last, None):
            while True:
                try:
                    self.lines.put_nowait(line)
                    break
                except queue.Full:
                    with suppress(queue.Empty):
                        self.lines.get_nowait()


class Audience:
    """All clients that watch or record; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._ended = False

    def join(self, wanted: int = 0) -> Client:
        """One client more, who watches or wants so many samples."""
        client = Client(wanted)
        with self._lock:
            self._clients.add(client)
            if self._ended:
                client.end()
        return client

    def leave(self, client: Client) -> None:
        """The client has gone."""
        with self._lock:
            self._clients.discard(client)

    def tell(self, make: Callable[[], Line]) -> None:
        """A line to everyone who watches, made only if anybody does; an empty one is none."""
        if not self._clients:
            return
        with self._lock:
            watching = [client for client in self._clients if not client.wanted]
            line = make() if watching else {}
            for client in watching if line else ():
                client.offer(line)

    def record(self, block: Block) -> None:
        """Samples to everyone who records; a client that is too slow gets no more."""
        if not self._clients:
            return
        with self._lock:
            self._clients -= {c for c in self._clients if c.wanted and c.take(block)}

    def interrupt(self, reason: str) -> None:
        """What is recorded now would have a gap."""
        with self._lock:
            recording = {client for client in self._clients if client.wanted}
            for client in recording:
                client.end(reason)
            self._clients -= recording

    def end(self) -> None:
        """The last line to everyone."""
        with self._lock:
            self._ended = True
            for client in self._clients:
                client.end()


def encoded(line: Line) -> bytes:
    """A line of JSON."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _samples(block: Block) -> dict[str, str]:
    sound = block.samples.ndim == 1 and block.samples.dtype == np.int16
    raw = block.samples.astype("<i2" if sound else "<f8")
    fields = {"data": base64.b64encode(raw.tobytes()).decode()}
    if block.times is not None:
        fields["times"] = base64.b64encode(block.times.astype("<i8").tobytes()).decode()
    return fields
