"""`edgernn convert`: a trained Keras model to a streaming step model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Real input sequences: .npy or .npz of shape (N, T, features), .csv, or a folder of them.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The .tflite to write.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "int16x8", "float32"]),
    default="auto",
    show_default=True,
    help="int16x8: int16 activations, int8 weights. auto: int8 unless it loses too much.",
)
@click.option(
    "--io",
    type=click.Choice(["int8", "int16", "float32"]),
    help="Type of the frame and the prediction in the file (default: the model's own).",
)
@click.option("--per-tensor", is_flag=True, help="One weight scale per tensor, not per channel.")
@click.option("--labels", help="Names of the outputs, separated by commas.")
@click.option(
    "--custom",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Python file that registers custom Keras objects or edgernn rules; may be repeated.",
)
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write the report.")
def command(
    model: Path,
    calibration: Path | None,
    output: Path | None,
    precision: str,
    io: str | None,
    per_tensor: bool,
    labels: str | None,
    custom: tuple[Path, ...],
    report: Path | None,
) -> None:
    """Convert MODEL (.keras or .h5) into a .tflite that runs frame by frame.

    Example: edgernn convert model.keras --calibration x_train.npy -o model.tflite
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from edgernn.errors import InputError
    from edgernn.files import write_atomically
    from edgernn.sequences import read_sequences

    target = output or model.with_suffix(".tflite")
    if target.suffix != ".tflite":
        raise InputError(f"{target}: the output must end in .tflite")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder to write to")
    if calibration is None:
        raise InputError(
            "no calibration data: pass --calibration with real input sequences, for example "
            "numpy.save('calibration.npy', x_train[:100]) of shape (N, T, features)"
        )
    if not model.exists():
        raise InputError(f"{model}: no such file")
    sequences = read_sequences(calibration)

    console = Console(stderr=True)
    with console.status("Loading TensorFlow …"):
        from converters import convert
        from converters.loader import import_file

        for path in custom:
            import_file(path)
    columns = (TextColumn("Calibrating"), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("calibrate", total=None)
        result = convert(
            model,
            sequences,
            precision=precision,
            io=io,
            per_tensor=per_tensor,
            labels=[name.strip() for name in labels.split(",")] if labels else (),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result.save(target)
    assert result.report is not None
    if report is not None:
        write_atomically(report, json.dumps(result.report, indent=2).encode())
    show(result.report, target)


def show(report: dict[str, Any], target: Path) -> None:
    """Print what became of the model."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    layers = Table("layer", "type", "in the step", title="Layers", title_justify="left")
    for layer in report["layers"]:
        layers.add_row(layer["layer"], layer["type"], layer["became"])
    if report["normalisation"]:
        layers.add_row("(input)", "normalisation", "done by the runtime before quantizing")
    console.print(layers)

    states = Table(
        "state", "shape", "dtype", "scale", "zero point", title="States", title_justify="left"
    )
    for state in report["states"]:
        scale = "" if state["scale"] is None else f"{state['scale']:.6g}"
        zero = "" if state["zero_point"] is None else str(state["zero_point"])
        states.add_row(state["name"], str(tuple(state["shape"])), state["dtype"], scale, zero)
    console.print(states)

    if report["tried"]:
        console.print(_candidates(report))
    console.print(f"RMS error by output: {_by_output(report)}", soft_wrap=True, highlight=False)
    size = report["bytes"]
    operators = ", ".join(f"{count} {name}" for name, count in report["operators"].items())
    console.print(f"Operators: {operators}", soft_wrap=True)
    console.print(f"Float step against Keras: largest difference {report['float_vs_keras']:.1e}")
    console.print(f"Precision: [bold]{report['precision']}[/] ({report['reason']})", soft_wrap=True)
    console.print(
        f"[bold]{target}[/]: {size['file']:,} bytes, weights {size['weights']:,} "
        f"(float: {size['float_file']:,})",
        soft_wrap=True,
    )


def _by_output(report: dict[str, Any], most: int = 16) -> str:
    errors = report["errors"]["per_output"]
    names = report["labels"] or range(len(errors))
    shown = [f"{n} {e:.3f} %" for n, e in list(zip(names, errors, strict=True))[:most]]
    left = len(errors) - len(shown)
    return ", ".join(shown) + (f" and {left} more (see --json)" if left else "")


def _candidates(report: dict[str, Any]) -> Any:
    from rich.table import Table

    lengths = list(report["tried"][0]["drift"])
    table = Table(
        "precision",
        "RMS error",
        "same decision",
        *(f"{int(n):,} steps" for n in lengths),
        title="Against float, held-back data (RMS in % of range; state carried)",
        title_justify="left",
    )
    for candidate in report["tried"]:
        errors = candidate["errors"]
        agreement = errors["agreement"]
        name = candidate["name"]
        table.add_row(
            f"[bold]{name}[/]" if name == report["precision"] else name,
            f"{errors['rms_percent']:.3f} %",
            "" if agreement is None else f"{100 * agreement:.2f} %",
            *(f"{candidate['drift'][n]:.3f} %" for n in lengths),
        )
    return table
