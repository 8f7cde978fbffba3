"""`edgernn evaluate`: how good a model is, quantized, streamed and triggered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgernn.evaluation.subject import Progress, Subject
    from edgernn.frontends import FrontEnd
    from edgernn.labelled import Labelled
    from edgernn.model import Model


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Labelled recordings: a folder, a table, tfds:NAME.")
@click.option("--pattern", help="Names of files, for example {label}_{group}_{take}.")
@click.option(
    "--task",
    type=click.Choice(["clips", "events", "frames", "anomaly", "forecast"]),
    help="Default: what the model's detector is for.",
)
@click.option("--test", "--groups", "test", help="Report on these groups only: a,b,c.")
@click.option("--choose-on", help="Events: choose the thresholds on these groups: a,b,c.")
@click.option(
    "--float",
    "exact",
    type=click.Path(path_type=Path),
    help="The float model beside it: .keras, .h5, or a float32 step .tflite.",
)
@click.option("--keyword", "keywords", multiple=True, help="Events: of this label; repeatable.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), default=6.0, show_default=True)
@click.option("--snr", type=float, default=10.0, show_default=True, help="Of the stream, in dB.")
@click.option(
    "--pause",
    type=(float, float),
    default=(0.5, 3.0),
    show_default=True,
    help="Seconds between words, drawn evenly.",
)
@click.option("--background", type=click.Path(path_type=Path), help="Recordings of background.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--false-accepts",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="With --choose-on: how many an hour are allowed.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.75,
    show_default=True,
    help="Seconds behind a word in which an event counts for it.",
)
@click.option(
    "--tail",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Seconds of silence behind a clip.",
)
@click.option(
    "--windows", type=click.Path(path_type=Path), help="Anomaly: a file of labelled windows."
)
@click.option(
    "--normal",
    type=click.Path(path_type=Path),
    help="Anomaly: set the threshold from these recordings, in which there are none.",
)
@click.option(
    "--per-hour",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    help="With --normal: false alarms an hour that are allowed.",
)
@click.option(
    "--after",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Anomaly, forecast: count from this share of each recording on.",
)
@click.option("--horizon", type=click.FloatRange(0, min_open=True), help="Forecast: seconds ahead.")
@click.option(
    "--season",
    type=click.FloatRange(0, min_open=True),
    default=86400.0,
    show_default=True,
    help="Forecast: seconds of a season, for the seasonal baseline.",
)
@click.option("--unit", default="", help="Forecast: of the values, only told.")
@click.option("--backend", help="Default: native where it can be built, else auto.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write the document.")
@click.option("--report", type=click.Path(path_type=Path), help="Also a page, into this folder.")
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    help="Write the model with the thresholds that were chosen to this file.",
)
def command(file: Path, **options: Any) -> None:
    """Judge the whole pipeline of the step model FILE by labelled recordings.

    \b
    edgernn evaluate model.tflite --data digits/ --float model.keras
    edgernn evaluate model.tflite --data digits/ --keyword seven --choose-on ann,bob --test eve
    """
    from edgernn.cli.evaluation_subject import prepared
    from edgernn.cli.evaluation_tables import show
    from edgernn.errors import InputError
    from edgernn.evaluation.document import finite
    from edgernn.evaluation.subject import Subject
    from edgernn.files import write_atomically
    from edgernn.labelled import read_labelled
    from edgernn.model import load
    from edgernn.pipeline import detector_of

    for path in (options["output"], options["write"]):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path.parent}: no such folder to write to")
    if options["write"] and not (options["choose_on"] or options["normal"]):
        raise click.UsageError("--write needs thresholds: --choose-on GROUPS, or --normal")
    if options["report"] is not None:  # before hours of sound
        from edgernn.report.folder import check_place

        check_place(options["report"].resolve())
    model = load(file)
    try:
        if options["normal"] is not None:
            model = _with_normal_threshold(model, options["normal"], options["per_hour"])
        subject = Subject(model, options["backend"] or "auto")
        front_end = subject.front_end
        detector_of(model, front_end)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    with _progress() as progress:
        recordings = read_labelled(
            options["data"],
            front_end=front_end,
            pattern=options["pattern"],
            windows=options["windows"],
            progress=progress("reading"),
        )
        subject = prepared(subject, recordings, options["exact"], options["backend"])
        document = _evaluate(subject, recordings, options, progress)
    document = finite({**document, "model": file.name, "data": str(options["data"])})
    show(document)
    if options["output"] is not None:
        write_atomically(options["output"], json.dumps(document, allow_nan=False).encode())
        click.echo(f"{options['output']}: the evaluation document")
    if options["write"] is not None:
        detector = document.get("detector", model.metadata.detector)
        _configured(model, detector).save(options["write"])
        click.echo(f"{options['write']}: the model with these thresholds")
    if options["report"] is not None:
        from edgernn.report import write_report

        click.echo(f"{write_report(options['report'], document)}: the report")


def _configured(model: Model, detector: dict[str, Any]) -> Model:
    from converters.configure import configure

    return configure(model, None, detector)


def _with_normal_threshold(model: Model, recordings: Path, per_hour: float) -> Model:
    from edgernn.cli.configure import with_normal_threshold

    return _configured(model, with_normal_threshold(model, [None, None], recordings, per_hour))


def _evaluate(
    subject: Subject, recordings: list[Labelled], options: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    from edgernn.evaluation import document as made
    from edgernn.evaluation import event_document as event
    from edgernn.evaluation.forecasts import horizon_of
    from edgernn.evaluation.streams import Scene
    from edgernn.evaluation.subject import over_time

    test = _groups(recordings, options["test"])
    task = options["task"] or made.task_of(subject, test)
    head: dict[str, Any] = {"format": made.FORMAT, "task": task}
    if task == "clips":
        found = made.clips_document(subject, test, options["tail"], progress)
    elif task == "events":
        chosen_on = _chosen_on(recordings, test, options["choose_on"])
        scene = Scene(options["hours"], options["snr"], options["pause"], seed=options["seed"])
        settings = event.EventSettings(
            scene,
            options["keywords"],
            options["tolerance"],
            options["false_accepts"],
            tuple(_backgrounds(options["background"], subject.front_end)),
        )
        found = event.events_document(subject, test, chosen_on, settings, progress)
        # Words that are no keyword only have to be left alone: there is nothing to decide on them.
        known = [one for one in test if one.label in subject.labels]
        if len({one.label for one in known}) > 1:
            found = {**made.clips_document(subject, known, options["tail"], progress), **found}
    elif task == "frames":
        found = made.frames_document(subject, test, progress)
    elif task == "anomaly":
        found = made.anomaly_document(subject, test, options["after"], progress)
    else:
        horizon = horizon_of(subject.model, options["horizon"], options["season"], options["after"])
        found = made.forecast_document(subject, test, horizon, options["unit"], progress)
    progress("over time")
    return {**head, **found, **over_time(subject, test)}


def _groups(recordings: Sequence[Labelled], names: str | None) -> list[Labelled]:
    """The recordings of groups `a,b,c`; all, if none are named."""
    from edgernn.errors import InputError

    if names is None:
        return list(recordings)
    wanted = [name.strip() for name in names.split(",")]
    known = sorted({one.group for one in recordings})
    for name in wanted:
        if name not in known:
            raise InputError(f"there is no group '{name}'; the groups are {', '.join(known)}")
    return [one for one in recordings if one.group in wanted]


def _chosen_on(
    recordings: Sequence[Labelled], test: Sequence[Labelled], names: str | None
) -> list[Labelled]:
    """What thresholds are chosen on: groups that are not reported on."""
    from edgernn.errors import InputError

    if names is None:
        return []
    chosen = _groups(recordings, names)
    both = sorted({one.group for one in chosen} & {one.group for one in test})
    if both:
        raise InputError(
            f"thresholds would be chosen and reported on the same group '{both[0]}': name others "
            "with --choose-on and --test"
        )
    return chosen


def _backgrounds(folder: Path | None, front_end: FrontEnd) -> list[Labelled]:
    from edgernn.labelled import Labelled
    from edgernn.recordings import read_recordings

    if folder is None:
        return []
    return [
        Labelled(one.path.name, one.samples, front_end.rate, "background")
        for one in read_recordings(folder, front_end)
    ]


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr for each thing that is done, gone when all are."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bar:

        def begin(what: str) -> Callable[[int, int], None]:
            task = bar.add_task(what, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield begin
