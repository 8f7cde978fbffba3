"""The command line: one module a command, imported when its command runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from edgernn import __version__
from edgernn.errors import EdgernnError

COMMANDS: Final = {
    "train": ("edgernn.cli.train", "Train a small network on labelled recordings."),
    "convert": ("edgernn.cli.convert", "Turn a trained Keras model into a streaming .tflite."),
    "configure": ("edgernn.cli.configure", "Give a model a front end and a detector."),
    "inspect": ("edgernn.cli.inspect", "Show what is inside a .tflite."),
    "run": ("edgernn.cli.run", "Run a model over a recording or a live pipe, frame by frame."),
    "evaluate": ("edgernn.cli.evaluate", "Judge a model's whole pipeline by labelled recordings."),
    "compile": ("edgernn.cli.compile", "Turn a step model into C for a microcontroller."),
    "export": ("edgernn.cli.export", "Write a project for Arduino, PlatformIO, CMake, ESP-IDF …"),
    "verify": ("edgernn.cli.verify", "Check the C against TensorFlow Lite Micro, bit for bit."),
    "profile": ("edgernn.cli.profile", "Measure flash, RAM and instructions of a step."),
    "report": ("edgernn.cli.report", "Make a page of how good a model is and what it costs."),
    "deploy": ("edgernn.cli.deploy", "Put a model onto a board or a Raspberry Pi, and test it."),
    "device": ("edgernn.cli.device", "Look after the services on a Raspberry Pi."),
    "monitor": ("edgernn.cli.monitor", "Show live what a device hears and how busy it is."),
    "record": ("edgernn.cli.record", "Capture labelled recordings from a device."),
    "targets": ("edgernn.cli.targets", "List the cores and boards."),
    "demo": ("edgernn.cli.demo", "Train, convert and stream a small model, to see it all work."),
}
"""Name: (module with a click command named `command`, one line of help)."""


class _LazyGroup(click.Group):
    """Commands from the table; only the one that runs is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="edgernn", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
def group(debug: bool) -> None:
    """Trained Keras recurrent networks as small models that run frame by frame."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check failed, 2 the input's fault."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    # Accepted before and after the command's name alike.
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = group.main(arguments, prog_name="edgernn", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has left; without this, Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except (EdgernnError, OSError, click.ClickException) as error:
        if debug:
            raise
        _complain(error)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(error: EdgernnError | OSError | click.ClickException) -> None:
    """One printable line: names in a message may come from a hostile file."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror
    else:
        text = str(error)
    line = " ".join(text.split())
    click.echo("edgernn: " + "".join(c if c.isprintable() else "?" for c in line), err=True)
