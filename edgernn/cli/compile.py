"""`edgernn compile`: a step model to C for a core, or to a shared library for a Linux board."""

from __future__ import annotations

from dataclasses import dataclass
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
    from edgernn.errors import ModelFileError
    from edgernn.files import read_file
    from edgernn.model import load
    from targets import build_library, compile_model
    from targets.lowering.base import identifier
    from targets.native import build_pass_libraries
    from targets.toolchain import toolchain

    if cc is not None:
        toolchain(cc)  # a compiler that is not there is known before a file is written
    data = read_file(file)
    try:
        compiled = compile_model(data, target, name=name or identifier(file.stem))
    except ModelFileError as error:
        raise ModelFileError(f"{file}: {error}") from None
    compiled.write(output)
    files = [output / name for name in compiled.files]
    if compiled.core.simd and compiled.metadata.passes:
        files += build_pass_libraries(load(data), target, output, compiled.name, cc)
    elif compiled.core.simd:
        files.append(build_library(compiled, output, cc))
    _show(compiled, files, _measure(compiled, cc))


@dataclass(frozen=True)
class _Measured:
    """Bytes of code and of the stack of a step at worst; or why they are not known."""

    code: int = 0
    stack: int = 0
    missing: str = ""


def _measure(compiled: Compiled, cc: str | None) -> _Measured:
    from edgernn.errors import MissingDependencyError
    from targets.emulate import link
    from targets.stack import worst_stack

    if compiled.core.hosted:
        return _Measured(missing="they depend on the system that it is linked into")
    try:
        image = link(compiled, cc)
    except MissingDependencyError as error:
        return _Measured(missing=str(error))
    everything = image.sections.get(".text", 0) + image.sections.get(".rodata", 0)
    code = everything - compiled.weights_bytes - compiled.tables_bytes
    return _Measured(code, worst_stack(image, f"{compiled.name}_step"))


def _show(compiled: Compiled, files: list[Path], measured: _Measured) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    table = Table("file", "bytes", title=f"{files[0].parent}: C for {compiled.core.title}")
    table.columns[1].justify, table.title_justify = "right", "left"
    for path in files:
        table.add_row(path.name, f"{path.stat().st_size:,}")
    console.print(table)
    rows = [
        ("flash", compiled.tables_bytes, "tables of activations"),
        ("flash", compiled.weights_bytes, "weights"),
        ("RAM", compiled.state_bytes, f"{compiled.name}_state_t, one for each stream"),
        ("RAM", compiled.scratch_bytes, f"{compiled.name}_scratch_t, shared by all streams"),
    ]
    if not measured.missing:
        rows.insert(0, ("flash", measured.code, "code"))
        rows.append(("RAM", measured.stack, "stack of a step, at worst"))
    sizes = Table("memory", "bytes", "what")
    sizes.columns[1].justify = "right"
    for kind, size, what in rows:
        sizes.add_row(kind, f"{size:,}", what)
    console.print(sizes)
    if measured.missing:
        console.print(f"Code and stack are not counted: {measured.missing}", soft_wrap=True)
    if any(path.name == f"{compiled.name}_pipeline.c" for path in files):
        console.print(
            f"This is the model alone. {compiled.name}_pipeline_t, with front end and detector, "
            "takes more: `edgernn profile` counts it.",
            soft_wrap=True,
        )
