"""How an image gets onto a board: one module a tool, named as the board's `flash` says.

Each has `TOOL`, the command it needs, `INSTALL`, how to get it, and `TAKES`, what is flashed:
`"elf"` for an image of our own, or the format of the exported project that the tool builds itself.
`commands` is what writes it; for a project there are `build`, what makes it, and `image`, the ELF
file that this leaves. `drive` copies, and runs nothing.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from edgernn.errors import EdgernnError, InputError, MissingDependencyError
from targets.boards import Board

MODULES: Final = {
    "pyocd": "targets.flash.pyocd",
    "picotool": "targets.flash.picotool",
    "esptool": "targets.flash.esptool",
    "arduino-cli": "targets.flash.arduino",
    "platformio": "targets.flash.platformio",
    "drive": "targets.flash.drive",
}


class FlashError(EdgernnError):
    """A tool could not build or write the image; the message holds what it said."""


def flasher(board: Board) -> Any:
    """The module of a board's tool; PlatformIO's, if that one takes images and we make none.

    Raises:
        InputError: nobody flashes this board.
    """
    if board.flash not in MODULES:
        raise InputError(f"{board.name} has no tool that writes its flash; use --emulate")
    module = importlib.import_module(MODULES[board.flash])
    if not board.uart and module.TAKES == "elf" and board.platformio:
        return importlib.import_module(MODULES["platformio"])
    return module


def require(tool: str, install: str) -> None:
    """Raise `MissingDependencyError`, saying how to install it, if a tool is not on the PATH."""
    if shutil.which(tool) is None:
        raise MissingDependencyError(f"{tool} is not on the PATH; install with: {install}")


def build(board: Board, project: Path, tell: Callable[[str], None] = lambda line: None) -> Path:
    """Build an exported project with the board's tool; returns the ELF file.

    Each command is told before it runs.

    Raises:
        InputError: the board's tool builds no projects.
        MissingDependencyError: the tool is missing; says how to install it.
        FlashError: it failed.
    """
    module = flasher(board)
    if module.TAKES == "elf":
        raise InputError(f"edgernn has drivers for {board.name}: leave --project out")
    for tool, install in module.BUILDS_WITH.items():
        require(tool, install)
    for command in module.build(board, project):
        tell(" ".join(command))
        run(command)
    made: Path = module.image(board, project)
    return made


def flash(
    board: Board,
    what: Path,
    port: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Write an image, or a project that was built, with the board's tool.

    Each command is told before it runs.

    Raises:
        InputError: the board has no tool, or the tool needs a port.
        MissingDependencyError: the tool is missing; says how to install it.
        FlashError: it failed.
    """
    module = flasher(board)
    require(module.TOOL, module.INSTALL)
    for command in module.commands(board, what, port):
        tell(" ".join(command))
        run(command)


def run(command: Sequence[str]) -> None:
    """Run a tool; what it says last is the message if it fails."""
    result = subprocess.run(
        list(command), capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    if result.returncode:
        lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower()] or lines or ["nothing"]
        raise FlashError(f"{command[0]} failed with {result.returncode}: {told[-1].strip()[:300]}")


def needs_port(board: Board, port: str | None) -> str:
    """The port, or `InputError` if there is none."""
    if port is None:
        raise InputError(f"{board.name} is flashed over a serial port: name it with --port")
    return port
