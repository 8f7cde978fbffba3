"""A CMake project: for this machine, and for boards with start-up code of ours, in QEMU too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from targets.boards import boards
from targets.cores import Core, core
from targets.emit import render
from targets.exports.project import Project
from targets.firmware import STACK_BYTES, own_file, uart_files

_FIRMWARE: Final = Path(__file__).parents[1] / "firmware"


def more(project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """The boards that the project builds for, and their files."""
    hosted = project.compiled.core.hosted
    places = [
        place
        for place in boards().values()
        if place.uart and (hosted or place.core == project.compiled.core.name)
    ]
    if project.board is not None:
        places = [project.board]
    described = [
        {"board": place, **_flags(core(place.core), project.compiled.core)} for place in places
    ]
    files = {f"boards/{name}": own_file(name) for name in ("startup.c", "startup.h", "stack.h")}
    if project.values["linked"]:
        clocks = [f"clock_{place.clock}.c" for place in places]
        files |= {f"boards/{name}": own_file(name) for name in ("clock.h", *clocks)}
    for place in places:
        for name, text in uart_files(place).items():
            folder = f"boards/{place.name}" if name == "uart_board.h" else "boards"
            files[f"{folder}/{name}"] = text
        files[f"boards/{place.name}/board.ld"] = render(
            "board.ld.j2", _FIRMWARE, board=place, stack_bytes=4 * STACK_BYTES
        )
    return {"places": described, "hosted": hosted}, files


def _flags(own: Core, compiled: Core) -> dict[str, str]:
    """How each compiler is told the core; with its FPU if the model computes with floats."""
    chosen = own.with_floats() if own.floats and compiled.floats and not compiled.hosted else own
    chosen = compiled if compiled.gcc else chosen
    return {"gcc": ";".join(chosen.gcc), "zig": ";".join(chosen.zig)}
