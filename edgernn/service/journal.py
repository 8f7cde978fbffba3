"""Lines for the journal: stdout, each with its priority in front, as systemd reads it."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

ERROR: Final = 3
WARNING: Final = 4
NOTICE: Final = 5
INFO: Final = 6

_lock = threading.Lock()


def say(priority: int, told: str | Mapping[str, Any]) -> None:
    """One line: a text, or fields as JSON. A journal that is away holds nothing up."""
    text = told if isinstance(told, str) else json.dumps(told)
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    prefix = "" if sys.stdout.isatty() else f"<{priority}>"
    with _lock, suppress(OSError, ValueError):
        os.write(sys.stdout.fileno(), f"{prefix}{line}\n".encode(errors="replace"))


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        levels = ((logging.ERROR, ERROR), (logging.WARNING, WARNING))
        say(next((p for level, p in levels if record.levelno >= level), INFO), record.getMessage())


def take_logging() -> None:
    """What sources and sinks log goes to the journal as well."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Handler()], force=True)
