"""Boards of the Arduino world, through arduino-cli."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import needs_port

TOOL: Final = "arduino-cli"
INSTALL: Final = "see https://arduino.github.io/arduino-cli/latest/installation"
TAKES: Final = "arduino"


def sketch(project: Path) -> Path:
    """The example of a library, or the project itself if it is a sketch."""
    examples = sorted(project.glob("examples/*/*.ino"))
    return examples[0].parent if examples else project


def build(board: Board, project: Path) -> list[str]:
    """The command that builds the sketch of an exported library."""
    return [TOOL, "compile", "--fqbn", board.arduino, "--library", str(project)]


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build a sketch and upload it."""
    upload = ["--upload", "--port", needs_port(board, port)]
    return [[*build(board, project), *upload, str(sketch(project))]]
