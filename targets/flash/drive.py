"""Boards that appear as a drive, onto which an image is copied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from edgernn.errors import InputError
from targets import elf
from targets.boards import Board
from targets.flash import FlashError, uf2

TOOL: Final = ""
INSTALL: Final = ""
TAKES: Final = "elf"

_INFO: Final = "INFO_UF2.TXT"
"""What the drive of a UF2 bootloader says of its board."""


def copy(board: Board, image: Path, drive: Path | None) -> Path:
    """Copy an ELF file onto a board's drive, as UF2 where its bootloader takes that.

    Returns where it was written.

    Raises:
        InputError: no drive is named, it is another board's, or the image is not for this board.
        FlashError: it cannot be written; what was begun is removed.
    """
    if not (board.uf2_family or board.flash == "drive"):
        raise InputError(f"{board.name} has no drive for images: leave --drive out")
    if drive is None or not drive.is_dir():
        raise InputError(f"{board.name} takes its image on a drive: name its folder with --drive")
    data, name = image.read_bytes(), image.name
    if board.uf2_family:
        _check_board(board, drive)
        data, name = uf2.encode(elf.load(data).loaded, board), "EDGERNN.UF2"
    _write(drive, name, data, restarts=bool(board.uf2_family))
    return drive / name


def _check_board(board: Board, drive: Path) -> None:
    try:
        lines = (drive / _INFO).read_text("ascii", "replace").splitlines()
    except OSError:
        raise InputError(
            f"{drive}: has no {_INFO}, so it is no board that waits for an image: hold BOOTSEL "
            "while you plug it in"
        ) from None
    told = dict(line.split(": ", 1) for line in lines if ": " in line)
    found = told.get("Board-ID", "").strip()
    if found != board.uf2_drive:
        name = "".join(c if c.isprintable() else "?" for c in found[:60])
        raise InputError(f"{drive}: is the board '{name}', not {board.uf2_drive} ({board.name})")


def _write(drive: Path, name: str, data: bytes, restarts: bool) -> None:
    """Whole or not at all. A board that `restarts` with its last block takes its drive away."""
    temporary = drive / f"{name}.part"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, drive / name)
    except OSError as error:
        if restarts and not (drive / _INFO).exists():
            return
        temporary.unlink(missing_ok=True)
        raise FlashError(f"{drive}: cannot be written ({error.strerror or error})") from None
