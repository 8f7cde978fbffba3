"""The line to a device that a command talks over: a serial port, or a board in QEMU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgernn.link.device import Device
    from edgernn.link.ports import SerialLine

_APPEARS = 10.0
"""Seconds that a port may take to come back after its board was flashed."""


def check(
    host: str | None,
    port: str | None,
    emulate: Path | None,
    board: str | None,
    of_host: tuple[object, ...] = (),
) -> None:
    """A host, a port, or a model file and a board to emulate; `UsageError` otherwise."""
    if sum(one is not None for one in (host, port, emulate)) != 1:
        raise click.UsageError(
            "name the device with --port PORT or as USER@HOST, or a model with --emulate FILE"
        )
    if host is None and any(of_host):
        raise click.UsageError("--name and --ssh-config are for a device named as USER@HOST")
    if emulate is not None and board is None:
        raise click.UsageError("--emulate needs a --board; `edgernn targets` lists them")
    if emulate is None and board is not None:
        raise click.UsageError("--board is for --emulate: a device at a port tells what it is")


@contextmanager
def connected(
    port: str | None, baud: int, emulate: Path | None, board: str | None, cc: str | None = None
) -> Iterator[Device]:
    """A device at a port, or a model on an emulated board with a synthetic sensor."""
    from edgernn.link.device import Device
    from edgernn.link.ports import SerialLine

    if emulate is None:
        assert port is not None
        with Device(SerialLine(port, baud)) as device:
            yield device
        return
    from edgernn.model import load
    from targets.boards import check_fits
    from targets.device import build_device
    from targets.emulated import emulated_device

    assert board is not None
    model = load(emulate)
    program = build_device(model, board, emulate.stem, sensor="synthetic", emulated=True, cc=cc)
    firmware = program.firmware
    check_fits(firmware.board, firmware.flash_bytes, firmware.ram_bytes)
    with emulated_device(program) as device:
        yield device


def appearing(port: str, baud: int) -> SerialLine:
    """The port of a board that was just flashed, which may be away for a while."""
    from edgernn.errors import InputError
    from edgernn.link.ports import SerialLine

    end = time.monotonic() + _APPEARS
    while True:
        try:
            return SerialLine(port, baud)
        except InputError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
