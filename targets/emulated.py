"""Device programs on emulated boards, at the other end of a line like any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgernn.link.device import Device
from targets.boards import Board
from targets.device import DeviceProgram
from targets.link import BoardError
from targets.qemu import TIMEOUT, Machine

COUNTED: Final = ("-icount", "shift=0")
"""QEMU's time counts instructions, a nanosecond each: what the timer measures is repeatable."""

_PATIENCE: Final = 10.0
"""Seconds in which an answer must come: QEMU on a busy computer is slow."""


class EmulatedLine:
    """The serial port of a board in QEMU; `edgernn.link.device.Device` talks to it."""

    def __init__(self, board: Board, elf: bytes, options: Sequence[str] = ()) -> None:
        """Boot an image; see `qemu.Machine` for what is raised."""
        self._machine = Machine(board, elf, options, greets=False)
        self._begin = self._machine.receive(TIMEOUT)
        if not self._begin:
            self._machine.close()
            raise BoardError(f"the board is silent for {TIMEOUT:.0f} seconds")
        self._machine.wake()

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self._machine.write(data)

    def receive(self, timeout: float) -> bytes:
        """Whatever came; nothing after `timeout` seconds."""
        begin, self._begin = self._begin, b""
        return begin or self._machine.receive(timeout)

    def close(self) -> None:
        """Switch it off."""
        self._machine.close()


def emulated_line(program: DeviceProgram, options: Sequence[str] = ()) -> EmulatedLine:
    """The serial port of the program's board."""
    return EmulatedLine(program.firmware.board, program.firmware.data, options)


def emulated_device(program: DeviceProgram, options: Sequence[str] = ()) -> Device:
    """The device in QEMU, which is given more time than a real one."""
    return Device(emulated_line(program, options), _PATIENCE)
