"""Boards as data: a core, its clock and memories, and the serial port that the firmware uses."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import InputError
from targets.cores import read_toml

_FOLDER = Path(__file__).parent / "boards"


@dataclass(frozen=True)
class Board:
    """One board. `uart` names a driver in `firmware/`, `qemu` the machine that emulates it."""

    name: str
    title: str
    core: str
    clock_hz: int
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    uart: str
    uart_base: int
    uart_divider: int
    qemu: str = ""


@functools.cache
def boards() -> dict[str, Board]:
    """Every board that has a description, by name."""
    paths = sorted(_FOLDER.glob("*.toml"))
    return {path.stem: Board(name=path.stem, **read_toml(path.read_text())) for path in paths}


def board(name: str) -> Board:
    """A board by name; raises `InputError` listing the known ones."""
    try:
        return boards()[name]
    except KeyError:
        known = ", ".join(boards())
        raise InputError(f"there is no board '{name}'; known are {known}") from None


def boards_with(core: str) -> list[Board]:
    """The boards that carry a core."""
    return [b for b in boards().values() if b.core == core]
