"""Recipes for sensors on people and weeks that they never saw, beside what others would do.

Wrist activity: frames of people who were not trained on, float and quantized as it streams, beside
scikit-learn on statistics of windows. Machine temperature: labelled anomalies found and false
alarms a month, with a threshold from the first week; and readings an hour ahead, beside
persistence and the same time yesterday.

    python benchmarks/sensors.py --data ../shared/data [--folds 3] [--only activity] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
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
BASELINE_WINDOW = 25
"""Frames: a second, the best of 1, 2 and 3 seconds."""

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
) -> dict[str, Any]:
    """Every fold leaves out other people; each of them is judged once if all folds are run."""
    from converters.training.recipes.activity import example
    from edgernn import frontends
    from edgernn.evaluation import frames
    from edgernn.evaluation.runs import FloatRun, QuantizedRun, fastest
    from edgernn.evaluation.tally import Tally

    people = sorted({path.name[:3] for path in data.glob("s*_sw.csv")})
    order = np.random.default_rng(0).permutation(people).tolist()
    totals: dict[str, Tally] = {}
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
        known = [example(one, front_end, names) for one in learned]
        exact = float_model(made, [one.frames for one in known[:8]])
        runs = {
            "float": FloatRun(exact, model, "auto"),
            "quantized": QuantizedRun(model, fastest(model)),
        }
        found = {name: frames.judge(run, model, judged) for name, run in runs.items()}
        unknown = [(one.group, example(one, front_end, names)) for one in judged]
        found |= windowed_baselines(known, unknown, names)
        for name, tally in found.items():
            total = totals.setdefault(name, Tally(names))
            for group, counts in tally._counts.items():
                total._counts[group] = total._counts.get(group, 0) + counts
    return {
        "people": len(next(iter(totals.values())).to_dict(True)["groups"]),
        "parameters": made.document["parameters"],
        "bytes": len(model.data),
        "precision": made.document["precision"],
        "frames": {name: tally.to_dict(macro_f1=True) for name, tally in totals.items()},
    }


def windowed_baselines(
    known: Sequence[Any], unknown: Sequence[tuple[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Mean, deviation, extremes and mean change of the last second; and of a second around."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    from edgernn.evaluation.tally import Tally

    makers = {
        "random forest": lambda: RandomForestClassifier(
            200, class_weight="balanced", min_samples_leaf=2, random_state=0
        ),
        "gradient boosting": lambda: HistGradientBoostingClassifier(
            class_weight="balanced", random_state=0
        ),
    }
    found = {}
    for late in (0, BASELINE_WINDOW // 2):
        x = np.concatenate([windows(one.frames, late)[::2] for one in known])
        y = np.concatenate([one.truth[::2] for one in known])
        for name, make in makers.items():
            fitted = make().fit(x[y >= 0], y[y >= 0])
            tally = Tally(names)
            for group, one in unknown:
                said = fitted.predict(windows(one.frames, late))
                tally.add(group, one.truth[one.truth >= 0], said[one.truth >= 0])
            found[name + (", half a second later" if late else "")] = tally
    return found


def windows(frames: Any, late: int) -> Any:
    """Statistics `(n, 5 F)` of the window that ends with each frame, or `late` frames after it."""
    padded = np.pad(frames, [(BASELINE_WINDOW - 1 - late, late), (0, 0)], "edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, BASELINE_WINDOW, axis=0)
    change = np.abs(np.diff(views, axis=2)).mean(2)
    return np.concatenate([views.mean(2), views.std(2), views.min(2), views.max(2), change], axis=1)


def anomaly(data: Path, folder: Path, told: Told, seeds: int, epochs: int | None) -> dict[str, Any]:
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
    return {"learned_days": 7, "runs": found, "bytes": len(model.data)}


def forecast(data: Path, folder: Path, told: Told, epochs: int | None) -> dict[str, Any]:
    """Trained on the first 60 %, the last 30 % judged."""
    from converters.training.recipes import series
    from edgernn import frontends
    from edgernn.evaluation import forecasts
    from edgernn.evaluation.runs import FloatRun, QuantizedRun, fastest

    table = data / "machine_temperature.csv"
    fit = {"epochs": epochs} if epochs else {}
    made, recordings = trained("forecast", table, folder / "forecast", told, fit=fit)
    model = made.converted
    front_end = frontends.read(model.metadata.front_end)
    exact = float_model(made, [series.frames_of(front_end, recordings)[0][:2000]])
    horizon = forecasts.Horizon((0,), made.document["horizon_seconds"], after=0.7)
    runs = [QuantizedRun(model, fastest(model)), FloatRun(exact, model, "auto")]
    errors = forecasts.errors(runs, front_end, recordings, horizon)
    return {**forecasts.to_dict(errors, horizon, "deg F"), "bytes": len(model.data)}


def show(found: dict[str, Any], console: Console) -> None:
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
            table.add_row(name, *(f"{100 * number:.1f}" for number in numbers))
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
        one = found["forecast"]
        table = Table(title=f"Temperature an hour ahead, last 30 % ({one['count']:,} readings)")
        for column in ("by", f"mean error, {one['unit']}", "root mean square"):
            table.add_column(column, justify="left" if column == "by" else "right")
        for name in one["mae"]:
            table.add_row(name, f"{one['mae'][name]:.3f}", f"{one['rmse'][name]:.3f}")
        console.print(table)


def _accuracy(group: Any) -> float:
    return float(group["accuracy"] if isinstance(group, dict) else group)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=TASKS, action="append")
    parser.add_argument("--folds", type=int, default=3, help="of the people; each trains once")
    parser.add_argument("--seeds", type=int, default=3, help="of the anomaly recipe")
    parser.add_argument("--epochs", type=int, help="fewer, for a quick look")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory() as name, Progress(console=Console(stderr=True)) as bar:
            folder = Path(name)
            for task in given.only or TASKS:
                row = bar.add_task(task, total=None)

                def told(done: int, total: int, words: str, row: Any = row) -> None:
                    bar.update(row, completed=done, total=total)

                if task == "activity":
                    data = given.data / "activity"
                    found[task] = activity(data, folder, told, given.folds, given.epochs)
                elif task == "anomaly":
                    data = given.data / "machine-temperature"
                    found[task] = anomaly(data, folder, told, given.seeds, given.epochs)
                else:
                    data = given.data / "machine-temperature"
                    found[task] = forecast(data, folder, told, given.epochs)
    except EdgernnError as error:
        sys.exit(f"error: {error}")
    show(found, Console())
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
