"""Boards with a debug probe, through pyOCD."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board

TOOL: Final = "pyocd"
INSTALL: Final = "pip install pyocd"
TAKES: Final = "elf"


def commands(board: Board, image: Path, port: str | None) -> list[list[str]]:
    """Write an ELF file and start it."""
    target = ["--target", board.pyocd]
    return [[TOOL, "load", *target, str(image)], [TOOL, "reset", *target]]
