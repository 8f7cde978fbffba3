"""`edgernn compile`: a step model to C for a core, or to a shared library for a Linux board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from targets import Compiled


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-t", "--target", required=True, help="Core; `edgernn targets` lists them.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for the files."
)
@click.option("--name", help="Prefix of files and functions (default: the file's name).")
@click.option("--cc", help="C compiler, for example arm-none-eabi-gcc (default: zig).")
def command(file: Path, target: str, output: Path, name: str | None, cc: str | None) -> None:
    """Turn the step model FILE (.tflite) into freestanding C99.

    Example: edgernn compile model.tflite --target cortex-m4 -o firmware/model
    """
    from rich.console import Console

    from targets import compile_model
    from targets.toolchain import build_shared, toolchain

    if cc is not None:
        toolchain(cc)  # a compiler that is not there is known before a file is written
    compiled = compile_model(file, target, name=name)
    compiled.write(output)
    files = [output / name for name in compiled.files]
    if compiled.core.hosted and compiled.core.name != "portable":
        library = output / f"lib{compiled.name}.so"
        files.append(build_shared(output, compiled.sources, compiled.core, library, cc))
    _show(compiled, files, _measured(compiled, cc), Console(highlight=False, markup=False))


def _measured(compiled: Compiled, cc: str | None) -> tuple[int | None, int | None]:
    """Bytes of code, and the deepest stack of a step, if the core is one that can be emulated."""
    import numpy as np

    from targets import Emulator

    if not compiled.core.emulator:
        return None, None
    emulator = Emulator(compiled, cc)
    constants = compiled.weights_bytes + compiled.tables_bytes
    deepest = 0
    for fill in ("min", "max"):
        frames = [
            np.full(p.shape, getattr(np.iinfo(p.dtype), fill) if p.scale else 0, p.dtype)
            for p in compiled.inputs
        ]
        deepest = max(deepest, emulator.stack(*frames))
    return emulator.sizes.code + emulator.sizes.constants - constants, deepest


def _show(
    compiled: Compiled,
    files: list[Path],
    measured: tuple[int | None, int | None],
    console: object,
) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    table = Table("file", "bytes", title=compiled.core.title, title_justify="left")
    table.columns[1].justify = "right"
    for path in files:
        table.add_row(str(path), f"{path.stat().st_size:,}")
    console.print(table)
    code, stack = measured
    unknown = "measured for cores that can be emulated" if compiled.core.hosted else "not measured"
    sizes = Table("memory", "bytes", "what")
    sizes.columns[1].justify = "right"
    for kind, size, what in (
        ("flash", code, "code"),
        ("flash", compiled.tables_bytes, "tables of activations"),
        ("flash", compiled.weights_bytes, "weights"),
        ("RAM", compiled.state_bytes, f"{compiled.name}_state_t, one for each stream"),
        ("RAM", compiled.scratch_bytes, f"{compiled.name}_scratch_t, shared by all streams"),
        ("RAM", stack, "stack of a step, measured in emulation"),
    ):
        known = size is not None
        sizes.add_row(kind, f"{size:,}" if known else "?", what if known else f"{what}: {unknown}")
    console.print(sizes)
