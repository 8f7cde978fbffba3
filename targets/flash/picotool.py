"""Raspberry Pi Pico and Pico 2: a sketch built by arduino-cli, loaded by picotool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import arduino

TOOL: Final = "picotool"
INSTALL: Final = "apt-get install picotool, or https://github.com/raspberrypi/picotool/releases"
ALSO: Final = {arduino.TOOL: arduino.INSTALL}
TAKES: Final = "arduino"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build the sketch to a UF2 file, load it (from the bootloader or not), and start it."""
    sketch, folder = arduino.sketch(project), project / "build"
    build = [*arduino.build(board, project), "--output-dir", str(folder), str(sketch)]
    return [build, [TOOL, "load", "-f", "-x", str(folder / f"{sketch.name}.ino.uf2")]]
