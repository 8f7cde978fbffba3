"""What is asked of systemd, and of the running service."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from edgernn.errors import DeviceError, MissingDependencyError
from edgernn.files import sync_folder
from edgernn.releases.store import Store

UNITS: Final = "etc/systemd/system"
_START_SECONDS: Final = 150
"""More than the unit gives a start."""
_ANSWER_SECONDS: Final = 20.0
_ANSWER_BYTES: Final = 16 << 20
_STEADY_SECONDS: Final = 2.0
"""For which a service runs before its start counts."""


def systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `systemctl` and wait for it."""
    try:
        return subprocess.run(
            ["systemctl", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
        )
    except FileNotFoundError:
        raise MissingDependencyError("the device has no systemd: there is no systemctl") from None
    except subprocess.TimeoutExpired:
        raise DeviceError(f"systemctl {' '.join(arguments)} did not end") from None


def link_unit(store: Store) -> None:
    """Let systemd know the unit: a link to the one in the current release, which goes with it."""
    place = store.root / UNITS / store.unit
    place.parent.mkdir(parents=True, exist_ok=True)
    target = str(store.base / "current" / store.unit)
    if place.is_symlink() and os.readlink(place) == target:
        return
    fresh = place.with_name(f".{store.unit}.edgernn")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, place)
    sync_folder(place.parent)


def start(store: Store, release: str) -> None:
    """Start the service anew, and wait until this release runs.

    Raises:
        DeviceError: it does not come up; the message says why.
    """
    systemctl("daemon-reload")
    enabled = systemctl("enable", store.unit)
    # A unit that failed too often is refused otherwise.
    systemctl("reset-failed", store.unit)
    done = systemctl("restart", store.unit)
    if done.returncode or enabled.returncode:
        said = (done.stderr or enabled.stderr).strip().splitlines()
        raise DeviceError(last_words(store) or (said or ["systemctl gave no reason"])[0])
    end, steady = time.monotonic() + _ANSWER_SECONDS, 0.0
    while time.monotonic() < end:
        answer = ask(store)
        if answer.get("release") != release:
            steady = 0.0
        elif not steady:
            steady = time.monotonic() + _STEADY_SECONDS
        elif time.monotonic() > steady:
            return
        time.sleep(0.1)
    raise DeviceError(last_words(store) or "the service does not answer")


def stop(store: Store) -> None:
    """Stop the service, and let systemd forget it."""
    systemctl("disable", "--now", store.unit)
    (store.root / UNITS / store.unit).unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("reset-failed", store.unit)


def active(store: Store) -> str:
    """What systemd says of it: active, failed, inactive …"""
    return systemctl("is-active", store.unit).stdout.strip() or "unknown"


def journal(store: Store, count: int) -> list[str]:
    """The last lines that the service wrote; none where there is no journal."""
    command = ["journalctl", "--unit", store.unit, "--lines", str(count), "--output", "cat"]
    try:
        done = subprocess.run(
            [*command, "--no-pager", "--quiet"], capture_output=True, text=True, timeout=30
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()


def last_words(store: Store) -> str:
    """Why the service may have ended: its own last line that is not systemd's."""
    for line in reversed(journal(store, 20)):
        if line.strip() and "systemd" not in line and store.unit not in line:
            return line.strip()
    return ""


def ask(store: Store) -> dict[str, Any]:
    """The status that the running service gives; empty if none answers."""
    return request(store.socket, "status")[0]


def request(path: Path, text: str) -> list[dict[str, Any]]:
    """The lines that a service answers to a request; one empty line if none answers."""
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        # A socket's path has to be short; where it is not (in tests), it is named from its folder.
        connection.connect(_reachable(path))
        connection.sendall(text.encode() + b"\n")
        found = [json.loads(line) for line in _lines(connection)]
        return [line for line in found if isinstance(line, dict)] or [{}]
    return [{}]


def _lines(connection: socket.socket) -> list[bytes]:
    """All lines, but of a service that went mad only the first ones: it is not trusted."""
    end, data = time.monotonic() + _ANSWER_SECONDS, b""
    while time.monotonic() < end and len(data) < _ANSWER_BYTES:
        part = connection.recv(1 << 16)
        if not part:
            break
        data += part
    return data.splitlines()


def _reachable(path: Path) -> str:
    if len(os.fsencode(path)) < 100:
        return str(path)
    os.chdir(path.parent)
    return path.name
