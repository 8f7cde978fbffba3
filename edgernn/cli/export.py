"""`edgernn export`: a step model as a project for the tools of an ecosystem."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from targets.exports import Export


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-f",
    "--format",
    "kind",
    required=True,
    help="cmake, arduino, platformio, esp-idf, zephyr, cmsis-pack or tflm.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="A new folder for it."
)
@click.option("--board", help="For this board alone, if it is large enough (default: any).")
@click.option("-t", "--target", help="Core whose kernels to use (default: the board's, or any C).")
@click.option("--name", help="Name of the project, its files and functions (default: the file's).")
@click.option(
    "--link",
    "linked",
    is_flag=True,
    help="The program speaks to `edgernn monitor`, `record` and `deploy` instead of printing text "
    "(cmake, arduino, platformio).",
)
@click.option("--cc", help="Compiler that sizes are measured with (default: zig).")
def command(
    file: Path,
    kind: str,
    output: Path,
    board: str | None,
    target: str | None,
    name: str | None,
    linked: bool,
    cc: str | None,
) -> None:
    """Write a project around the step model FILE (.tflite).

    It holds the model, its front end and detector as C, a self-test that runs at start, and a
    program that streams; your microphone or sensor is one function to fill in. Exporting again into
    the same folder keeps the files that you changed or added.

    Example: edgernn export model.tflite --format arduino -o keyword
    """
    from edgernn.errors import ModelFileError
    from edgernn.model import load
    from targets.exports import export

    try:
        options = {"name": name, "board_name": board, "target": target, "cc": cc}
        made = export(load(file), kind, output, linked=linked, **options)
    except ModelFileError as error:
        text = str(error)
        raise ModelFileError(text if str(file) in text else f"{file}: {text}") from None
    _show(made)


def _show(made: Export) -> None:
    from rich.console import Console

    from targets.exports import FORMATS

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    facts, compiled = FORMATS[made.kind], made.project.compiled
    core = compiled.core.title
    console.print(f"{made.folder}: {facts.title} of {len(made.files)} files, kernels for {core}")
    replay = made.project.replay
    console.print(f"self-test at start: {replay.steps} steps, recorded with {replay.source}")
    place, sizes = made.project.board, made.sizes
    if place is not None and sizes is not None:
        about = "at least " if sizes.is_estimate else ""
        for what, used, has in (
            ("flash", sizes.flash, place.flash_bytes),
            ("RAM", sizes.ram, place.ram_bytes),
        ):
            console.print(f"{what}: {about}{used:,} of the {has:,} bytes of {place.name}")
    if made.kept:
        tops = Counter(path.split("/")[0] for path in made.kept)
        alone = [path for path in made.kept if tops[path.split("/")[0]] <= 3]
        many = [f"{top}/ ({count} files)" for top, count in tops.items() if count > 3]
        console.print(f"kept as you left them: {', '.join([*alone, *many])}")
    console.print(f"Next: {made.folder / 'README.md'}")
