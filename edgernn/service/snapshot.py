"""The stream's state on disk: whole, checked, of this model, or not used.

Little-endian:

    offset  size  what
    0       4     magic, the bytes "ERSS"
    4       4     format version, u32 (1)
    8       32    SHA-256 of the model file
    40      8     Unix time at which it was taken, f64
    48      8     time of the newest sample in microseconds, i64; -1 if the source has no clock
    56      4     n, u32
    60      n     what `Pipeline.save` gave
    60+n    4     CRC-32 (as zlib's) of everything before it, u32
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.errors import StateError
from edgernn.files import sync_folder, write_atomically

MAGIC: Final = b"ERSS"
VERSION: Final = 1
OTHER_MODEL: Final = ".other-model"
DAMAGED: Final = ".damaged"

_HEADER: Final = struct.Struct("<4sI32sdqI")
_CRC: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Snapshot:
    """A saved state: the model's hash in hex, when it was taken (Unix time), and the blob.

    `last` is the time of the newest sample in microseconds, -1 if the source has no clock.
    """

    model: str
    clock: float
    last: int
    blob: bytes


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot at `path`; when this returns, it is on the disk.

    Raises:
        OSError: it cannot be written; the one before is still there.
    """
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        bytes.fromhex(snapshot.model),
        snapshot.clock,
        snapshot.last,
        len(snapshot.blob),
    )
    body = head + snapshot.blob
    write_atomically(path, body + _CRC.pack(zlib.crc32(body)))
    sync_folder(path.parent)


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file.

    Raises:
        OSError: it cannot be read.
        StateError: it is damaged, or of another format.
    """
    data = path.read_bytes()
    if len(data) < _HEADER.size + _CRC.size or data[:4] != MAGIC:
        raise StateError(f"{path}: is no snapshot, or only a part of one")
    _, version, model, clock, last, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise StateError(f"{path}: has format {version}, this edgernn reads {VERSION}")
    if len(data) != _HEADER.size + length + _CRC.size:
        raise StateError(f"{path}: is damaged: it has {len(data)} bytes, not what it says")
    if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise StateError(f"{path}: is damaged: its checksum does not match")
    return Snapshot(model.hex(), clock, last, data[_HEADER.size : -_CRC.size])


def find_snapshot(path: Path, model: str) -> tuple[Snapshot | None, str]:
    """The snapshot of a model, if there is one; and if one was set aside, where and why.

    What cannot be used keeps its content under another name: `.other-model` or `.damaged`.
    """
    for stray in path.parent.glob(f".{path.name}.*"):  # of a power cut in the middle of a write
        with suppress(OSError):
            stray.unlink()
    try:
        found = read_snapshot(path)
    except FileNotFoundError:
        return None, ""
    except (OSError, StateError) as error:
        return None, set_aside(path, DAMAGED, str(error))
    if found.model != model:
        return None, set_aside(path, OTHER_MODEL, "it is of another model")
    return found, ""


def set_aside(path: Path, suffix: str, reason: str) -> str:
    """Rename a snapshot that is not to be used; says so."""
    aside = path.with_name(path.name + suffix)
    try:
        os.replace(path, aside)
    except OSError as error:
        return f"the saved state is not used: {reason}; it cannot be renamed ({error.strerror})"
    return f"the saved state is not used, and now {aside}: {reason}"
