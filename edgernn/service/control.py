"""The control socket: a line with a request, lines of JSON as the answer; see docs/service.md."""

from __future__ import annotations

import os
import pwd
import queue
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from edgernn.errors import EdgernnError, InputError
from edgernn.service.audience import Audience, Line, encoded

CONNECTIONS: Final = 16
"""Clients at once; more are closed as they come."""
REQUEST: Final = 1024
"""Bytes of a request at most."""
PATIENCE: Final = 10.0
"""Seconds in which a client has to send its request, and to take a line."""
SILENCE: Final = 10.0
"""Seconds without a sample after which a recording ends."""
MOST_LINES: Final = 100_000
MOST_SECONDS: Final = 3600.0


class Answers(Protocol):
    """What the service answers with; called from the threads of the clients."""

    audience: Audience

    def status(self) -> Line:
        """How it is."""

    def hello(self) -> Line:
        """What it is."""

    def logs(self, count: int) -> list[dict[str, Any]]:
        """The newest events."""

    def reload(self) -> list[str]:
        """Take new settings; which fields changed. Raises `EdgernnError` if they are refused."""

    def users(self) -> tuple[str, ...]:
        """Who may ask for more than the status."""


class Control(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers in threads of its own from the start until `end`."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, path: Path, answers: Answers) -> None:
        """Listen at `path`, in place of a socket that a dead process left there.

        Raises:
            InputError: the socket cannot be made.
        """
        self.answers, self._path = answers, path
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        with suppress(FileNotFoundError):
            path.unlink()
        try:
            super().__init__(str(path), _Handler)
            path.chmod(0o666)  # who may ask for what is decided by who is there
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{path}: cannot listen there ({reason})") from None
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="edgernn-control", daemon=True
        )
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, unless there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no error of ours."""

    def end(self) -> None:
        """Stop, and remove the socket."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink()


class _Handler(socketserver.StreamRequestHandler):
    server: Control
    timeout = PATIENCE

    def handle(self) -> None:
        words = self.rfile.readline(REQUEST).decode(errors="replace").split()
        try:
            for line in self._answer(words):
                self.wfile.write(encoded(line) if isinstance(line, Mapping) else line)
        except EdgernnError as error:
            self.wfile.write(encoded({"error": str(error)}))

    def _answer(self, words: list[str]) -> Iterator[Line | bytes]:
        answers = self.server.answers
        if words == ["status"]:
            yield answers.status()
            return
        known: dict[str, tuple[int, Callable[..., Iterator[Line | bytes]]]] = {
            "reload": (0, self._reload),
            "logs": (1, self._logs),
            "watch": (0, self._watch),
            "record": (1, self._record),
        }
        if not words or words[0] not in known or len(words) != 1 + known[words[0]][0]:
            raise InputError("no such request: status, reload, logs N, watch, record SECONDS")
        self._check_user()
        yield from known[words[0]][1](*words[1:])

    def _check_user(self) -> None:
        raw = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, user, _ = struct.unpack("3i", raw)
        if user in (0, os.getuid()):
            return
        with suppress(KeyError):
            if (name := pwd.getpwuid(user).pw_name) in self.server.answers.users():
                return
            raise InputError(f"'{name}' may only ask for status: `users` of the settings says who")
        raise InputError("only status is for everybody: `users` of the settings says who may more")

    def _reload(self) -> Iterator[Line]:
        yield {"reloaded": self.server.answers.reload()}

    def _logs(self, count: str) -> Iterator[Line]:
        if not count.isdecimal() or not 0 < int(count) <= MOST_LINES:
            raise InputError(f"logs {count}: takes a number from 1 to {MOST_LINES}")
        yield from self.server.answers.logs(int(count))

    def _watch(self) -> Iterator[Line | bytes]:
        answers = self.server.answers
        client = answers.audience.join()
        try:
            yield answers.hello()
            while (line := client.lines.get()) is not None:
                yield line
        finally:
            answers.audience.leave(client)

    def _record(self, told: str) -> Iterator[Line | bytes]:
        try:
            seconds = float(told)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= MOST_SECONDS:
            raise InputError(f"record {told}: takes seconds, up to {MOST_SECONDS:g}")
        answers = self.server.answers
        hello = answers.hello()
        wanted = max(1, round(seconds * hello["hello"]["rate"]))
        client = answers.audience.join(wanted)
        try:
            yield hello
            while (line := client.lines.get(timeout=SILENCE)) is not None:
                yield line
        except queue.Empty:
            raise InputError(f"no samples for {SILENCE:g} s: see `status`") from None
        finally:
            answers.audience.leave(client)
        if client.recorded == wanted:
            yield {"end": True, "samples": wanted}
