"""`edgernn inspect`: what is inside a `.tflite`, step model or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def command(file: Path, as_json: bool) -> None:
    """Show the signature, states, quantization, operators and metadata of FILE (.tflite)."""
    from edgernn import tflite
    from edgernn.describe import describe
    from edgernn.errors import ModelFileError
    from edgernn.files import read_file
    from edgernn.foreign import step_file

    data = read_file(file)
    try:
        graph = tflite.read(step_file(data))
    except ModelFileError as error:
        raise ModelFileError(f"{file}: {error}") from None
    document = {"file": str(file), "bytes": len(data), **describe(graph)}
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{document['file']}: {document['bytes']:,} bytes", soft_wrap=True)
    console.print(_tensors(document))
    weights = ", ".join(
        f"{size:,} bytes of {dtype}" for dtype, size in document["constants"].items()
    )
    console.print(f"Constants: {weights or 'none'}; {document['tensors']} tensors", soft_wrap=True)
    operators = ", ".join(
        f"{count} {_clean(name)}" for name, count in document["operators"].items()
    )
    console.print(f"Operators: {operators or 'none'}", soft_wrap=True)
    for line in _metadata_lines(document["metadata"]):
        console.print(line, soft_wrap=True)
    step = document["step"]
    verdict = "yes" if step["is_step"] else f"no: {_clean(step['reason'])}"
    console.print(f"Step model: {verdict}", soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"Warning: {_clean(warning)}", soft_wrap=True, style="yellow")


def _tensors(document: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("role", "name", "shape", "dtype", "scale", "zero point", "initial")

    def row(role: str, name: str, tensor: dict[str, Any]) -> None:
        scales, zeros = tensor["scale"], tensor["zero_point"]
        initial = tensor.get("initial", "")
        cells = (
            role,
            name,
            "x".join(str(n) for n in tensor["shape"]),
            tensor["dtype"],
            f"{scales[0]:.6g}" if len(scales) == 1 else f"{len(scales)} scales" if scales else "",
            str(zeros[0]) if len(zeros) == 1 else "",
            f"{len(initial)} values" if isinstance(initial, list) else str(initial),
        )
        table.add_row(*(Text(_clean(cell)) for cell in cells))

    step = document["step"]
    if step["is_step"]:
        for name, tensor in step["inputs"].items():
            row("frame", name, tensor)
        for state in step["states"]:
            row("state", state["state"], state)
        for name, tensor in step["outputs"].items():
            row("prediction", name, tensor)
        return table
    for signature, ends in document["signatures"].items():
        for kind in ("inputs", "outputs"):
            for name, tensor in ends[kind].items():
                row(f"{signature} {kind[:-1]}", name, tensor)
    if not document["signatures"]:
        for kind in ("inputs", "outputs"):
            for tensor in document[kind]:
                row(kind[:-1], tensor["tensor"], tensor)
    return table


def _schedule(passes: dict[str, Any]) -> str:
    count = len(passes["rows"])
    if passes["lookahead"]:
        how = f"with every frame, those that run backwards over the last {passes['lookahead']}"
    else:
        how = f"over {passes['window']} frames, every {passes['hop']} frames"
    return f"Passes: {count}, {how}; the tensors here are those of the first"


def _metadata_lines(metadata: dict[str, Any] | None) -> list[str]:
    from edgernn.cli.convert import time_lines

    if metadata is None:
        return ["Metadata: none"]
    lines = []
    for one in metadata["outputs"]:
        if one["labels"]:
            name = "" if len(metadata["outputs"]) == 1 else f" of {_clean(one['name'])}"
            lines.append(f"Labels{name}: {', '.join(_clean(label) for label in one['labels'])}")
    lines += time_lines(metadata)
    if metadata["passes"]:
        lines.append(_schedule(metadata["passes"]))
    for one in metadata["inputs"]:
        name = _clean(one["name"])
        if one["normalisation"]:
            values = len(one["normalisation"]["scale"])
            lines.append(f"Normalisation: {name} * scale + offset, {values} values")
        if one["vocabulary"]:
            lines.append(f"Tokens: {name} is from 0 to {one['vocabulary'] - 1}")
        if not one["is_sequence"]:
            lines.append(f"Without time: {name} comes with every frame")
    for key in ("front_end", "detector"):
        if metadata[key]:
            told = f"{key.replace('_', ' ').capitalize()}: {_told(metadata[key])}"
            lines.append(_clean(told))
    golden = metadata["golden"]
    lines.append(
        f"Self-test: {golden['steps']} steps, tolerance {golden['tolerance']:g}"
        if golden
        else "Self-test: none"
    )
    for key, value in metadata["provenance"].items():
        lines.append(f"{_clean(key)}: {_clean(value)}")
    return lines


def _told(config: dict[str, Any]) -> str:
    """A configuration in a line: its kind, and the fields that say something."""
    fields = (
        f"{name} {' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for name, value in config.items()
        if name != "kind" and value not in ([], (), {}, "", None)
    )
    return ", ".join([str(config.get("kind")), *fields])


def _clean(text: str) -> str:
    """Names in a file may hold anything; a terminal should not obey them."""
    return "".join(c if c.isprintable() else "?" for c in text)
