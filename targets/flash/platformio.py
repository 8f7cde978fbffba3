"""Boards that PlatformIO knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board

TOOL: Final = "pio"
INSTALL: Final = "pip install platformio"
TAKES: Final = "platformio"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build a project and upload it; PlatformIO finds the port if none is named."""
    upload = ["--upload-port", port] if port is not None else []
    return [[TOOL, "run", "--project-dir", str(project), "--target", "upload", *upload]]
