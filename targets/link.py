"""Messages to and from the firmware, over any serial port: `firmware/link.h` describes them."""

from __future__ import annotations

import binascii
import struct
from typing import Final, Protocol

from edgernn.errors import EdgernnError

SYNC: Final = b"\xa5"
STEP, RESET, SAVE, RESTORE, STACK, READY, ERROR = b"SRGPKBE"
SAMPLES, TIMED_SAMPLES = b"AT"

_HEADER: Final = struct.Struct("<cBI")
_REASONS: Final = {
    1: "the message has the wrong size",
    2: "the message arrived damaged",
    3: "the message is of an unknown kind",
    4: "its processor stopped at a fault",
}


class BoardError(EdgernnError):
    """The board does not answer as its firmware should."""


class Port(Protocol):
    """A serial port. `read` gives exactly that many bytes, or raises `BoardError`."""

    def write(self, data: bytes) -> None:
        """Send all of it."""

    def read(self, size: int) -> bytes:
        """Wait for bytes."""


def message(kind: int, payload: bytes = b"") -> bytes:
    """A message as bytes."""
    header = _HEADER.pack(SYNC, kind, len(payload))
    body = header[1:] + payload
    return SYNC + body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))


def ask(port: Port, kind: int, payload: bytes = b"") -> bytes:
    """Send a request and wait for its answer.

    Raises:
        BoardError: it answers with an error, with something else, or not at all.
    """
    port.write(message(kind, payload))
    return answer(port, kind)


def answer(port: Port, kind: int) -> bytes:
    """The payload of the next message, which must answer a request of this kind."""
    header = port.read(_HEADER.size)
    sync, got, size = _HEADER.unpack(header)
    if sync != SYNC or size > 1 << 24:
        raise BoardError(f"the board sends no messages of edgernn's firmware but {header.hex()}")
    payload, crc = port.read(size), port.read(2)
    if struct.unpack("<H", crc)[0] != binascii.crc_hqx(header[1:] + payload, 0xFFFF):
        raise BoardError("the board's answer arrived damaged")
    if got == ERROR:
        code = payload[0] if payload else 0
        raise BoardError(f"the board reports: {_REASONS.get(code, f'error {code}')}")
    if got != kind:
        raise BoardError(f"the board answers '{chr(kind)}' with '{chr(got)}'")
    return payload
