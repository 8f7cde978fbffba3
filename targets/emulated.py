"""Device programs on emulated boards, at the other end of a line like any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from targets.device import DeviceProgram
from targets.qemu import Machine

COUNTED: Final = ("-icount", "shift=0")
"""QEMU's time counts instructions, a nanosecond each: what the timer measures is repeatable."""


class EmulatedLine:
    """The serial port of a board in QEMU; `edgernn.link.device.Device` talks to it."""

    def __init__(self, program: DeviceProgram, options: Sequence[str] = ()) -> None:
        """Boot it; see `qemu.Machine` for what is raised."""
        firmware = program.firmware
        self._machine = Machine(firmware.board, firmware.data, options, greets=False)
        self._awake = False

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self._machine.write(data)

    def receive(self, timeout: float) -> bytes:
        """Whatever came; nothing after `timeout` seconds."""
        data = self._machine.receive(timeout)
        if data and not self._awake:
            self._machine.wake()
            self._awake = True
        return data

    def close(self) -> None:
        """Switch it off."""
        self._machine.close()
