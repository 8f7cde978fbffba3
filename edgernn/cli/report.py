"""`edgernn report`: a page that says how good a model will be on the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option(
    "--profile", type=click.Path(path_type=Path), help="What `edgernn profile --json` wrote."
)
@click.option("--model", type=click.Path(path_type=Path), help="Model to profile instead.")
@click.option("-t", "--target", help="Core or board to profile it for.")
@click.option("--training", type=click.Path(path_type=Path), help="What `edgernn train` wrote.")
def command(
    evaluation: Path,
    output: Path,
    profile: Path | None,
    model: Path | None,
    target: str | None,
    training: Path | None,
) -> None:
    """Make a page with plots of EVALUATION (.json), which `edgernn evaluate` wrote.

    The page needs no network. Its plots as PNG and SVG and its numbers as JSON are beside it.
    """
    from rich.console import Console
    from rich.progress import Progress

    from edgernn.errors import InputError
    from edgernn.report import write_report
    from edgernn.report.document import checked, read_document
    from edgernn.report.folder import check_place

    if profile is not None and (model is not None or target is not None):
        raise InputError("give either --profile, or --model and --target")
    if (model is None) != (target is None):
        raise InputError("--model and --target go together: profile the model for the target")
    document = read_document(evaluation)
    history = None if training is None else read_document(training)
    costs = None if profile is None else read_document(profile)
    # What is wrong with them is told before a model is profiled for half a minute.
    checked(document, costs, history)
    check_place(output.resolve())
    console = Console(stderr=True)
    if model is not None:
        costs = _profile(model, target, console)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Drawing", total=None)
        page = write_report(
            output,
            document,
            profile=costs,
            training=history,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    click.echo(page)


def _profile(model: Path, target: str | None, console: Console) -> dict[str, Any]:
    from targets import profile

    with console.status("Measuring …"):
        return profile(model, target).to_dict()
