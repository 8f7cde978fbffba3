"""What `edgernn evaluate` prints: the evaluation document as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_DAYS_TOLD = 2 * 86400.0
"""Times beyond this are told in days."""

_CURVE = 12
"""Points of a curve that are told."""


def show(document: dict[str, Any]) -> None:
    """Print every section that the document has."""
    console = Console(highlight=False, markup=False, emoji=False)
    parts = {
        "clips": _clips,
        "frames": _frames,
        "events": _events,
        "anomaly": _anomaly,
        "forecast": _forecast,
    }
    for name, make in parts.items():
        if name in document:
            for table in make(document):
                title, table.title = table.title, None  # which would wrap at the table's width
                console.print(title, style="italic", soft_wrap=True)
                console.print(table)
    for line in _sentences(document):
        console.print(line, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def percent(value: float | None) -> str:
    """A rate."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def _clips(document: dict[str, Any]) -> list[Table]:
    clips = document["clips"]
    found = {
        f"{run}, {state}": one for run, states in clips.items() for state, one in states.items()
    }
    count = next(iter(found.values()))["count"]
    return [
        _accuracies(f"Accuracy of {count:,} clips", found),
        _confusion(document["labels"], clips["quantized"]["reset1"]),
    ]


def _accuracies(title: str, found: dict[str, Any]) -> Table:
    """A column for each way of judging, a row for each group."""
    table = _table(title, "", *found)
    rows = {"all": [percent(one["accuracy"]) for one in found.values()]}
    if all("macro_f1" in one for one in found.values()):
        rows["macro-F1"] = [percent(one["macro_f1"]) for one in found.values()]
    groups = sorted({group for one in found.values() for group in one["groups"]})
    if len(groups) > 1:
        for group in groups:
            rows[group] = [percent(one["groups"].get(group)) for one in found.values()]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _confusion(labels: list[str], one: dict[str, Any]) -> Table:
    table = _table("Quantized: what was true (rows), and what was decided", "", *labels)
    for label, row in zip(labels, one["confusion"], strict=True):
        if any(row):
            table.add_row(label, *(str(n) if n else "" for n in row))
    return table


def _frames(document: dict[str, Any]) -> list[Table]:
    found = document["frames"]
    quantized = found["quantized"]
    return [
        _accuracies(f"Accuracy of {quantized['count']:,} predictions", found),
        _confusion(document["labels"], quantized),
    ]


def _events(document: dict[str, Any]) -> list[Table]:
    events = document["events"]
    hours = f"{events['hours']:.3g} hour{'' if events['hours'] == 1 else 's'}"
    words = f"{events['words']:,} words"
    table = _table(
        f"{hours} of {events['reported_on']}, {words}: missed, and falsely accepted",
        "",
        "threshold",
        "missed",
        "rate",
        "false",
        "an hour",
        "delay",
        "95 %",
    )
    for name, one in events["keywords"].items():
        point, delay = one["operating_point"], one["delay"]
        waits = ("-" if delay[q] is None else f"{delay[q]:.2f} s" for q in ("median", "p95"))
        table.add_row(
            name,
            f"{point['threshold']:.4f}",
            f"{point['misses']:,} / {point['keywords']:,}",
            percent(point["false_reject_rate"]),
            f"{point['false_accepts']:,}",
            f"{point['false_accepts_per_hour']:.2f}",
            *waits,
        )
    tables = [table]
    if len(events["keywords"]) == 1:
        ((name, one),) = events["keywords"].items()
        tables.append(_curve(name, one["curve"]))
    return tables


def _curve(name: str, points: list[dict[str, Any]]) -> Table:
    table = _table(
        f"'{name}' at other thresholds", "threshold", "false rejects", "false accepts per hour"
    )
    for point in points[:: -(-len(points) // _CURVE)]:
        cells = (percent(point["false_reject_rate"]), f"{point['false_accepts_per_hour']:.2f}")
        table.add_row(f"{point['threshold']:.4f}", *cells)
    return table


def _anomaly(document: dict[str, Any]) -> list[Table]:
    table = _table("Labelled windows", "from", "to", "first alarm")
    for window in document["anomaly"]["windows"]:
        found = _moment(window["first_alarm"]) if window["found"] else "missed"
        table.add_row(_moment(window["start"]), _moment(window["end"]), found)
    return [table]


def _moment(seconds: float) -> str:
    return f"day {seconds / 86400:.2f}" if seconds > _DAYS_TOLD else f"{seconds:,.1f} s"


def _forecast(document: dict[str, Any]) -> list[Table]:
    found = document["forecast"]
    unit = f", {found['unit']}" if found["unit"] else ""
    ahead = f"{found['horizon_seconds']:,.6g} s ahead"
    table = _table(f"{found['count']:,} forecasts, {ahead}{unit}", "", "mean |error|", "RMS error")
    for name in found["mae"]:
        table.add_row(name, _number(found["mae"][name]), _number(found["rmse"][name]))
    return [table]


def _sentences(document: dict[str, Any]) -> list[str]:
    lines = []
    if document.get("ignored_clips"):
        lines.append(
            f"{document['ignored_clips']:,} clips have a label that the detector ignores; they are "
            "left out."
        )
    events = document.get("events")
    if events:
        what = (
            "The thresholds are the model's own."
            if events["chosen_on"] == "model"
            else f"The thresholds were chosen on {events['chosen_on']}."
        )
        lines.append(what)
    anomaly = document.get("anomaly")
    if anomaly:
        windows = anomaly["windows"]
        rate = _number(anomaly["false_alarms_per_month"])
        lines.append(
            f"{sum(w['found'] for w in windows)} of {len(windows)} windows found, "
            f"{anomaly['false_alarms']:,} false alarms in {anomaly['months']:.3g} months: {rate} a "
            f"month, at a threshold of {anomaly['threshold']:.4g}."
        )
    if "drift" in document:
        drift = document["drift"]
        lines.append(
            f"Quantized against float over {drift['steps'][-1]:,} steps without a reset: RMS "
            f"{drift['rms_percent'][-1]:.2f} % of range at the end, "
            f"{max(drift['rms_percent']):.2f} % at worst."
        )
    if "warmup" in document:
        settled = document["warmup"]["settled"]
        lines.append(
            f"A reset is felt for {settled:,} steps."
            if settled is not None
            else f"A reset is felt for longer than {document['warmup']['steps'][-1]:,} steps."
        )
    return lines
