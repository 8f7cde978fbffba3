"""`edgernn record`: labelled recordings from a device's sensor, for `edgernn train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgernn.link.device import Device


@click.command()
@click.option("--port", help="Serial port of the device, for example /dev/ttyACM0.")
@click.option("--baud", default=115_200, show_default=True, help="Its speed.")
@click.option(
    "--emulate", type=click.Path(path_type=Path), metavar="FILE", help="This model in QEMU instead."
)
@click.option("--board", help="With --emulate: the board, whose sensor is synthetic.")
@click.option("--label", required=True, help="What is recorded: the class.")
@click.option(
    "--group", required=True, help="Who or what is recorded: one group is never split in training."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 3600),
    default=5.0,
    show_default=True,
    help="Of a take.",
)
@click.option(
    "--takes", type=click.IntRange(1), default=1, show_default=True, help="Recordings to make."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder; takes go to LABEL/GROUP_TAKE.wav or .csv in it, and none is ever overwritten.",
)
def command(
    port: str | None,
    baud: int,
    emulate: Path | None,
    board: str | None,
    label: str,
    group: str,
    seconds: float,
    takes: int,
    output: Path,
) -> None:
    """Record a device's sensor into the folder that `edgernn train` reads.

    \b
    edgernn record --port /dev/ttyACM0 --label stop --group anna --seconds 2 --takes 10 -o data
    """
    from edgernn.cli.lines import check, connected
    from edgernn.link.recording import checked_name, write_take

    check(port, emulate, board)
    checked_name("label", label)
    checked_name("group", group)
    with connected(port, baud, emulate, board) as device:
        for take in range(takes):
            if takes > 1:
                click.pause(f"take {take + 1} of {takes}: press a key", err=True)
            samples = _take(device, seconds, f"{label}, {group}")
            path = write_take(device.hello, samples, output, label, group)
            click.echo(f"{path}: {len(samples):,} samples, {len(samples) / device.hello.rate:g} s")


def _take(device: Device, seconds: float, title: str) -> npt.NDArray[Any]:
    """One recording, with its progress."""
    from rich.console import Console
    from rich.progress import Progress

    from edgernn.link.recording import capture

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=max(1, round(seconds * device.hello.rate)))
        return capture(device, seconds, lambda count: progress.update(task, completed=count))
