"""Asking a running service on this machine; loads nothing but the standard library."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edgernn.errors import InputError


def ask(path: Path, request: str, timeout: float | None = None) -> Iterator[bytes]:
    """The lines that a service answers, as they come, each with its end.

    Raises:
        InputError: nobody listens at `path`, or this user may not ask.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{path}: no service answers there ({reason})") from None
        connection.sendall(request.encode() + b"\n")
        with connection.makefile("rb") as lines:
            yield from lines


def wait_for(path: Path, seconds: float) -> bool:
    """Whether a service answers at `path` before so many seconds are over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(InputError, OSError):
            return bool(list(ask(path, "status", 5.0)))
        time.sleep(0.05)
    return False
