"""A model as a complete firmware image for a board: what is flashed, and what QEMU boots."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import InputError, UnsupportedError
from targets.boards import Board, board
from targets.compile import Compiled, compile_model
from targets.elf import Image
from targets.elf import load as read_elf
from targets.emit import render
from targets.ir import C_TYPES
from targets.stack import worst_stack
from targets.toolchain import build_objects, link

_FOLDER = Path(__file__).parent / "firmware"
_SOURCES = ("startup.c", "link.c", "main.c")
_HEADERS = ("startup.h", "link.h", "uart.h")

STACK_BYTES = 1024
"""Reserved for the stack at least; small steps and the firmware need a third of it."""

_OWN_STACK = 256
"""Above this, what the firmware itself has on the stack while a step runs never goes."""

_FLAGS = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables")


@dataclass(frozen=True)
class Firmware:
    """A linked image. `ram_bytes` is everything: the model's, the firmware's and the stack."""

    board: Board
    compiled: Compiled
    data: bytes
    image: Image
    flash_bytes: int
    ram_bytes: int


def build(
    model: str | Path | bytes,
    board_name: str,
    cc: str | None = None,
    *,
    optimize: str | None = None,
    marks: bool = False,
) -> Firmware:
    """Compile a step model and link it with the board's firmware.

    Raises:
        InputError: the board is unknown, or too small; the message says by how many bytes.
        UnsupportedError: the model has not one input and one output.
        MissingDependencyError: the compiler is not installed.
    """
    place = board(board_name)
    compiled = compile_model(model, place.core, name="model", marks=marks)
    with tempfile.TemporaryDirectory() as temporary:
        data = _link(compiled, place, Path(temporary), cc, optimize)
    image = read_elf(data)
    sizes = image.sections
    flash = sum(sizes.get(name, 0) for name in (".vectors", ".text", ".data"))
    stack = max(STACK_BYTES, worst_stack(image, f"{compiled.name}_step") + _OWN_STACK)
    ram = sum(sizes.get(name, 0) for name in (".data", ".bss")) + stack
    _check_fits(place, flash, ram)
    return Firmware(place, compiled, data, image, flash, ram)


def _link(
    compiled: Compiled, place: Board, folder: Path, cc: str | None, optimize: str | None
) -> bytes:
    compiled.write(folder)
    driver = f"uart_{place.uart}.c"
    for name in (*_SOURCES, *_HEADERS, driver):
        shutil.copyfile(_FOLDER / name, folder / name)
    (folder / "board.h").write_text(_header(compiled, place))
    script = folder / "board.ld"
    script.write_text(render("board.ld.j2", _FOLDER, board=place, stack_bytes=STACK_BYTES))
    sources = [*compiled.sources, *_SOURCES, driver]
    objects = build_objects(folder, sources, compiled.core, cc, optimize, extra=_FLAGS)
    return link(objects, script, compiled.core, folder / "firmware.elf", cc).read_bytes()


def _header(compiled: Compiled, place: Board) -> str:
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise UnsupportedError(
            f"firmware streams frames into one input and out of one output, this graph has "
            f"{len(compiled.inputs)} and {len(compiled.outputs)}: use the C from `edgernn compile`"
        )
    (x,), (y,) = compiled.inputs, compiled.outputs
    return render(
        "board.h.j2",
        _FOLDER,
        board=place,
        input_type=C_TYPES[x.dtype],
        output_type=C_TYPES[y.dtype],
        input_size=x.elements,
        output_size=y.elements,
    )


def _check_fits(place: Board, flash: int, ram: int) -> None:
    lacks = [
        f"{used - has:,} bytes of {what} ({used:,} needed, {has:,} there)"
        for what, used, has in (
            ("flash", flash, place.flash_bytes),
            ("RAM", ram, place.ram_bytes),
        )
        if used > has
    ]
    if lacks:
        raise InputError(
            f"{place.name} is too small for this model: it lacks {' and '.join(lacks)}"
        )
