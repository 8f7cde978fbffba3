"""Which release runs: to another one, and back by itself if that one does not come up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from edgernn.errors import DeviceError
from edgernn.files import sync_folder, write_atomically
from edgernn.releases import supervisor
from edgernn.releases.store import Store

Tell = Callable[[str], None]


def switch(store: Store, release: str, tell: Tell) -> None:
    """Let a whole release be the current one and run, under the lock.

    `current` moves first and alone decides what systemd starts, also after a power cut. A release
    that does not come up is left by going back to the one that ran before.

    Raises:
        DeviceError: it did not come up; the message says why, and what runs now.
    """
    old, older = store.read("current"), store.read("previous")
    before = {"current": old, "previous": older, "to": release}
    write_atomically(store.base / "switching", json.dumps(before).encode())
    if old and old != release:
        store.point("previous", old)
    store.point("current", release)
    supervisor.link_unit(store)
    tell(f"starting {release}")
    try:
        supervisor.start(store, release)
    except DeviceError as error:
        now = _back(store, before, tell)
        raise DeviceError(f"the release {release} did not come up: {error}; {now}") from None
    _settled(store)


def rollback(store: Store, tell: Tell) -> str:
    """Let the previous release run again, under the lock; returns its id.

    Raises:
        DeviceError: there is none, or it does not come up.
    """
    previous = store.read("previous")
    if not previous:
        raise DeviceError(f"{store.name}: there is no previous release to go back to")
    switch(store, previous, tell)
    return previous


def recover(store: Store, tell: Tell) -> None:
    """Finish a switch that a power cut ended, under the lock: keep what runs, else go back."""
    path = store.base / "switching"
    try:
        before: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        before = {}
    current = store.read("current")
    if not current or supervisor.ask(store).get("release") == current:
        _settled(store)
        return
    tell("an earlier deployment was interrupted")
    try:
        supervisor.link_unit(store)
        supervisor.start(store, current)
        _settled(store)
    except DeviceError as error:
        tell(f"{current} does not come up: {error}")
        tell(_back(store, before, tell))


def remove(store: Store, purge: bool) -> None:
    """Stop the service and remove all its releases, under the lock; its state too with `purge`."""
    supervisor.stop(store)
    for link in ("current", "previous"):
        store.point(link, "")
    if purge:
        shutil.rmtree(store.state.resolve(), ignore_errors=True)
        if store.state.is_symlink():  # systemd keeps that of a DynamicUser elsewhere
            store.state.unlink()
    shutil.rmtree(store.base)


def _back(store: Store, before: dict[str, Any], tell: Tell) -> str:
    """Undo a switch; what runs now, for a message."""
    old = str(before.get("current") or "")
    if not old or not store.release(old).is_dir() or old == before.get("to"):
        supervisor.stop(store)
        store.point("current", "")
        _settled(store)
        return "there is no earlier release, so nothing runs"
    store.point("current", old)
    store.point("previous", str(before.get("previous") or ""))
    tell(f"going back to {old}")
    try:
        supervisor.start(store, old)
    except DeviceError as error:
        _settled(store)
        return f"{old} is the current release again, but does not come up either: {error}"
    _settled(store)
    return f"{old} runs again"


def _settled(store: Store) -> None:
    (store.base / "switching").unlink(missing_ok=True)
    sync_folder(store.base)
