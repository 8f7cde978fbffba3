"""New settings for a running service: all of them are taken, or it goes on with the old ones."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from edgernn.errors import EdgernnError, InputError
from edgernn.service.event_log import EventLog
from edgernn.service.outputs import close_sinks, open_page, open_sinks
from edgernn.service.settings import FILE, Settings, ViewSettings, read_settings

if TYPE_CHECKING:
    from edgernn.service.loop import Service

_FIXED: Final = ("model", "backend")
_INPUT: Final = ("input", "options", "repeat")


def changed_fields(service: Service) -> tuple[Settings, list[str]]:
    """The settings as they are on disk now, and the fields that differ.

    Raises:
        InputError: they are wrong, or cannot change while the service runs.
    """
    new = read_settings(service.release.folder / FILE, service.places.override)
    old = service.settings
    changed = [one.name for one in fields(new) if getattr(new, one.name) != getattr(old, one.name)]
    for name in _FIXED:
        if name in changed:
            raise InputError(f"{name} cannot change while the service runs: restart it")
    return new, changed


def replaced(service: Service, new: Settings, changed: list[str]) -> None:
    """Exchange the parts of a service whose settings have changed, from its own thread.

    Raises:
        EdgernnError: one cannot be opened; everything is as it was before.
    """
    with ExitStack() as undo:
        sinks, log = service.sinks, service.log
        if "publish" in changed:
            sinks = open_sinks(new.publish, service.places.state)
            undo.callback(close_sinks, sinks)
        if "log" in changed:
            try:
                log = EventLog(service.places.log, new.log.bytes, new.log.sync_seconds)
            except OSError as error:
                raise InputError(f"log: {error}") from None
            undo.callback(log.close)
        if "view" in changed:  # the new page may want the old one's port
            undo.callback(_try_page, service, service.settings.view)
            _exchange_page(service, new.view)
        if any(name in changed for name in _INPUT):
            _exchange_input(service, new)
        undo.pop_all()
    if sinks is not service.sinks:
        close_sinks(service.sinks)
        service.sinks = sinks
    if log is not service.log:
        service.log.close()
        service.log = log
    service.settings = new


def _exchange_page(service: Service, view: ViewSettings | None) -> None:
    if service.page is not None:
        service.page.close()
        service.page = None
    if view is not None:
        service.page = open_page(view, service.release, service.pipeline)


def _try_page(service: Service, view: ViewSettings | None) -> None:
    with suppress(EdgernnError):
        _exchange_page(service, view)


def _exchange_input(service: Service, new: Settings) -> None:
    """A new input in place of the old one, which goes on if the new one cannot be opened."""
    made, old = service.new_input(new), service.settings
    kind = new.input.partition(":")[0]
    if kind != old.input.partition(":")[0]:
        made.start(must_open=True)
        service.input.close()
        service.input = made
        return
    service.input.close()  # both may want the same device
    try:
        made.start(must_open=True)
    except EdgernnError:
        made = service.new_input(old)
        made.start()
        raise
    finally:
        service.input = made
