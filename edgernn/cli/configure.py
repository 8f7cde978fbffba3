"""`edgernn configure`: the front end and the detector of a model that exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgernn.model import Model


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--front-end",
    type=click.Path(path_type=Path),
    help="TOML or JSON that describes how samples become frames.",
)
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="TOML or JSON that describes how predictions become events.",
)
@click.option(
    "--normal",
    type=click.Path(path_type=Path),
    help="Recordings without anomalies: finds the threshold of an anomaly detector.",
)
@click.option(
    "--per-hour",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    help="With --normal: false alarms an hour that are allowed.",
)
@click.option("--no-front-end", is_flag=True, help="Take the front end out.")
@click.option("--no-detector", is_flag=True, help="Take the detector out.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: FILE itself.")
def command(
    file: Path,
    front_end: Path | None,
    detector: Path | None,
    normal: Path | None,
    per_hour: float,
    no_front_end: bool,
    no_detector: bool,
    output: Path | None,
) -> None:
    """Give the step model FILE another front end or detector, without converting it again.

    \b
    edgernn configure model.tflite --detector trigger.toml
    edgernn configure model.tflite --detector anomaly.toml --normal recordings/
    """
    from edgernn.configuration import read_configuration
    from edgernn.errors import InputError
    from edgernn.model import load

    if (front_end and no_front_end) or (detector and no_detector):
        raise click.UsageError("give a part or take it out, not both")
    chosen = [
        {} if drop else None if path is None else read_configuration(path)
        for path, drop in ((front_end, no_front_end), (detector, no_detector))
    ]
    if chosen == [None, None] and normal is None:
        raise click.UsageError("nothing to do: pass --front-end, --detector, --normal or --no-…")
    model = load(file)
    from converters.configure import configure

    try:
        if normal is not None:
            chosen[1] = with_normal_threshold(model, chosen, normal, per_hour)
        result = configure(model, *chosen)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    result.save(output or file)
    parts = {"front end": result.metadata.front_end, "detector": result.metadata.detector}
    told = ", ".join(f"{name}: {config.get('kind', 'none')}" for name, config in parts.items())
    click.echo(f"{output or file}: {told}")


def with_normal_threshold(
    model: Model, parts: list[dict[str, Any] | None], normal: Path, per_hour: float
) -> dict[str, Any]:
    """The detector with the threshold that normal recordings tell."""
    from converters.configure import configure
    from edgernn import frontends
    from edgernn.detectors.calibration import calibrated
    from edgernn.recordings import read_recordings

    given = parts[1] if parts[1] is not None else model.metadata.detector
    fields = {name: value for name, value in given.items() if name not in ("threshold", "release")}
    trial = configure(model, parts[0], {**fields, "threshold": 1e9})
    recordings = read_recordings(normal, frontends.read(trial.metadata.front_end))
    found = calibrated(trial, [(one.samples, one.times) for one in recordings], per_hour)
    click.echo(f"threshold {found:.6g}: at most {per_hour:g} false alarms an hour on {normal}")
    return {**fields, "threshold": float(f"{found:.6g}")}
