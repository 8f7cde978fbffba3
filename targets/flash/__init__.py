"""How an image gets onto a board: one module a tool, named as the board's `flash` says.

Each has `TOOL`, the command it needs, `INSTALL`, how to get it, `TAKES`, what is flashed, and
`commands`, what is run. `TAKES` is `"elf"` or `"uf2"` for an image of our own, or the format of the
exported project that the tool builds itself.
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


def flash(
    board: Board,
    what: Path,
    port: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Write an image, or build and write a project, with the board's tool.

    Each command is told before it runs.

    Raises:
        InputError: the board has no tool, or the tool needs a port.
        MissingDependencyError: the tool is missing; says how to install it.
        FlashError: it failed.
    """
    module = flasher(board)
    for tool, install in {module.TOOL: module.INSTALL, **getattr(module, "ALSO", {})}.items():
        if tool:
            require(tool, install)
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
