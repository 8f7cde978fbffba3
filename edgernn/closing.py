"""`with` for whatever has `close`: sources and sinks."""

from __future__ import annotations

from typing import Any


class Closing:
    """A context manager that closes itself at its end."""

    def close(self) -> None:
        """End it."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
