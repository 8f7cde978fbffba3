"""`edgernn profile`: what a step costs on a core and a board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from targets.pipeline_costs import PipelineCosts
    from targets.profiling import StepProfile


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-t", "--target", help="Core; `edgernn targets` lists them.")
@click.option("--board", help="Board (default: the smallest one with this core).")
@click.option("--rate", type=float, help="Frames per second, for the share of real time.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "int16x8", "float32"]),
    default="int16x8",
    show_default=True,
    help="For a Keras model only.",
)
@click.option("--cc", help="Cross compiler, for example arm-none-eabi-gcc (default: zig).")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write the numbers.")
def command(
    file: Path,
    target: str | None,
    board: str | None,
    rate: float | None,
    precision: str,
    cc: str | None,
    report: Path | None,
) -> None:
    """Measure flash, RAM and instructions of one step of FILE (.tflite, .keras or .h5).

    A Keras model need not be trained: it is converted with noise for calibration data, which
    changes what it computes but not what it costs.
    """
    from rich.console import Console

    from edgernn.errors import InputError
    from edgernn.files import write_atomically
    from targets import profile

    if report is not None and not report.parent.is_dir():
        raise InputError(f"{report.parent}: no such folder to write to")
    with Console(stderr=True).status("Measuring …"):
        result = profile(file, target, board=board, rate=rate, precision=precision, cc=cc)
    _show(result, Console(highlight=False, markup=False, emoji=False))
    if report is not None:
        write_atomically(report, json.dumps(result.to_dict(), indent=2).encode())


def _show(result: StepProfile, console: Console) -> None:
    if result.untrained:
        console.print(
            "From a Keras model, calibrated on noise: sizes and instructions hold, its "
            "predictions mean nothing.",
            style="yellow",
            soft_wrap=True,
        )
    _show_memory(result, console)
    _show_instructions(result, console)
    _show_time(result, console)
    if result.pipeline is not None:
        _show_pipeline(result.pipeline, console)


def _show_pipeline(costs: PipelineCosts, console: Console) -> None:
    console.print(
        f"Pipeline, from samples to events: {costs.instructions_per_step:,} instructions a step, "
        f"{costs.front_end_and_detector:,} of them for front end and detector; "
        f"flash {costs.flash:,} bytes, RAM {costs.ram:,} bytes and the stack.",
        soft_wrap=True,
    )


def _show_memory(result: StepProfile, console: Console) -> None:
    from rich.table import Table

    place, flash, ram = result.board, result.flash, result.ram
    stack = "at worst" if result.stack_is_worst_case else "measured"
    table = Table("", "bytes", "of which", title="Memory", title_justify="left")
    table.columns[1].justify = "right"
    if place is not None:
        table.add_column(f"of {place.title}")
    for name, total, parts, budget in (
        (
            "flash",
            flash.total,
            f"code {flash.code:,}, tables {flash.tables:,}, weights {flash.weights:,}",
            place.flash_bytes if place else 0,
        ),
        (
            "RAM",
            ram.total,
            f"state {ram.state:,}, scratch {ram.scratch:,}, stack {ram.stack:,} {stack}",
            place.ram_bytes if place else 0,
        ),
    ):
        share = [bar(total / budget)] if place is not None else []
        table.add_row(name, f"{total:,}", parts, *share)
    console.print(table)
    if place is not None and (flash.total > place.flash_bytes or ram.total > place.ram_bytes):
        over = max(flash.total - place.flash_bytes, 0), max(ram.total - place.ram_bytes, 0)
        console.print(
            f"It does not fit: {over[0]:,} bytes of flash and {over[1]:,} bytes of RAM too many.",
            style="red",
        )


def _show_instructions(result: StepProfile, console: Console) -> None:
    from rich.table import Table

    total = result.instructions_per_step
    for title, counts in (
        ("operator", result.instructions_by_op),
        ("layer", result.instructions_by_layer),
    ):
        heading = f"Instructions a step by {title}, measured in emulation on {result.target}"
        table = Table(title, "instructions", "", title=heading, title_justify="left")
        table.columns[1].justify = "right"
        for name, count in counts.items():
            table.add_row(name, f"{count:,}", bar(count / total))
        table.add_section()
        table.add_row("all", f"{total:,}", "")
        console.print(table)


def _show_time(result: StepProfile, console: Console) -> None:
    from targets.cycles import MODEL

    cycles, seconds = result.estimated_cycles_per_step, result.estimated_seconds_per_step
    if cycles is None:
        return
    text = f"Estimated {cycles:,} cycles a step"
    if seconds is not None and result.board is not None:
        text += f": estimated {1000 * seconds:.3g} ms at {result.board.clock_hz / 1e6:g} MHz"
    share = result.estimated_share_of_real_time
    if share is not None:
        text += f", an estimated {100 * share:.3g} % of real time at {result.rate_hz:g} frames/s"
    console.print(f"{text}.", soft_wrap=True)
    console.print(f"({MODEL})", style="dim", soft_wrap=True)


def bar(share: float, width: int = 20) -> str:
    """How much of something is used, as blocks and a percentage."""
    filled = min(width, round(width * share))
    return f"{'█' * filled}{'░' * (width - filled)} {100 * share:.1f} %"
