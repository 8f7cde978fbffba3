"""Sinks: where events go. One module a kind, chosen by what the user names.

A sink is a context manager that takes events, and never holds a stream up for long. What it could
not deliver is counted, never hidden.
"""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Any, Final, Protocol

from edgernn.events import Event

_PREFIXES: Final = {
    "mqtt:": "edgernn.sinks.mqtt:Mqtt",
    "mqtts:": "edgernn.sinks.mqtt:Mqtt",
}
"""Where the class of each sink is whose name begins so; any other name is a file."""


class Sink(Protocol):
    """An open sink."""

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, by name."""

    def send(self, event: Event) -> None:
        """Take an event.

        Raises:
            InputError: it cannot be delivered, now or ever.
        """

    def close(self) -> None:
        """Deliver what can be, and end; twice does no harm."""

    def __enter__(self) -> Sink: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_sink(spec: str) -> Sink:
    """The sink of a name: `mqtt://HOST/TOPIC`, a file of JSON lines, or `-` for stdout.

    Raises:
        InputError: the name is not complete, or the file cannot be written.
        MissingDependencyError: the package that it needs is not installed.
    """
    where = _PREFIXES.get(spec.partition("//")[0], "edgernn.sinks.json_lines:JsonLines")
    module, _, name = where.partition(":")
    sink: Sink = getattr(importlib.import_module(module), name)(spec)
    return sink


def told(event: Event) -> dict[str, Any]:
    """An event as fields of JSON: times in seconds."""
    return {
        "event": event.phase,
        "label": event.label,
        "score": float(f"{event.score:.6g}"),
        "start": round(event.start, 6),
        "end": round(event.end, 6),
    }
