"""A model as a complete firmware image for a board: what is flashed, and what QEMU boots."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgernn import frontends
from edgernn.errors import UnsupportedError
from targets.boards import Board, board, check_fits
from targets.compile import compile_model
from targets.compiled import Compiled
from targets.elf import Image
from targets.elf import load as read_elf
from targets.emit import render
from targets.ir import C_TYPES
from targets.stack import worst_stack
from targets.toolchain import build_objects, link

_FOLDER = Path(__file__).parent / "firmware"
_SOURCES = ("startup.c", "link.c", "serve.c")
_HEADERS = ("startup.h", "stack.h", "link.h", "serve.h")

STACK_BYTES = 1024
"""Reserved for the stack at least, and more where a step can use more."""

_OWN_STACK = 256
"""Above this, what the firmware itself has on the stack while a step runs never goes."""

_EVENTS = 64
"""Events that an answer of the firmware has room for."""

_FLAGS = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables")


@dataclass(frozen=True)
class Firmware:
    """A linked image. `ram_bytes` is everything: the model's, the firmware's and the stack's."""

    board: Board
    compiled: Compiled
    data: bytes
    image: Image
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


def build(
    model: str | Path | bytes,
    board_name: str,
    cc: str | None = None,
    *,
    optimize: str | None = None,
    marks: bool = False,
    pipeline: bool = False,
    shown: str = "",
) -> Firmware:
    """Compile a step model and link it with the board's firmware.

    With `pipeline` the firmware takes samples and gives events and the newest of what `shown` names
    in `NAME_pipeline_t` (the prediction, if nothing else); without it frames and predictions.

    Raises:
        InputError: the board is unknown, or too small; the message says by how many bytes.
        UnsupportedError: the model has not one input and one output, or the board no driver here.
        MissingDependencyError: the compiler is not installed.
    """
    place = board(board_name)
    if not place.uart:
        raise UnsupportedError(
            f"edgernn has no firmware of its own for {board_name}: make a project for the board's "
            f"own tools with `edgernn export FILE --format FORMAT --board {board_name}`"
        )
    compiled = compile_model(model, place.core, name="model", marks=marks, pipeline=pipeline)
    if compiled.metadata.passes is not None:
        raise UnsupportedError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no ready "
            "firmware: `edgernn compile` gives its C, to call from a program of your own"
        )
    header = _pipeline_header(compiled, place, shown) if pipeline else _header(compiled, place)
    main = "pipeline_main.c" if pipeline else "main.c"
    files = {name: own_file(name) for name in (*_SOURCES, main, *_HEADERS)}
    entry = f"{compiled.name}_pipeline_push" if pipeline else f"{compiled.name}_step"
    made = assemble(compiled, place, {**files, "board.h": header}, entry, cc, optimize)
    check_fits(place, made.flash_bytes, made.ram_bytes)
    return made


def own_file(name: str) -> str:
    """One of the firmware's own files in C."""
    return (_FOLDER / name).read_text()


def uart_files(place: Board) -> dict[str, str]:
    """The driver of a board's serial port, by file name."""
    names = ("uart.h", f"uart_{place.uart}.c", "uart_wait.c")
    files = {name: own_file(name) for name in names}
    return {**files, "uart_board.h": render("uart_board.h.j2", _FOLDER, board=place)}


def assemble(
    compiled: Compiled,
    place: Board,
    files: Mapping[str, str],
    entry: str,
    cc: str | None = None,
    optimize: str | None = None,
) -> Firmware:
    """Link a model, a board's drivers and the files of a program, which may be too large for it.

    The stack is as large as the function `entry` needs at worst, and what is above it.
    """
    serial = uart_files(place)
    with tempfile.TemporaryDirectory() as temporary:
        folder = compiled.write(temporary)
        for name, text in {**files, **serial}.items():
            (folder / name).write_text(text)
        sources = [n for n in (*compiled.sources, *files, *serial) if n.endswith(".c")]
        objects = build_objects(folder, sources, compiled.core, cc, optimize, extra=_FLAGS)
        data = _link(objects, compiled, place, STACK_BYTES, cc)
        worst = worst_stack(read_elf(data), entry) + _OWN_STACK
        stack = max(STACK_BYTES, -(-worst // 8) * 8)
        if stack > STACK_BYTES:
            data = _link(objects, compiled, place, stack, cc)
    image = read_elf(data)
    sizes = image.sections
    flash = sum(sizes.get(name, 0) for name in (".vectors", ".text", ".data"))
    ram = sum(sizes.get(name, 0) for name in (".data", ".bss")) + stack
    return Firmware(place, compiled, data, image, flash, ram, stack)


def _link(
    objects: Sequence[Path], compiled: Compiled, place: Board, stack_bytes: int, cc: str | None
) -> bytes:
    folder = objects[0].parent
    script = folder / "board.ld"
    script.write_text(render("board.ld.j2", _FOLDER, board=place, stack_bytes=stack_bytes))
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


def _pipeline_header(compiled: Compiled, place: Board, shown: str) -> str:
    document = compiled.metadata
    front_end = frontends.read(document.front_end)
    sample = np.dtype(front_end.sample_dtype).itemsize * front_end.channels
    return render(
        "pipeline_board.h.j2",
        _FOLDER,
        board=place,
        output=shown or compiled.outputs[0].name,
        sample_bytes=sample,
        events=_EVENTS if document.detector else 0,
    )
