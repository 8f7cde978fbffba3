"""What the service tells systemd (sd_notify)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def notify(**fields: str | int) -> None:
    """Send fields as `READY=1`; does nothing where nobody listens.

    A name is written in capitals: `notify(ready=1, status="listening")`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address[0] == "@" else address
    lines = (f"{key.upper()}={_line(value)}" for key, value in fields.items())
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.settimeout(1.0)
        sender.sendto("\n".join(lines).encode(), name)


def reloading() -> None:
    """The settings are being read anew; `notify(ready=1)` ends it."""
    notify(reloading=1, monotonic_usec=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)


def _line(value: str | int) -> str:
    return " ".join(str(value).split())
