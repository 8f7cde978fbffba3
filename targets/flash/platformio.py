"""Boards that PlatformIO knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board

TOOL: Final = "pio"
INSTALL: Final = "pip install platformio"
BUILDS_WITH: Final = {TOOL: INSTALL}
TAKES: Final = "platformio"


def build(board: Board, project: Path) -> list[list[str]]:
    """Build the board's environment."""
    return [[TOOL, "run", "--project-dir", str(project), "--environment", board.platformio]]


def image(board: Board, project: Path) -> Path:
    """The ELF file that was built."""
    return project / ".pio" / "build" / board.platformio / "firmware.elf"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Upload what was built; PlatformIO finds the port if none is named."""
    upload = ["--upload-port", port] if port is not None else []
    return [[*build(board, project)[0], "--target", "upload", *upload]]
