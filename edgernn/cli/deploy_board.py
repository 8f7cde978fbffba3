"""`edgernn deploy --board`: a model onto a board, which then proves that it runs right."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgernn.link.device import Device
    from edgernn.link.messages import Hello
    from targets.boards import Board
    from targets.firmware import Firmware

_SAYS = 10.0
"""Seconds in which an exported program tells of its self-test."""


def deploy_board(
    file: Path,
    board: str,
    port: str | None,
    baud: int,
    emulate: bool,
    sensor: str | None,
    project: Path | None,
    cc: str | None,
) -> int:
    """Build FILE into a board's firmware, flash it, and have the board test itself; 1 if it fails.

    The arguments are the options of the command.
    """
    from rich.console import Console

    from edgernn.model import load
    from targets.boards import board as find
    from targets.boards import check_fits
    from targets.device import build_device

    console = Console(highlight=False, markup=False)
    place, model = find(board), load(file)
    if emulate and (port is not None or project is not None):
        raise click.UsageError("--emulate needs neither --port nor --project")
    if project is not None or not (place.uart or emulate):
        return _project(console, place, project, port, baud, model.hash)
    chosen = sensor or ("synthetic" if emulate else "none")
    with console.status(f"Building the firmware for {place.title} …"):
        program = build_device(model, board, file.stem, sensor=chosen, emulated=emulate, cc=cc)
    _show_sizes(console, program.firmware)
    check_fits(place, program.firmware.flash_bytes, program.firmware.ram_bytes)
    if emulate:
        from targets.emulated import COUNTED, emulated_device

        with emulated_device(program, COUNTED) as device:
            console.print(f"booted in QEMU ({place.qemu})")
            return _test(console, device, program.hello.model, place, emulated=True)
    from targets.flash import flash

    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / f"{file.stem}.elf"
        image.write_bytes(program.firmware.data)
        flash(place, image, port, lambda line: console.print(f"$ {line}", style="dim"))
    return _talk(console, place, port, baud, program.hello.model)


def _project(
    console: Any, place: Board, project: Path | None, port: str | None, baud: int, digest: str
) -> int:
    """Build and flash a project that was exported."""
    from edgernn.errors import InputError
    from targets.exports.folder import facts_of
    from targets.flash import flash, flasher

    kind = flasher(place).TAKES
    if project is None:
        raise InputError(
            f"edgernn has no drivers of its own for {place.name}: make a project with `edgernn "
            f"export FILE --format {kind} --board {place.name}`, then name it with --project"
        )
    if not project.is_dir():
        raise InputError(f"{project}: is no folder of a project")
    facts = facts_of(project)
    if facts.get("model", digest) != digest:
        raise InputError(f"{project}: is a project of another model: export this one into it")
    flash(place, project, port, lambda line: console.print(f"$ {line}", style="dim"))
    if facts.get("speaks") == "link":
        return _talk(console, place, port, baud, digest)
    return _read(console, port, baud)


def _read(console: Any, port: str | None, baud: int) -> int:
    """What an exported program says when it starts, up to its self-test; 1 if that did not pass."""
    from edgernn.cli.lines import appearing

    if port is None:
        console.print("flashed; name its serial port with --port to read the self-test")
        return 0
    line, text = appearing(port, baud), ""
    end = time.monotonic() + _SAYS
    try:
        while time.monotonic() < end:
            *lines, text = (text + line.receive(0.2).decode("utf-8", "replace")).split("\n")
            for said in lines:
                console.print("".join(c if c.isprintable() else "?" for c in said.rstrip("\r")))
                if "self-test" in said:
                    return 0 if "self-test passed" in said else 1
    finally:
        line.close()
    console.print(f"flashed, but no self-test was heard in {_SAYS:.0f} seconds: reset the board")
    return 1


def _talk(console: Any, place: Board, port: str | None, baud: int, digest: str) -> int:
    """Ask a board that was just flashed."""
    from edgernn.cli.lines import appearing
    from edgernn.link.device import Device

    if port is None:
        console.print("flashed; name its serial port with --port for the self-test")
        return 0
    with Device(appearing(port, baud)) as device:
        console.print(f"{device.hello.name} answers at {port}")
        return _test(console, device, digest, place, emulated=False)


def _show_sizes(console: Any, firmware: Firmware) -> None:
    """What the linker made of it, beside what the board has."""
    from rich.table import Table

    from edgernn.cli.profile import bar

    place = firmware.board
    table = Table("", "bytes", "of", "", title=place.title, title_justify="left")
    for column in table.columns[1:3]:
        column.justify = "right"
    for name, used, there in (
        ("flash", firmware.flash_bytes, place.flash_bytes),
        ("RAM", firmware.ram_bytes, place.ram_bytes),
    ):
        table.add_row(name, f"{used:,}", f"{there:,}", bar(used / there))
    console.print(table)
    variables = firmware.ram_bytes - firmware.stack_bytes
    console.print(f"RAM: {variables:,} of variables, {firmware.stack_bytes:,} kept for the stack")


def _test(console: Any, device: Device, digest: str, place: Board, emulated: bool) -> int:
    """The self-test's result and the time of a step; 1 if the board does not run right."""
    from edgernn.link.messages import LinkError

    hello = device.hello
    if hello.model != digest:
        raise LinkError(
            f"the device runs another model ({hello.name}, {hello.model[:12]}): was it flashed?"
        )
    result = device.self_test()
    if not result.steps:
        console.print("no self-test: the model file has no golden sequence of TFLM")
        return 0
    if result.passed:
        console.print(f"self-test passed: {result.steps} steps, every value exact", style="green")
    else:
        console.print(
            f"self-test FAILED: {result.differing} values differ, the first in step "
            f"{result.first + 1} of {result.steps}",
            style="red",
        )
    mean, worst = result.total_ticks / result.steps, result.worst_ticks
    console.print(_duration(mean, worst, hello, place, emulated), soft_wrap=True)
    load = device.load()
    if load.stack_size:
        console.print(f"stack: {load.stack:,} of {load.stack_size:,} bytes were used")
    return 0 if result.passed else 1


def _duration(mean: float, worst: int, hello: Hello, place: Board, emulated: bool) -> str:
    micro = 1e6 / hello.ticks
    if not emulated:
        return f"a step takes {mean * micro:,.1f} µs, at most {worst * micro:,.1f} µs"
    # Of QEMU's time, an instruction takes a nanosecond.
    count = mean * micro * 1e3
    return (
        f"a step takes {count:,.0f} instructions: {count / place.clock_hz * 1e6:,.1f} µs at "
        f"{place.clock_hz / 1e6:g} MHz if each took one cycle (QEMU counts no cycles; "
        "`edgernn profile` estimates them)"
    )
