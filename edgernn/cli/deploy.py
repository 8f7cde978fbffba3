"""`edgernn deploy`: a model onto a board or a Linux device, which then tests itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

_BOARD: Final = ("board", "port", "baud", "drive", "emulate", "sensor", "project", "cc")
"""What is for boards; all else is for Linux devices."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", required=False)
@click.option("--board", help="A microcontroller board; `edgernn targets` lists them.")
@click.option("--port", help="Board: its serial port, for example /dev/ttyACM0.")
@click.option("--baud", default=115_200, show_default=True, help="Board: the port's speed.")
@click.option(
    "--drive",
    type=click.Path(path_type=Path),
    help="Board: folder of the drive as which it appears, to copy the image onto (pico, mps2).",
)
@click.option("--emulate", is_flag=True, help="Board: boot it in QEMU instead of flashing one.")
@click.option(
    "--sensor",
    default=None,
    metavar="FILE.c",
    help="Board: C file with its sensor, as targets/firmware/sensor.h says; or synthetic, or none "
    "(default: none on a board, synthetic in QEMU).",
)
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    help="Board: project from `edgernn export`, where edgernn has no drivers of its own.",
)
@click.option("--cc", help="Board: cross compiler (default: zig).")
@click.option(
    "-i",
    "--input",
    "source",
    help="Host: where samples come from there: microphone:[DEVICE], serial:PORT[@BAUD], "
    "iio:DEVICE, or a file of the device.",
)
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="Host: option of the input."
)
@click.option(
    "--publish",
    multiple=True,
    metavar="SINK",
    help="Host: where events go beside the journal: mqtt://HOST/TOPIC, or a file of JSON lines.",
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="RUN.toml",
    help="Host: all settings as a file (docs/service.md); the options here replace its fields.",
)
@click.option("--name", help="Host: the service's name (default: that of the model file).")
@click.option(
    "--native/--no-native",
    default=None,
    help="Host: compile the model for it (default: if zig is installed and knows its processor).",
)
@click.option("--offline", is_flag=True, help="Host: bring all packages; it needs no internet.")
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Host: sign with this Ed25519 SSH key. From then on it takes signed bundles only.",
)
@click.option("--no-downgrade", is_flag=True, help="Host: refuse to install an older bundle.")
@click.option("--keep-state", is_flag=True, help="Host: go on with the state after a restart.")
@click.option(
    "--view", type=click.IntRange(0, 65535), metavar="PORT", help="Host: serve a live page there, "
    "on its loopback address: reach it with `ssh -L PORT:localhost:PORT HOST`.",
)  # fmt: skip
@click.option("--memory", type=int, metavar="MIB", help="Host: memory limit (default: 512).")
@click.option("--cpu", type=int, metavar="PERCENT", help="Host: limit in % of a core (100).")
@click.option(
    "--ssh-config", type=click.Path(path_type=Path), help="Host: in place of ~/.ssh/config."
)
@click.pass_context
def command(context: click.Context, /, file: Path, host: str | None, **chosen: Any) -> int:
    """Put the model FILE onto a board, or onto a Linux device as a service; it then tests itself.

    \b
    edgernn deploy model.tflite --board netduinoplus2 --port /dev/ttyUSB0
    edgernn deploy model.tflite --board mps2-an386 --emulate
    edgernn deploy model.tflite pi@raspberrypi.local --input microphone:
    """
    if (host is None) == (chosen["board"] is None):
        raise click.UsageError(
            "where to: name a board with --board, or a Linux device as USER@HOST, and not both"
        )
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name in chosen and (name in _BOARD) == (host is not None):
            kind = "a Linux device has none" if host is not None else "it is for Linux devices"
            raise click.UsageError(f"{parameter.opts[-1]}: {kind}")
    of_board = {name: chosen.pop(name) for name in _BOARD}
    if host is None:
        from edgernn.cli.deploy_board import deploy_board

        return deploy_board(file, **of_board)
    from edgernn.cli.deploy_host import deploy_host

    return deploy_host(file, host, **chosen)
