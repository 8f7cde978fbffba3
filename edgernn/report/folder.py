"""A report's folder: written beside its place and moved there, so that it is there whole or not."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from edgernn.errors import InputError

FACTS = "report.json"


def check_place(folder: Path) -> None:
    """Refuse a place where a report would take the room of something else.

    Raises:
        InputError: the folder holds anything but a report, or cannot be there.
    """
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent}: no such folder to write to")
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for the report")
    there = {path.name for path in folder.iterdir()}
    foreign = sorted(there - _files(folder))
    if foreign:
        raise InputError(
            f"{folder}: holds '{foreign[0]}', which is of no report; name another folder"
        )


def _files(folder: Path) -> set[str]:
    """What the report in a folder says is its own."""
    try:
        files = json.loads((folder / FACTS).read_text("utf-8"))["files"]
        return {str(name) for name in files}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files become all there is in the folder.

    Raises:
        InputError: as `check_place`.
    """
    folder = folder.resolve()
    check_place(folder)
    mark = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{what}{mark}") for what in ("new", "old"))
    new.mkdir()
    try:
        for name, data in files.items():
            (new / name).write_bytes(data)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
