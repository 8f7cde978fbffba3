"""Recipes for sensors on people and weeks that they never saw, beside what others would do.

Wrist activity: frames of people who were not trained on, float and quantized as it streams, beside
scikit-learn on statistics of windows, as long as is best for people that it was not fitted to among
those trained on. Machine temperature: labelled anomalies found and false alarms a month, with a
threshold from the first week; and readings an hour ahead, beside persistence and the same time
yesterday. Each fold and seed is told, and the JSON written, as soon as it is known.

    python benchmarks/sensors.py --data ../shared/data [--folds 3] [--only activity] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from converters.quiet import quiet
from edgernn.errors import EdgernnError

WEEK = 7 * 86400.0
TASKS = ("activity", "anomaly", "forecast")
WINDOWS = (25, 50, 100, 200)
"""Frames of a baseline: 1, 2, 4 and 8 seconds."""
LATER = 12
"""Frames behind the present that the second kind of baselines sees: half a second."""

Result = dict[str, Any]

Told = Callable[[int, int, str], None]


def trained(recipe: str, data: Path, folder: Path, told: Told, **flags: Any) -> tuple[Any, Any]:
    """What `edgernn train` makes of these flags, and the recordings."""
    from importlib import import_module

    from converters.training.data import read_data
    from converters.training.settings import resolve

    flags = {"data": str(data), "output": str(folder), **flags}
    settings = resolve(recipe, None, flags)
    folder.mkdir(parents=True, exist_ok=True)
    recordings = read_data(settings)
    module = import_module(f"converters.training.recipes.{recipe}")
    with quiet():
        return module.train(settings, recordings, told), recordings


def part_of(told: Told, number: int, count: int) -> Told:
    """Progress of one of several trainings, as that of all."""
    return lambda done, total, words: told(number * total + done, count * total, words)


def float_model(made: Any, calibration: Sequence[Any]) -> Any:
    """The same network, converted without quantization."""
    from converters.conversion import convert

    with quiet():
        return convert(made.model, calibration, precision="float32", labels=made.converted.labels)


def activity(
    data: Path, folder: Path, told: Told, folds: int, epochs: int | None
) -> Iterator[Result]:
    """Every fold leaves out other people; each of them is judged once if all folds are run."""
    from converters.training.recipes.activity import example
    from edgernn import frontends
    from edgernn.evaluation import frames
    from edgernn.evaluation.runs import FloatRun, QuantizedRun, fastest
    from edgernn.evaluation.tally import Tally

    people = sorted({path.name[:3] for path in data.glob("s*_sw.csv")})
    order = np.random.default_rng(0).permutation(people).tolist()
    totals: dict[str, Tally] = {}
    lengths: dict[str, list[float]] = {}
    for fold in range(folds):
        test = sorted(order[fold :: max(2, folds)])
        made, recordings = trained(
            "activity",
            data,
            folder / f"fold{fold}",
            part_of(told, fold, folds),
            split={"test": test},
            fit={"epochs": epochs} if epochs else {},
        )
        model = made.converted
        front_end, names = frontends.read(model.metadata.front_end), model.labels
        judged = [one for one in recordings if one.group in test]
        learned = [one for one in recordings if one.group not in test]
        known = [(one.group, example(one, front_end, names)) for one in learned]
        exact = float_model(made, [one.frames for _, one in known[:8]])
        runs = {
            "float": FloatRun(exact, model, "auto"),
            "quantized": QuantizedRun(model, fastest(model)),
        }
        found = {name: frames.judge(run, model, judged) for name, run in runs.items()}
        unknown = [(one.group, example(one, front_end, names)) for one in judged]
        for name, (tally, window) in windowed_baselines(known, unknown, names).items():
            found[name] = tally
            lengths.setdefault(name, []).append(window / front_end.frame_rate)
        for name, tally in found.items():
            total = totals.setdefault(name, Tally(names))
            for group, counts in tally._counts.items():
                total._counts[group] = total._counts.get(group, 0) + counts
        yield {
            "folds": fold + 1,
            "people": len(next(iter(totals.values())).to_dict(True)["groups"]),
            "parameters": made.document["parameters"],
            "bytes": len(model.data),
            "precision": made.document["precision"],
            "baseline_seconds": lengths,
            "frames": {name: tally.to_dict(macro_f1=True) for name, tally in totals.items()},
        }


People = Sequence[tuple[str, Any]]
"""Who, and an `Example` of what they did."""


def windowed_baselines(
    known: People, unknown: People, names: Sequence[str]
) -> dict[str, tuple[Any, int]]:
    """What classifiers say of the last seconds, and of as long a time that ends a little later.

    With the frames of each one's window: the best of last seconds for a third of the known people.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    makers: dict[str, Callable[[], Any]] = {
        "random forest": lambda: RandomForestClassifier(
            200, class_weight="balanced", min_samples_leaf=2, random_state=0, n_jobs=1
        ),
        "gradient boosting": lambda: HistGradientBoostingClassifier(
            class_weight="balanced", random_state=0
        ),
    }
    people = sorted({group for group, _ in known})
    fitted_to = [one for one in known if people.index(one[0]) % 3]
    chosen_by = [one for one in known if not people.index(one[0]) % 3]
    found = {}
    for name, make in makers.items():
        scores = {
            window: baseline(make(), fitted_to, chosen_by, names, window, 0, every=4).macro_f1
            for window in WINDOWS
        }
        window = max(WINDOWS, key=scores.__getitem__)
        for late, words in ((0, ""), (LATER, ", half a second later")):
            tally = baseline(make(), known, unknown, names, window, late, every=2)
            found[name + words] = (tally, window)
    return found


def baseline(
    classifier: Any,
    known: People,
    unknown: People,
    names: Sequence[str],
    window: int,
    late: int,
    every: int,
) -> Any:
    """What a classifier that is fitted to every so many frames of the known says of the others."""
    from edgernn.evaluation.tally import Tally

    x = np.concatenate([windows(one.frames, window, late)[::every] for _, one in known])
    y = np.concatenate([one.truth[::every] for _, one in known])
    fitted = classifier.fit(x[y >= 0], y[y >= 0])
    tally = Tally(names)
    for group, one in unknown:
        said = fitted.predict(windows(one.frames, window, late))
        tally.add(group, one.truth[one.truth >= 0], said[one.truth >= 0])
    return tally


def windows(frames: Any, window: int, late: int) -> Any:
    """Statistics `(n, 5 F)` of the window that ends with each frame, or `late` frames after it.

    Mean, deviation, extremes and mean change.
    """
    padded = np.pad(frames, [(window - 1 - late, late), (0, 0)], "edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    change = np.abs(np.diff(views, axis=2)).mean(2)
    return np.concatenate([views.mean(2), views.std(2), views.min(2), views.max(2), change], axis=1)


def anomaly(
    data: Path, folder: Path, told: Told, seeds: int, epochs: int | None
) -> Iterator[Result]:
    """Learned from the first week, threshold from the same; judged on all that comes later."""
    from edgernn.evaluation import anomalies
    from edgernn.evaluation.runs import fastest
    from edgernn.labelled import read_labelled

    table = data / "machine_temperature.csv"
    (whole,) = read_labelled(table, front_end={"kind": "sensor"})
    share = WEEK / whole.seconds
    found = []
    for seed in range(seeds):
        fit = {"seed": seed, **({"epochs": epochs} if epochs else {})}
        made, (recording,) = trained(
            "anomaly",
            table,
            folder / f"anomaly{seed}",
            part_of(told, seed, seeds),
            split={"test": 1 - share, "validation": share / 5},
            fit=fit,
        )
        model = made.converted
        alarms = anomalies.alarms(model, recording, fastest(model))
        result = anomalies.judge(alarms, recording.spans, recording.seconds, WEEK)
        threshold = float(model.metadata.detector["threshold"])
        found.append({"seed": seed, **anomalies.to_dict([result], threshold)})
        yield {"learned_days": 7, "runs": found, "bytes": len(model.data)}


def forecast(
    data: Path, folder: Path, told: Told, seeds: int, epochs: int | None
) -> Iterator[Result]:
    """Trained on the first 60 %, the last 30 % judged."""
    from converters.training.recipes import series
    from edgernn import frontends
    from edgernn.evaluation import forecasts
    from edgernn.evaluation.runs import FloatRun, QuantizedRun, fastest

    table = data / "machine_temperature.csv"
    found = []
    for seed in range(seeds):
        fit = {"seed": seed, **({"epochs": epochs} if epochs else {})}
        made, recordings = trained(
            "forecast", table, folder / f"forecast{seed}", part_of(told, seed, seeds), fit=fit
        )
        model = made.converted
        front_end = frontends.read(model.metadata.front_end)
        exact = float_model(made, [series.frames_of(front_end, recordings)[0][:2000]])
        horizon = forecasts.Horizon((0,), made.document["horizon_seconds"], after=0.7)
        runs = [QuantizedRun(model, fastest(model)), FloatRun(exact, model, "auto")]
        errors = forecasts.errors(runs, front_end, recordings, horizon)
        found.append({"seed": seed, **forecasts.to_dict(errors, horizon, "deg F")})
        yield {"runs": found, "bytes": len(model.data)}


def show(found: Result, console: Console) -> None:
    if "activity" in found:
        one = found["activity"]
        table = Table(
            title=f"Wrist activity, {one['people']} people never seen "
            f"({one['parameters']:,} parameters, {one['precision']}, {one['bytes']:,} bytes)"
        )
        for column in ("frames by", "accuracy %", "macro-F1 %", "worst person %"):
            table.add_column(column, justify="left" if column == "frames by" else "right")
        for name, result in one["frames"].items():
            worst = min(_accuracy(group) for group in result["groups"].values())
            numbers = (result["accuracy"], result["macro_f1"], worst)
            seconds = one["baseline_seconds"].get(name, [])
            words = f" ({', '.join(f'{s:.0f}' for s in seconds)} s)" if seconds else ""
            table.add_row(name + words, *(f"{100 * number:.1f}" for number in numbers))
        console.print(table)
    if "anomaly" in found:
        table = Table(title="Machine temperature: learned from the first 7 days, judged after them")
        for column in ("seed", "threshold", "found", "hours to each alarm", "false", "a month"):
            table.add_column(column)
        for run in found["anomaly"]["runs"]:
            late = [
                "missed"
                if w["first_alarm"] is None
                else f"{(w['first_alarm'] - w['start']) / 3600:.1f}"
                for w in run["windows"]
            ]
            hits = sum(w["found"] for w in run["windows"])
            table.add_row(
                str(run["seed"]),
                f"{run['threshold']:.2f}",
                f"{hits} of {len(late)}",
                ", ".join(late),
                str(run["false_alarms"]),
                f"{run['false_alarms_per_month']:.2f}",
            )
        console.print(table)
    if "forecast" in found:
        runs = found["forecast"]["runs"]
        table = Table(title=f"Temperature an hour ahead, last 30 % ({runs[0]['count']:,} readings)")
        for column in ("by", "seed", f"mean error, {runs[0]['unit']}", "root mean square"):
            table.add_column(column, justify="left" if column == "by" else "right")
        for run in runs:
            for name in ("quantized", "float"):
                _add(table, name, str(run["seed"]), run)
        for name in ("persistence", "seasonal"):
            _add(table, name, "", runs[0])
        console.print(table)


def _add(table: Table, name: str, seed: str, run: Result) -> None:
    table.add_row(name, seed, f"{run['mae'][name]:.3f}", f"{run['rmse'][name]:.3f}")


def _accuracy(group: Any) -> float:
    return float(group["accuracy"] if isinstance(group, dict) else group)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=TASKS, action="append")
    parser.add_argument("--folds", type=int, default=3, help="of the people; each trains once")
    parser.add_argument("--seeds", type=int, help="5 of the anomaly, 3 of the forecast recipe")
    parser.add_argument("--epochs", type=int, help="fewer, for a quick look")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: Result = {}
    motion, machine = given.data / "activity", given.data / "machine-temperature"
    console = Console()
    try:
        with tempfile.TemporaryDirectory() as name, Progress(console=Console(stderr=True)) as bar:
            folder = Path(name)
            for task in given.only or TASKS:
                row = bar.add_task(task, total=None)

                def told(done: int, total: int, words: str, row: Any = row) -> None:
                    bar.update(row, completed=done, total=total)

                if task == "activity":
                    results = activity(motion, folder, told, given.folds, given.epochs)
                elif task == "anomaly":
                    results = anomaly(machine, folder, told, given.seeds or 5, given.epochs)
                else:
                    results = forecast(machine, folder, told, given.seeds or 3, given.epochs)
                for result in results:
                    found[task] = result
                    show({task: result}, console)
                    if given.json:
                        given.json.write_text(json.dumps(found, indent=2))
    except EdgernnError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
