"""Reading a model file and writing any file whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from edgernn.errors import ModelFileError


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a model file; any failure is a `ModelFileError` that names it."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"{os.fspath(path)}: cannot be read ({reason.lower()})") from None


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside the target, then rename over it: a reader never sees half a file."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave an empty file under the new name
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename:
            error.filename = str(target)  # what the user asked for, not our temporary file
        raise


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Have the disk keep the names in a folder: a rename that a power cut must not undo."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
