"""What an exported model takes of a board, before it is built there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import EdgernnError
from targets.boards import Board
from targets.elf import Image, load
from targets.emit import render
from targets.exports.project import Project
from targets.stack import worst_stack
from targets.toolchain import build_objects, link

_FIRMWARE = Path(__file__).parents[1] / "firmware"

_TEXT = """\
#include "NAME_app.h"

void reset_handler(void);
void NAME_print(const char *text) { (void)text; }
int32_t NAME_read(NAME_sample_t *samples, int32_t capacity) {
  (void)samples;
  return -capacity;
}
void reset_handler(void) {
  while (NAME_app_start() && NAME_app_turn()) {
  }
}
"""

_LINK = """\
#include "NAME_app.h"

void reset_handler(void);
int NAME_serial_read(void) { return *(volatile uint8_t *)64; }
void NAME_serial_write(const uint8_t *bytes, int32_t size) {
  *(volatile uint8_t *)64 = bytes[size - 1];
}
uint32_t NAME_micros(void) { return *(volatile uint32_t *)68; }
#ifdef NAME_CHANNELS
int32_t NAME_read(NAME_sample_t *samples, int32_t capacity) {
  (void)samples;
  return -capacity;
}
#endif
void reset_handler(void) {
  for (NAME_app_start();;) {
    NAME_app_turn();
  }
}
"""


@dataclass(frozen=True)
class Sizes:
    """Bytes of flash, and of RAM with the stack; without what the board's own tools add.

    `is_estimate`: the core has no compiler here, so the code and the stack are not in it.
    """

    flash: int
    ram: int
    is_estimate: bool = False


def measure(project: Project, cc: str | None = None) -> Sizes:
    """Link the model, the self-test and the program for the board's core, and count.

    Raises:
        MissingDependencyError: the compiler is not installed.
    """
    place, compiled = project.board, project.compiled
    assert place is not None
    golden = project.replay.inputs.nbytes + project.replay.outputs.nbytes
    if compiled.core.hosted:  # no instruction set in particular
        flash = compiled.weights_bytes + compiled.tables_bytes + golden
        return Sizes(flash, compiled.state_bytes + compiled.scratch_bytes, is_estimate=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        main = _LINK if project.values["linked"] else _TEXT
        main = main.replace("NAME_CHANNELS", f"{project.name.upper()}_CHANNELS")
        files = {**project.library, "main.c": main.replace("NAME", project.name)}
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        sources = [name for name in files if name.endswith(".c")]
        flags = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables", f"-I{folder}")
        objects = build_objects(folder, sources, compiled.core, cc, extra=flags)
        script = folder / "board.ld"
        script.write_text(_script(place))
        linked = link(objects, script, compiled.core, folder / "a.elf", cc, ["reset_handler"])
        image = load(linked.read_bytes())
    sizes = image.sections
    flash = sum(sizes.get(name, 0) for name in (".text", ".data"))
    return Sizes(flash, sizes.get(".data", 0) + sizes.get(".bss", 0) + _stack(image))


def _script(place: Board) -> str:
    """The firmware's, without its limits: what is too large is to be counted, not refused."""
    return render("board.ld.j2", _FIRMWARE, board=place, stack_bytes=0)


def _stack(image: Image) -> int:
    try:
        return worst_stack(image, "reset_handler")
    except EdgernnError:  # no bound exists
        return 1024


def sizes_of(image: Path, place: Board) -> Sizes:
    """What a linked image takes of a board: its content of flash, its variables of RAM.

    Raises:
        InputError: the file is no image of a microcontroller.
    """
    linked = load(image.read_bytes())
    memory = range(place.ram_origin, place.ram_origin + place.ram_bytes)
    flash = sum(len(content) for _, content in linked.loaded)
    return Sizes(flash, sum(size for at, _, size in linked.segments if at in memory))
