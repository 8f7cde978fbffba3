"""Frames on a serial line: 0x00, COBS(header, payload, CRC-32), 0x00; `edgernn_link.c` in Python.

COBS takes every zero out of a frame, so a zero on the line is always where a frame begins or ends:
after any garbage the next frame is received.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

VERSION: Final = 1
LARGEST: Final = 65_536
"""Bytes of payload that a receiver has room for, unless told otherwise."""

_HEADER: Final = struct.Struct("<BBH")
_CRC: Final = struct.Struct("<I")
_OWN: Final = _HEADER.size + _CRC.size
_LONGEST: Final = 254


class Message(NamedTuple):
    """One message; `sequence` is 16 bits, `type` 8."""

    type: int
    sequence: int
    payload: bytes


def encode(message: Message) -> bytes:
    """The frame of a message, as it goes over the line."""
    body = _HEADER.pack(VERSION, message.type, message.sequence) + message.payload
    return b"\0" + _stuffed(body + _CRC.pack(zlib.crc32(body))) + b"\0"


class Receiver:
    """Finds messages in what arrives; whatever is no whole frame is counted and dropped.

    `damaged` counts frames that were dropped, `foreign` whole ones of another protocol version.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        """`largest` is the longest payload in bytes that is taken."""
        self.damaged = self.foreign = 0
        self._capacity = largest + _OWN
        # A longer frame is too long, whatever it holds: memory is bounded without a zero too.
        self._most = self._capacity + self._capacity // _LONGEST + 2
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete."""
        messages = []
        *ended, rest = data.split(b"\0")
        for part in ended:
            message = self._message(bytes(self._pending) + part if self._pending else part)
            self._pending.clear()
            if message is not None:
                messages.append(message)
        self._pending += rest[: self._most + 1 - len(self._pending)]
        return messages

    def _message(self, frame: bytes) -> Message | None:
        if not frame:
            return None
        body = _unstuffed(frame) if len(frame) <= self._most else None
        if body is None or not _OWN <= len(body) <= self._capacity:
            self.damaged += 1
            return None
        (crc,) = _CRC.unpack_from(body, len(body) - _CRC.size)
        if zlib.crc32(body[: -_CRC.size]) != crc:
            self.damaged += 1
            return None
        version, kind, sequence = _HEADER.unpack_from(body)
        if version != VERSION:
            self.foreign += 1
            return None
        return Message(kind, sequence, body[_HEADER.size : -_CRC.size])


def _stuffed(data: bytes) -> bytes:
    """COBS: blocks of a length and up to 254 bytes that are no zeros."""
    blocks = []
    for part in data.split(b"\0"):
        for start in range(0, len(part) - len(part) % _LONGEST, _LONGEST):
            blocks.append(b"\xff" + part[start : start + _LONGEST])
        rest = part[len(part) - len(part) % _LONGEST :]
        blocks.append(bytes((len(rest) + 1,)) + rest)
    if data and data[-1] and blocks[-1] == b"\x01":
        del blocks[-1]  # the data ends with a full block, behind which there is no zero
    return b"".join(blocks)


def _unstuffed(frame: bytes) -> bytes | None:
    """What COBS was made of, or None if it is none."""
    parts: list[bytes] = []
    at, size = 0, len(frame)
    while at < size:
        code = frame[at]
        parts.append(frame[at + 1 : at + code])
        at += code
        if code <= _LONGEST and at < size:
            parts.append(b"\0")
    return b"".join(parts) if at == size else None
