"""Boards as data: a core, clock and memories, the firmware's serial port, and how it is flashed."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import InputError
from targets.cores import read_toml

_FOLDER = Path(__file__).parent / "boards"


@dataclass(frozen=True)
class Board:
    """One board. `flash_bytes` and `ram_bytes` are what a program may have of them.

    `uart` names a driver in `firmware/`; a board without one takes the model through an export.
    `uart_interrupt` is the number of its interrupt for a received byte.
    `clock` is the driver of its timer, which counts `ticks_hz` a second as our firmware leaves the
    board's clocks; 0 is `clock_hz`.
    `qemu` is the machine that emulates it. `flash` says how an image gets onto it: `"pyocd"`,
    `"picotool"`, `"esptool"`, `"arduino-cli"`, `"platformio"`, or `"drive"` (a file that is copied
    onto the board's own drive); the other names are those by which the tools know the board.
    `uf2_drive` is what a UF2 bootloader calls the board, as Board-ID and as its drive's label.
    """

    name: str
    title: str
    core: str
    clock_hz: int
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    uart: str = ""
    uart_base: int = 0
    uart_divider: int = 0
    uart_tx: int = 0
    uart_rx: int = 0
    uart_interrupt: int = 0
    qemu: str = ""
    clock: str = "systick"
    ticks_hz: int = 0
    flash: str = ""
    pyocd: str = ""
    uf2_family: int = 0
    uf2_drive: str = ""
    esp_idf: str = ""
    arduino: str = ""
    platformio: str = ""
    platformio_platform: str = ""
    zephyr: str = ""

    def ticks(self, emulated: bool) -> int:
        """What the timer counts a second; QEMU's processors run at full speed from the start."""
        own = self.ticks_hz or self.clock_hz
        return self.clock_hz if emulated and self.clock == "systick" else own


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


def emulated() -> list[Board]:
    """The boards that QEMU emulates."""
    return [b for b in boards().values() if b.qemu]


def boards_with(core: str) -> list[Board]:
    """The boards that carry a core and that QEMU emulates."""
    return [b for b in emulated() if b.core == core]


def check_fits(place: Board, flash: int, ram: int) -> None:
    """Raise `InputError`, naming the bytes that are missing, if a program is too large."""
    lacks = [
        f"{used - has:,} bytes of {what} ({used:,} needed, {has:,} there)"
        for what, used, has in (
            ("flash", flash, place.flash_bytes),
            ("RAM", ram, place.ram_bytes),
        )
        if used > has
    ]
    if lacks:
        raise InputError(
            f"{place.name} is too small for this model: it lacks {' and '.join(lacks)}"
        )
