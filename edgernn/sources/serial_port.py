"""Samples from a serial port, through `pyserial`: lines of text, or raw 16-bit integers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import Any, ClassVar, Final

from edgernn.closing import Closing
from edgernn.errors import InputError, MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block, listed
from edgernn.sources.clock import SampleClock
from edgernn.sources.decoding import decoder

BAUD: Final = 115_200
POLL: Final = 0.1
"""Seconds in which an end is noticed."""
BACKOFF: Final = (0.1, 5.0)
"""Seconds between attempts to open a port that was unplugged: at first, and at most."""

_log = logging.getLogger(__name__)


class SerialPort(Closing):
    """A port: `serial:/dev/ttyACM0@115200`. One that is unplugged is waited for and opened again.

    It may be opened in the middle of a line, so the first one is left out if it is no header. Raw
    integers tell nothing of where one begins: open the port before the device begins to send.

    A sensor's samples without a time of their own get even ones; after an unplugging they go on at
    the time that it took, so that the front end sees the gap.
    """

    live = True
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "format": str,
        "columns": listed,
        "time": str,
        "unit": str,
    }

    def __init__(
        self,
        name: str,
        front_end: FrontEnd,
        format: str = "lines",  # noqa: A002
        columns: Sequence[str] = (),
        time: str = "",
        unit: str = "",
    ) -> None:
        """Open it; `format` is `lines` or `int16`, the other options are those of a `Table`.

        Raises:
            InputError: there is no such port, or it cannot be opened.
            MissingDependencyError: `pyserial` is not installed.
        """
        self._port, _, baud = name.partition("@")
        self._where = f"serial:{self._port}"
        if baud and not baud.isdigit():
            raise InputError(f"{self._where}: baud rate {baud!r} is no number")
        try:
            import serial
        except ImportError:
            raise MissingDependencyError(
                f"{self._where}: needs pyserial: run `pip install 'edgernn[serial]'`"
            ) from None
        self._serial, self._baud = serial, int(baud or BAUD)
        self.rate = front_end.rate
        self.counters = {"unplugged": 0, "reconnects": 0}
        self._decoder = decoder(
            self._where, front_end, self.counters, format, columns, time, unit, midway=True
        )
        self._clock = SampleClock(self.rate) if front_end.sample_dtype == "int32" else None
        self._closed = Event()
        try:
            self._device = self._opened()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._where}: cannot be opened ({error}); ports: {_ports()}"
            ) from None

    def _opened(self) -> Any:
        return self._serial.Serial(self._port, self._baud, timeout=POLL)

    def __iter__(self) -> Iterator[Block]:
        while not self._closed.is_set():
            try:
                data = self._device.read(max(1, self._device.in_waiting))
            except (OSError, TypeError, ValueError) as error:  # the latter two: closed meanwhile
                if self._closed.is_set():
                    break
                self._unplugged(error)
                continue
            if data and (block := self._decoder.feed(data)):
                yield self._stamped(block)

    def _stamped(self, block: Block) -> Block:
        if block.times is not None or self._clock is None:
            return block
        return Block(block.samples, self._clock.stamps(len(block.samples)))

    def _unplugged(self, error: Exception) -> None:
        """Wait until it can be opened again, or this is closed."""
        self.counters["unplugged"] += 1
        _log.warning("%s: was unplugged (%s), waiting for it", self._where, error)
        with suppress(OSError):
            self._device.close()
        self._decoder.restart()
        pause = BACKOFF[0]
        while not self._closed.wait(pause):
            pause = min(2 * pause, BACKOFF[1])
            try:
                self._device = self._opened()
            except (OSError, ValueError):
                continue
            if self._closed.is_set():
                self._device.close()
                return
            self.counters["reconnects"] += 1
            _log.warning("%s: is there again", self._where)
            if self._clock is not None:
                self._clock.resume()
            return

    def close(self) -> None:
        """Close the port."""
        self._closed.set()
        with suppress(OSError):
            self._device.close()


def _ports() -> str:
    from serial.tools.list_ports import comports

    return ", ".join(port.device for port in comports()) or "none"
