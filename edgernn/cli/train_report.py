"""What `edgernn train` tells at its end: the evaluation and the page of what it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from converters.training.settings import Settings


def report(settings: Settings, how: Sequence[str]) -> Path:
    """Run `edgernn evaluate` with the flags `how` on the trained model, then `edgernn report`.

    Gives the page, in the training's folder beside `evaluation.json`.
    """
    from edgernn.cli.evaluate import command as evaluate
    from edgernn.cli.report import command as write

    folder = settings.folder
    model, evaluation = folder / f"{settings.name}.tflite", folder / "evaluation.json"
    data = ["--data", settings.data, "--float", str(folder / f"{settings.name}.keras")]
    if settings.pattern is not None:
        data += ["--pattern", settings.pattern]
    if settings.windows is not None:
        data += ["--windows", settings.windows]
    _run(evaluate, [str(model), *data, *how, "--json", str(evaluation)])
    page = folder / "report"
    costs = ["--model", str(model), "--target", settings.target]
    history = ["--training", str(folder / "training.json")]
    _run(write, [str(evaluation), *costs, *history, "--output", str(page)])
    return page / "index.html"


def _run(command: click.Command, arguments: list[str]) -> None:
    command.main(arguments, standalone_mode=False)
