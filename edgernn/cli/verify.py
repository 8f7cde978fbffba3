"""`edgernn verify`: the same frames through every interpreter and core, compared step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from targets.verification import Agreement, Verification


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    default=("cortex-m4",),
    show_default=True,
    help="Core or board to emulate; may be repeated.",
)
@click.option("--keras", type=click.Path(path_type=Path), help="Also against this Keras model.")
@click.option(
    "-i",
    "--input",
    "source",
    type=click.Path(path_type=Path),
    help="A recording in place of what is made up: frames (.npy or .csv), or for a model with a "
    "front end samples (.wav, .csv with a header …), which go through the whole pipeline.",
)
@click.option("--steps", type=click.IntRange(1), help="How many steps (default: 1,000, or all).")
@click.option("--cc", help="Cross compiler, for example arm-none-eabi-gcc (default: zig).")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write the result.")
def command(
    file: Path,
    targets: tuple[str, ...],
    keras: Path | None,
    source: Path | None,
    steps: int | None,
    cc: str | None,
    report: Path | None,
) -> int:
    """Check that generated C equals TensorFlow Lite Micro bit for bit, for the step model FILE.

    Without --input the frames are the file's golden sequence and made-up ones, saturating ones
    among them. Exits with 1 if an output or a state differs.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    from edgernn import frontends
    from edgernn.errors import InputError
    from edgernn.files import write_atomically
    from edgernn.model import load
    from edgernn.recordings import read_recordings
    from edgernn.sequences import read_sequences
    from targets import verify

    if report is not None and not report.parent.is_dir():
        raise InputError(f"{report.parent}: no such folder to write to")
    loaded, recording, samples = load(file), None, None
    if source is not None and loaded.metadata.front_end and source.suffix.lower() != ".npy":
        recordings = read_recordings(source, frontends.read(loaded.metadata.front_end))
        if len(recordings) != 1:
            raise InputError(f"{source}: holds {len(recordings)} recordings; pass one")
        samples = recordings[0]
    elif source is not None:
        sequences = read_sequences(source)
        if len(sequences) != 1:
            raise InputError(f"{source}: holds {len(sequences)} recordings; pass one")
        recording = sequences[0]
    console = Console(stderr=True)
    columns = (TextColumn("Steps"), MofNCompleteColumn())
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bar:
        task = bar.add_task("", total=steps or (1000 if recording is None else None))
        result = verify(
            loaded,
            targets,
            keras=keras,
            recording=recording,
            samples=samples,
            steps=steps,
            cc=cc,
            progress=lambda done: bar.update(task, completed=done),
        )
    _show(result)
    if report is not None:
        write_atomically(report, json.dumps(result.to_dict(), indent=2).encode())
    return 0 if result.passed else 1


def _show(result: Verification) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    reference = _NAMES[result.reference]
    table = Table(
        "",
        *(agreement.tensor for agreement in result.entries[0].tensors),
        title=f"Equal steps of {result.steps:,}, against {reference}",
        title_justify="left",
    )
    for entry in result.entries:
        style = "" if not entry.exact else "green" if entry.bit_exact else "red"
        cells = (Text(_cell(a, result), style) for a in entry.tensors)
        table.add_row(entry.description, *cells)
    console.print(table)
    if result.keras is not None:
        same = result.keras.same_decision
        decisions = "" if same is None else f", same decision in {100 * same:.1f} %"
        console.print(
            f"Keras (float), first {result.keras.steps:,} steps: RMS error "
            f"{result.keras.rms_percent:.3f} % of range, largest "
            f"{result.keras.max_percent:.2f} %{decisions}",
            soft_wrap=True,
        )
    if result.golden is not None:
        verb = "reproduced" if result.golden else "NOT reproduced"
        console.print(f"The file's golden sequence is {verb}.", soft_wrap=True)
    for reason in result.skipped.values():
        console.print(f"Not compared: {reason}", soft_wrap=True)
    for entry in result.entries:
        if entry.exact and entry.divergence is not None:
            console.print(f"{entry.description}: {entry.divergence}", soft_wrap=True, style="red")
    if result.pipelines:
        console.print(_pipelines(result))
    console.print(_verdict(result), soft_wrap=True)


def _pipelines(result: Verification) -> Any:
    from rich.table import Table

    first = result.pipelines[0]
    title = f"The pipeline: {first.predictions:,} predictions, {first.events:,} events as in Python"
    table = Table("C on", "equal predictions", "equal events", title=title, title_justify="left")
    for one in result.pipelines:
        cells = (one.name, f"{one.equal_predictions:,}", f"{one.equal_events:,}")
        table.add_row(*cells, style="green" if one.bit_exact else "red")
    return table


_NAMES = {"tflm": "TensorFlow Lite Micro", "host": "C on this machine"}


def _cell(agreement: Agreement, result: Verification) -> str:
    if agreement.equal_steps == result.steps:
        return f"{result.steps:,}, all"
    unit = "last bits" if result.quantized else "in real units"
    return f"{agreement.equal_steps:,}, off by up to {agreement.max_difference:g} {unit}"


def _verdict(result: Verification) -> Any:
    if result.golden is False:
        return f"{_NAMES[result.reference]} does NOT reproduce the file's golden sequence."
    if not all(one.bit_exact for one in result.pipelines):
        return "The pipeline's C is NOT what Python computes."
    if result.bit_exact:
        return "C is bit-exact with TensorFlow Lite Micro: every output, every state, every step."
    if result.bit_exact is None:
        return "All C agrees; whether with TensorFlow Lite Micro cannot be said without it."
    if result.passed:
        return "C agrees with TensorFlow Lite Micro within float rounding."
    return f"C is NOT bit-exact with {_NAMES[result.reference]}."
