"""Boards that appear as a drive onto which an image is copied."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgernn.errors import InputError
from targets.boards import Board

TOOL: Final = "cp"
INSTALL: Final = "apt-get install coreutils"
TAKES: Final = "elf"


def commands(board: Board, image: Path, port: str | None) -> list[list[str]]:
    """Copy an image onto the drive, whose folder `port` names."""
    if port is None or not Path(port).is_dir():
        raise InputError(f"{board.name} takes its image on a drive: name its folder with --port")
    return [[TOOL, str(image), port]]
