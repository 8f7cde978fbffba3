"""Boards of the Arduino world, through arduino-cli."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import needs_port

TOOL: Final = "arduino-cli"
INSTALL: Final = "see https://arduino.github.io/arduino-cli/latest/installation"
BUILDS_WITH: Final = {TOOL: INSTALL}
TAKES: Final = "arduino"


def sketch(project: Path) -> Path:
    """The example of a library, or the project itself if it is a sketch."""
    examples = sorted(project.glob("examples/*/*.ino"))
    return examples[0].parent if examples else project


def build(board: Board, project: Path) -> list[list[str]]:
    """Build the sketch of an exported library."""
    library = ["--library", str(project), "--output-dir", str(project / "build")]
    return [[TOOL, "compile", "--fqbn", board.arduino, *library, str(sketch(project))]]


def image(board: Board, project: Path) -> Path:
    """The ELF file that was built."""
    return project / "build" / f"{sketch(project).name}.ino.elf"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Upload what was built."""
    to = ["--port", needs_port(board, port), "--input-dir", str(project / "build")]
    return [[TOOL, "upload", "--fqbn", board.arduino, *to, str(sketch(project))]]
