"""Events as lines of JSON, to stdout or behind those of a file."""

from __future__ import annotations

import json
import os
import stat
import sys

from edgernn.closing import Closing
from edgernn.errors import InputError
from edgernn.events import Event
from edgernn.sinks import told


class JsonLines(Closing):
    """A line an event, written at once. A line that a full disk cuts is taken back."""

    def __init__(self, path: str) -> None:
        """Open the file, `-` for stdout; events come behind what it holds.

        Raises:
            InputError: it cannot be written.
        """
        self.counters: dict[str, int] = {}
        self._path = path
        self._file: int | None = None
        if path == "-":
            return
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._failed(error) from None
        self._seekable = stat.S_ISREG(os.fstat(self._file).st_mode)
        size = os.fstat(self._file).st_size
        if self._seekable and size and os.pread(self._file, 1, size - 1) != b"\n":
            self._write(b"\n")  # a power cut left half a line

    def send(self, event: Event) -> None:
        """Write a line.

        Raises:
            InputError: the disk is full; the file ends with the event before.
            BrokenPipeError: whoever read stdout has left.
        """
        line = json.dumps(told(event)) + "\n"
        if self._path == "-":
            self._print(line)
        else:
            self._write(line.encode())

    def _print(self, line: str) -> None:
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # Or Python would try again at its exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise InputError(
                f"stdout: cannot be written ({(error.strerror or '').lower()})"
            ) from None

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise InputError(f"{self._path}: is closed")
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            if self._seekable:
                os.ftruncate(self._file, size)
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> InputError:
        return InputError(f"{self._path}: cannot be written ({(error.strerror or '').lower()})")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
