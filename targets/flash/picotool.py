"""Raspberry Pi Pico and Pico 2: a sketch built by arduino-cli, loaded by picotool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import arduino

TOOL: Final = "picotool"
INSTALL: Final = "apt-get install picotool, or https://github.com/raspberrypi/picotool/releases"
BUILDS_WITH: Final = arduino.BUILDS_WITH
TAKES: Final = "arduino"

build = arduino.build
image = arduino.image


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Load what was built (from the bootloader or not), and start it."""
    return [[TOOL, "load", "-f", "-x", str(image(board, project).with_suffix(".uf2"))]]
