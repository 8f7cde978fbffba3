"""The saved state of a stream: a small versioned blob, the same in Python and in C.

All integers are little-endian:

    offset  size  what
    0       4     magic, the bytes "ERNN"
    4       4     format version, u32 (1)
    8       16    first 16 bytes of the SHA-256 of the model file
    24      4     n, bytes of state, u32
    28      4     p, bytes of pending frames, u32
    32      n     the state tensors in the signature's order, raw; in models with a warm-up the
                  count of steps since the reset behind them, u32, which stops when it is over
    32+n    p     frames that wait for a step to be complete (multi-rate models only), raw
    32+n+p  4     CRC-32 (IEEE 802.3, as zlib's) of everything before it, u32
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from edgernn.errors import StateError

MAGIC: Final = b"ERNN"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sI16sII")
_CRC: Final = struct.Struct("<I")


def pack(model_hash: str, states: bytes, pending: bytes) -> bytes:
    """A blob of the raw states and pending frames; `model_hash` is the file's SHA-256 in hex."""
    key = bytes.fromhex(model_hash)[:16]
    body = _HEADER.pack(MAGIC, VERSION, key, len(states), len(pending)) + states + pending
    return body + _CRC.pack(zlib.crc32(body))


def unpack(
    blob: bytes, model_hash: str, states_size: int | None, frame_size: int, frames_per_step: int
) -> tuple[bytes, bytes]:
    """The raw states and pending frames of a blob that was packed for this very model.

    `states_size` and `frame_size` are in bytes; None for states of a size that varies.

    Raises:
        StateError: the blob is damaged, cut short, of another version or of another model.
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise StateError(f"a saved state is bytes, not {type(blob).__name__}")
    blob = bytes(blob)
    if len(blob) < _HEADER.size + _CRC.size or blob[:4] != MAGIC:
        raise StateError(f"these {len(blob)} bytes are not a saved state, or only a part of one")
    _, version, key, n, p = _HEADER.unpack_from(blob)
    if version != VERSION:
        raise StateError(f"the saved state has format {version}, this edgernn reads {VERSION}")
    if len(blob) != _HEADER.size + n + p + _CRC.size:
        raise StateError(f"the saved state is damaged: it has {len(blob)} bytes, not what it says")
    if zlib.crc32(blob[: -_CRC.size]) != _CRC.unpack(blob[-_CRC.size :])[0]:
        raise StateError("the saved state is damaged: its checksum does not match")
    if key != bytes.fromhex(model_hash)[:16]:
        raise StateError("the saved state belongs to another model: reset the stream instead")
    if states_size not in (None, n) or p % frame_size or p // frame_size >= frames_per_step:
        raise StateError(f"the saved state holds {n} + {p} bytes, which do not fit the model")
    return blob[_HEADER.size : _HEADER.size + n], blob[_HEADER.size + n : -_CRC.size]
