"""Raspberry Pi Pico and Pico 2: a sketch built by arduino-cli, loaded by picotool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board

TOOL: Final = "picotool"
INSTALL: Final = "apt-get install picotool, or https://github.com/raspberrypi/picotool/releases"
ALSO: Final = {"arduino-cli": "see https://arduino.github.io/arduino-cli/latest/installation"}
TAKES: Final = "arduino"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build the sketch to a UF2 file, load it (from the bootloader or not), and start it."""
    build = project / "build"
    compiled = ["arduino-cli", "compile", "--fqbn", board.arduino, "--output-dir", str(build)]
    image = build / f"{project.name}.ino.uf2"
    return [[*compiled, str(project)], [TOOL, "load", "-f", "-x", str(image)]]
