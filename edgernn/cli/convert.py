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
@click.option(
    "--labels",
    multiple=True,
    help="Names of an output's elements: a,b,c; with several outputs OUTPUT=a,b,c, repeated.",
)
@click.option(
    "--window",
    type=click.IntRange(1),
    help="Attention and global pooling see this many of the last frames (default: the model's).",
)
@click.option(
    "--lookahead",
    type=click.IntRange(1),
    help="Bidirectional models frame by frame: the backward layers see the last N frames.",
)
@click.option(
    "--hop",
    type=click.IntRange(1),
    help="Frames from one whole window to the next (Bidirectional).",
)
@click.option(
    "--front-end",
    type=click.Path(path_type=Path),
    help="TOML or JSON that describes how samples become frames; calibration data are recordings "
    "(WAV, FLAC, CSV) then.",
)
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="TOML or JSON that describes how predictions become events.",
)
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
    labels: tuple[str, ...],
    window: int | None,
    lookahead: int | None,
    hop: int | None,
    front_end: Path | None,
    detector: Path | None,
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
    if not calibration.exists():
        raise InputError(f"{calibration}: no such file or folder")

    from edgernn.configuration import read_configuration

    parts = [None if path is None else read_configuration(path) for path in (front_end, detector)]
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
            calibration,
            precision=precision,
            io=io,
            per_tensor=per_tensor,
            labels=_labels(labels),
            window=window,
            lookahead=lookahead,
            hop=hop,
            front_end=parts[0],
            detector=parts[1],
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result.save(target)
    assert result.report is not None
    if report is not None:
        write_atomically(report, json.dumps(result.report, indent=2).encode())
    show(result.report, target)


def _labels(given: tuple[str, ...]) -> Any:
    """What `convert` takes: a list for the only output, or a dict of them."""
    lists = [(n.rpartition("=")[0], n.rpartition("=")[2].split(",")) for n in given]
    named = {name: [label.strip() for label in labels] for name, labels in lists}
    return named if all(named) else named.get("", ())


def show(report: dict[str, Any], target: Path) -> None:
    """Print what became of the model."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    layers = Table("layer", "type", "in the step", title="Layers", title_justify="left")
    for layer in report["layers"]:
        layers.add_row(layer["layer"], layer["type"], layer["became"])
    for one in report["inputs"]:
        if one["normalisation"]:
            row = (f"(input {one['name']})", "normalisation", "done by the runtime, not quantized")
            layers.add_row(*row)
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
    difference = report["float_vs_keras"]
    against = (
        "cannot be compared: Keras' answer counts padding or frames that a stream has not"
        if difference is None
        else f"largest difference {difference:.1e}"
    )
    console.print(f"Float step against Keras: {against}", soft_wrap=True)
    for line in time_lines(report):
        console.print(line, soft_wrap=True)
    console.print(f"Precision: [bold]{report['precision']}[/] ({report['reason']})", soft_wrap=True)
    console.print(
        f"[bold]{target}[/]: {size['file']:,} bytes, weights {size['weights']:,} "
        f"(float: {size['float_file']:,})",
        soft_wrap=True,
    )


def time_lines(facts: dict[str, Any]) -> list[str]:
    """What there is to know of when predictions come, of a report or of a model's metadata."""
    lines = []
    frames, rows = facts["frames_per_step"], facts["outputs_per_step"]
    if (frames, rows) != (1, 1):
        lines.append(f"Step: takes {frames} frame(s), gives {rows} prediction(s)")
    if facts["warmup"]:
        lines.append(f"Warm-up: the first {facts['warmup']} step(s) give no prediction")
    if facts["latency"]:
        lines.append(
            f"Latency: a prediction comes {facts['latency']} frame(s) after the newest one that "
            "Keras counts it for"
        )
    if facts["mask"] is not None:
        lines.append(f"Mask: a frame of nothing but {facts['mask']:g} counts for nothing")
    if facts.get("pads_end"):
        lines.append(
            "End: Keras pads behind the last frame (padding='same'), which a stream never sees; "
            "the answer is that of the frames before"
        )
    return lines


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
