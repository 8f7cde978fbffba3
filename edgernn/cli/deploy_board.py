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

_SAYS = 10.0
"""Seconds in which an exported program tells of its self-test."""


def deploy_board(
    file: Path,
    board: str,
    port: str | None,
    baud: int,
    drive: Path | None,
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
    if emulate and (port or project or drive):
        raise click.UsageError("--emulate needs neither --port, --project nor --drive")
    if project is not None or not (place.uart or emulate):
        _flash_project(console, place, project, port, drive, model.hash)
        return _hear_project(console, place, project, port, baud, model.hash)
    chosen = sensor or ("synthetic" if emulate else "none")
    with console.status(f"Building the firmware for {place.title} …"):
        program = build_device(model, board, file.stem, sensor=chosen, emulated=emulate, cc=cc)
    firmware = program.firmware
    _show_sizes(console, place, firmware.flash_bytes, firmware.ram_bytes)
    variables = firmware.ram_bytes - firmware.stack_bytes
    console.print(f"RAM: {variables:,} of variables, {firmware.stack_bytes:,} kept for the stack")
    check_fits(place, firmware.flash_bytes, firmware.ram_bytes)
    if emulate:
        from targets.emulated import COUNTED, emulated_device

        with emulated_device(program, COUNTED) as device:
            console.print(f"booted in QEMU ({place.qemu})")
            return _test(console, device, program.hello.model, place, emulated=True)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / f"{file.stem}.elf"
        image.write_bytes(program.firmware.data)
        _write(console, place, image, image, port, drive)
    return _talk(console, place, port, baud, program.hello.model)


def _flash_project(
    console: Any,
    place: Board,
    project: Path | None,
    port: str | None,
    drive: Path | None,
    digest: str,
) -> None:
    """Build and flash a project that was exported."""
    from edgernn.errors import InputError
    from targets.boards import check_fits
    from targets.exports.folder import facts_of
    from targets.exports.sizes import sizes_of
    from targets.flash import build, flasher

    if project is None:
        raise InputError(
            f"edgernn has no drivers of its own for {place.name}: make a project with `edgernn "
            f"export FILE --format {flasher(place).TAKES} --board {place.name}`, then name it with "
            "--project"
        )
    if not project.is_dir():
        raise InputError(f"{project}: is no folder of a project")
    if facts_of(project).get("model", digest) != digest:
        raise InputError(f"{project}: is a project of another model: export this one into it")
    image = build(place, project, lambda line: _tell(console, line))
    if image.is_file():
        sizes = sizes_of(image, place)
        _show_sizes(console, place, sizes.flash, sizes.ram)
        console.print("RAM: of variables; what heap and stack take is not in it")
        check_fits(place, sizes.flash, sizes.ram)
    _write(console, place, image, project, port, drive)


def _write(
    console: Any, place: Board, image: Path, what: Path, port: str | None, drive: Path | None
) -> None:
    """Copy an image onto a drive, or have `what` written by the board's tool."""
    from targets.flash import drive as drives
    from targets.flash import flash

    if drive is not None or place.flash == "drive":
        console.print(f"copied to {drives.copy(place, image, drive)}", soft_wrap=True)
    else:
        flash(place, what, port, lambda line: _tell(console, line))


def _tell(console: Any, line: str) -> None:
    """A command that is about to run."""
    console.print(f"$ {line}", style="dim", soft_wrap=True)


def _hear_project(
    console: Any, place: Board, project: Path | None, port: str | None, baud: int, digest: str
) -> int:
    """The self-test of an exported program, in the language that it speaks."""
    from targets.exports.folder import facts_of

    if project is not None and facts_of(project).get("speaks") == "link":
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


def _show_sizes(console: Any, place: Board, flash: int, ram: int) -> None:
    """What the linker made of it, beside what the board has."""
    from rich.table import Table

    from edgernn.cli.profile import bar

    table = Table("", "bytes", "of", "", title=place.title, title_justify="left")
    for column in table.columns[1:3]:
        column.justify = "right"
    for name, used, there in (
        ("flash", flash, place.flash_bytes),
        ("RAM", ram, place.ram_bytes),
    ):
        table.add_row(name, f"{used:,}", f"{there:,}", bar(used / there))
    console.print(table)


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
