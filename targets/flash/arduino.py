"""Boards of the Arduino world, through arduino-cli."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import needs_port

TOOL: Final = "arduino-cli"
INSTALL: Final = "see https://arduino.github.io/arduino-cli/latest/installation"
TAKES: Final = "arduino"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build a sketch and upload it."""
    name = ["--fqbn", board.arduino]
    return [
        [TOOL, "compile", *name, str(project)],
        [TOOL, "upload", *name, "--port", needs_port(board, port), str(project)],
    ]
