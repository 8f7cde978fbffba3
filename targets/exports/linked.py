"""A project whose program speaks the link of docs/link.md, instead of text, on its serial port.

It is the device program of `targets/firmware`, with the project's name in all of its names, on top
of a few functions that the board gives: `templates/linked/app.h.j2` declares them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edgernn.model import Model
from targets.boards import Board
from targets.compiled import Compiled
from targets.device_program import Golden, hello_of, program_files
from targets.emit import render
from targets.exports.golden import Replay

FOLDER: Final = "link"
"""Where the device program is, beside the model's C; its headers are in nobody else's way."""

_TEMPLATES: Final = Path(__file__).parent / "templates" / "linked"
_TICKS: Final = 1_000_000
"""The program's clock counts microseconds."""


def linked_files(
    model: Model, compiled: Compiled, board: Board | None, replay: Replay, values: dict[str, Any]
) -> dict[str, str]:
    """The program as C files by path, beside those of the model."""
    name = compiled.name
    place = board.name if board is not None else "any board"
    core = compiled.core.name
    hello = hello_of(model, compiled, name, place, core, _TICKS, replay.steps)
    hello = replace(hello, sensor=hello.sample is not None)
    golden = Golden(replay.inputs, replay.outputs, replay.steps, values["tolerance"])
    program = program_files(model, compiled, hello, golden, f"{name}_app.h")
    return {
        **{f"{FOLDER}/{file}": named(text, name) for file, text in program.items()},
        **{f"{name}_app.{kind}": render(f"app.{kind}.j2", _TEMPLATES, **values) for kind in "hc"},
    }


def named(text: str, name: str) -> str:
    """The C of `targets/firmware`, with a model of this name."""
    return "\n".join(_line(line, name) for line in text.split("\n"))


_OWN: Final = re.compile(r"\b(device|uart|clock|stack|sensor)_(\w+)\b(?!\.[ch]\b)")


def _line(line: str, name: str) -> str:
    if line.startswith("#include"):
        return re.sub(r'"model(_pipeline)?\.h"', rf'"{name}\1.h"', line)
    line = _OWN.sub(rf"{name}_\1_\2", line)
    return re.sub(r"\bMODEL_", f"{name.upper()}_", re.sub(r"\bmodel_", f"{name}_", line))
