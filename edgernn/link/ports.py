"""Serial ports with a device of ours at the other end, through `pyserial`."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

from edgernn.errors import InputError, MissingDependencyError
from edgernn.link.messages import LinkError

BAUD: Final = 115_200


class Port(Protocol):
    """A line to a device."""

    def write(self, data: bytes) -> None:
        """Send all of it."""

    def receive(self, timeout: float) -> bytes:
        """Whatever came; nothing after `timeout` seconds of silence."""

    def close(self) -> None:
        """Hang up."""


class SerialLine:
    """A serial port of this computer, or any URL that pyserial knows, such as `socket://`."""

    def __init__(self, name: str, baud: int = BAUD) -> None:
        """Open it.

        Raises:
            InputError: there is no such port, or it cannot be opened.
            MissingDependencyError: `pyserial` is not installed.
        """
        try:
            import serial
            from serial.tools.list_ports import comports
        except ImportError:
            raise MissingDependencyError(
                f"{name}: needs pyserial: run `pip install 'edgernn[serial]'`"
            ) from None
        self.name = name
        self._errors = (OSError, TypeError)  # the latter: closed meanwhile
        try:
            self._device: Any = serial.serial_for_url(name, baud, write_timeout=10.0)
        except (OSError, ValueError) as error:
            ports = ", ".join(port.device for port in comports()) or "none"
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{name}: cannot be opened ({reason}); ports: {ports}") from None

    def write(self, data: bytes) -> None:
        """Send all of it; `LinkError` if the port is gone."""
        try:
            self._device.write(data)
        except self._errors as error:
            raise LinkError(f"{self.name}: was unplugged ({error})") from None

    def receive(self, timeout: float) -> bytes:
        """Whatever came; nothing after `timeout` seconds; `LinkError` if the port is gone."""
        try:
            self._device.timeout = timeout
            return bytes(self._device.read(1) + self._device.read(self._device.in_waiting))
        except self._errors as error:
            raise LinkError(f"{self.name}: was unplugged ({error})") from None

    def close(self) -> None:
        """Hang up."""
        self._device.close()


class PacedLine:
    """A line that is as slow as a serial one: 10 bits a byte, in both directions at once.

    `sent` and `received` count bytes.
    """

    def __init__(self, port: Port, baud: int = BAUD) -> None:
        self._port, self._seconds = port, 10.0 / baud
        self.sent = self.received = 0
        self._free = [0.0, 0.0]

    def _pace(self, direction: int, count: int) -> None:
        """Wait until the line has carried so many bytes more."""
        now = time.monotonic()
        self._free[direction] = max(self._free[direction], now) + count * self._seconds
        time.sleep(max(0.0, self._free[direction] - now))

    def write(self, data: bytes) -> None:
        """Send all of it, and return when a serial line would have carried it."""
        self._pace(0, len(data))
        self.sent += len(data)
        self._port.write(data)

    def receive(self, timeout: float) -> bytes:
        """Whatever came, when a serial line would have carried it."""
        data = self._port.receive(timeout)
        self._pace(1, len(data))
        self.received += len(data)
        return data

    def close(self) -> None:
        """Hang up."""
        self._port.close()
