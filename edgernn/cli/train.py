"""`edgernn train`: from labelled recordings to a model that fits a board."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from converters.training.settings import Settings


@click.command()
@click.argument("recipe")
@click.option("--data", help="A folder, a table, or tfds:NAME.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML with any of the settings; flags win."
)
@click.option("--pattern", help="How names are made, such as {label}_{group}_{take}.")
@click.option("--test", help="Groups to judge by: a,b,c; or a share, such as 0.2.")
@click.option("--validation", help="Groups, or a share, to choose by while training.")
@click.option("--keywords", help="Labels to tell apart from all others: a,b,c (default: all).")
@click.option("--voices", metavar="LANGUAGE", help="Synthetic voices say the labels, too: en …")
@click.option("--architecture", help="Network by name, such as gru-s.")
@click.option("--target", help="Core or board that costs are told for.")
@click.option("--epochs", type=int, help="Passes over the data, at most.")
@click.option("--seed", type=int, help="Of all that is drawn.")
@click.option("-o", "--output", help="Folder of what comes out (default: build/RECIPE).")
@click.option("--resume", is_flag=True, help="Go on with the training in the output folder.")
@click.option("--tensorboard", is_flag=True, help="Also write what TensorBoard shows.")
@click.option("--no-report", is_flag=True, help="Train only, without judging it at the end.")
@click.option("--dry-run", is_flag=True, help="Show data and costs, and do not train.")
def command(
    recipe: str,
    data: str | None,
    config: Path | None,
    pattern: str | None,
    test: str | None,
    validation: str | None,
    keywords: str | None,
    voices: str | None,
    architecture: str | None,
    target: str | None,
    epochs: int | None,
    seed: int | None,
    output: str | None,
    resume: bool,
    tensorboard: bool,
    no_report: bool,
    dry_run: bool,
) -> int:
    """Train RECIPE (keyword, activity, anomaly or forecast) and convert what comes out.

    \b
    edgernn train keyword --data recordings/ --test anna,ben
    edgernn train keyword --resume
    """
    from rich.console import Console

    from converters.training.folder import begin, check, read_begun
    from converters.training.settings import read_file, resolve

    flags = {
        "data": data,
        "pattern": pattern,
        "keywords": None if keywords is None else _names(keywords),
        "voices": voices,
        "architecture": architecture,
        "target": target,
        "output": output,
        "split": _given(test=_part(test), validation=_part(validation)),
        "fit": _given(epochs=epochs, seed=seed, tensorboard=tensorboard or None),
    }
    file = {} if config is None else read_file(config)
    folder = output or file.get("output") or str(Path("build") / recipe)
    begun = read_begun(Path(folder)) if resume else None
    settings = resolve(recipe, file, _given(**flags), begun)
    if not dry_run:
        check(settings, resume)
    console = Console(highlight=False, markup=False, emoji=False)
    with _progress("Reading") as told:
        from converters.training.data import read_data

        recordings = read_data(settings, lambda done, total: told(done, total, ""))
    module = _recipe(settings)
    _show(module.plan(settings, recordings), settings, console)
    if dry_run:
        return 0
    begin(settings, resume)
    try:
        with _progress("Training") as told:
            trained = module.train(settings, recordings, told)
    except KeyboardInterrupt:
        click.echo(f"edgernn: interrupted: {_how_to_resume(settings)}", err=True)
        return 130
    for suffix in (".keras", ".tflite"):
        path = trained.folder / f"{settings.name}{suffix}"
        console.print(f"{path}: {path.stat().st_size:,} bytes", soft_wrap=True)
    if not no_report and "evaluate" in trained.document:
        from edgernn.cli.train_report import report

        report(settings, trained.document["evaluate"])
    return 0


def _recipe(settings: Settings) -> Any:
    """The recipe's module, which brings TensorFlow along."""
    from rich.console import Console

    from converters.dependencies import require
    from converters.quiet import quiet

    require()
    with Console(stderr=True).status("Loading TensorFlow …"), quiet():
        return import_module(f"converters.training.recipes.{settings.recipe}")


def _show(plan: Any, settings: Settings, console: Console) -> None:
    from rich.console import Console as Screen

    from converters.training.plan import costs
    from edgernn.cli.train_tables import labels_table, network_table, parts_table

    console.print(parts_table(plan))
    labels = labels_table(plan)
    if labels is not None:
        console.print(labels)
    with Screen(stderr=True).status(f"Measuring the network on {settings.target} …"):
        measured = costs(settings.architecture, plan, settings.target, settings.precision)
    console.print(network_table(settings, plan, measured))


def _how_to_resume(settings: Settings) -> str:
    from converters.training.settings import CHECKPOINT

    if not (settings.folder / CHECKPOINT).exists():
        return "there was no checkpoint yet, so nothing is kept"
    return (
        f"the checkpoint is kept; go on with `edgernn train {settings.recipe} --resume "
        f"--output {settings.output}`"
    )


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr; where that is no terminal, a line whenever the words begin anew."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, markup=False)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    rest = (TimeRemainingColumn(), TextColumn("{task.fields[words]}", markup=False))
    quiet = not console.is_terminal  # where rich would leave an empty line
    with Progress(*columns, *rest, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=None, words="")
        last = ""

        def told(done: int, total: int, words: str) -> None:
            nonlocal last
            if quiet and words.partition(":")[0] != last:
                last = words.partition(":")[0]
                click.echo(f"{what} {done:,} of {total:,} {words}", err=True)
            bar.update(task, completed=done, total=total, words=words)

        yield told


def _given(**values: Any) -> dict[str, Any]:
    """Those that were said."""
    return {name: value for name, value in values.items() if value not in (None, {})}


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _part(text: str | None) -> tuple[str, ...] | float | None:
    """Groups, or a share of them: what has a point, or is 0."""
    if text is None:
        return None
    return float(text) if re.fullmatch(r"0|\d*\.\d+", text) else _names(text)
