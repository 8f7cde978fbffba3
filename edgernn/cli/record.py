"""`edgernn record`: labelled recordings from a device's sensor, for `edgernn train`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgernn.link.device import Device


@click.command()
@click.argument("host", required=False)
@click.option("--port", help="Serial port of the device, for example /dev/ttyACM0.")
@click.option("--baud", default=115_200, show_default=True, help="Its speed.")
@click.option(
    "--emulate", type=click.Path(path_type=Path), metavar="FILE", help="This model in QEMU instead."
)
@click.option("--board", help="With --emulate: the board, whose sensor is synthetic.")
@click.option("--name", help="With HOST: the service (default: the only one there).")
@click.option(
    "--ssh-config", type=click.Path(path_type=Path), help="With HOST: in place of ~/.ssh/config."
)
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
    host: str | None,
    port: str | None,
    baud: int,
    emulate: Path | None,
    board: str | None,
    name: str | None,
    ssh_config: Path | None,
    label: str,
    group: str,
    seconds: float,
    takes: int,
    output: Path,
) -> None:
    """Record a board's sensor, or what a service on a Linux device (USER@HOST) hears, for training.

    \b
    edgernn record --port /dev/ttyACM0 --label stop --group anna --seconds 2 --takes 10 -o data
    edgernn record pi@raspberrypi.local --label stop --group anna --seconds 2 -o data
    """
    from edgernn.cli.lines import check, connected
    from edgernn.link.recording import checked_name, write_take

    check(host, port, emulate, board, (name, ssh_config))
    checked_name("label", label)
    checked_name("group", group)
    with ExitStack() as stack:
        if host is None:
            device = stack.enter_context(connected(port, baud, emulate, board))
        for take in range(takes):
            if takes > 1:
                click.pause(f"take {take + 1} of {takes}: press a key", err=True)
            times = None
            with _progress(seconds, f"{label}, {group}") as tell:
                if host is None:
                    hello, samples = device.hello, _of_board(device, seconds, tell)
                else:
                    from edgernn.cli.record_host import record_host

                    hello, samples, times = record_host(host, name, ssh_config, seconds, tell)
            path = write_take(hello, samples, output, label, group, times)
            click.echo(f"{path}: {len(samples):,} samples, {len(samples) / hello.rate:g} s")


@contextmanager
def _progress(seconds: float, title: str) -> Iterator[Callable[[float], None]]:
    """A bar, and what moves it: seconds that are there."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=seconds)
        yield lambda there: progress.update(task, completed=there)


def _of_board(device: Device, seconds: float, tell: Callable[[float], None]) -> npt.NDArray[Any]:
    from edgernn.link.recording import capture

    return capture(device, seconds, lambda count: tell(count / device.hello.rate))
