"""Events: false rejects against false accepts an hour, the operating point, and the delay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn.report.figures import DASHES, GRID, INK, MARKERS, SERIES, SOFT
from edgernn.report.numbers import UNKNOWN, duration, number, percent, shorten
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6
"""Keywords in one plot; the table has all."""

REACH = 60.0
"""False accepts an hour up to which a curve is drawn: nobody would use what has more."""

UPRIGHT = 3
"""Keywords that have a column of the table each; more of them have a row."""


def section(material: Material) -> Section | None:
    """The curve, and a table of the operating points."""
    events = material.evaluation.get("events") or {}
    keywords: dict[str, Any] = {k: v for k, v in (events.get("keywords") or {}).items() if v}
    if not keywords:
        return None
    rows = [_row(name, found) for name, found in keywords.items()]
    columns: tuple[str, ...] = (
        "keyword", "threshold", "false rejects", "missed", "false accepts an hour",
        "false accepts", "delay, median", "delay, 95 %",
    )  # fmt: skip
    if len(rows) <= UPRIGHT:  # few keywords: one column each, which fits a phone
        columns, *rows = zip(columns, *rows, strict=True)
    drawn = {name: found for name, found in keywords.items() if _points(found)}
    plots = (_plot(dict(list(drawn.items())[:SHOWN])),) if drawn else ()
    table = Table("Operating points", columns, rows)
    return Section("events", "False rejects and false accepts", _note(events), plots, (table,))


def _note(events: dict[str, Any]) -> str:
    stream = []
    if events.get("hours") is not None:
        stream.append(duration(3600 * events["hours"]))
    if events.get("words") is not None:
        stream.append(f"{events['words']:,} words")
    note = f"From one unbroken stream: {', '.join(stream)}. " if stream else ""
    if events.get("chosen_on") == "model":
        note += "Thresholds are those of the model. "
    elif events.get("chosen_on") and events.get("reported_on"):
        note += (
            f"The threshold was chosen on “{events['chosen_on']}”; all numbers are of "
            f"“{events['reported_on']}”. "
        )
    return note + (
        "The delay is from the end of a word to its event; below 0 it came before the end."
    )


def _row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    point, delay = found.get("operating_point") or {}, found.get("delay") or {}
    missed = UNKNOWN
    if point.get("misses") is not None:
        missed = f"{point['misses']:,}"
        if point.get("keywords") is not None:
            missed += f" of {point['keywords']:,}"
    return (
        name,
        number(point.get("threshold")),
        percent(point.get("false_reject_rate")),
        missed,
        number(point.get("false_accepts_per_hour")),
        number(point.get("false_accepts")),
        duration(delay.get("median")),
        duration(delay.get("p95")),
    )


def _points(found: dict[str, Any]) -> list[tuple[float, float]]:
    """False accepts an hour and false rejects in percent, by threshold.

    In that order neither need be monotone: a false event silences the trigger for a while.
    """
    points = [
        (p.get("threshold") or 0.0, p["false_accepts_per_hour"], 100 * p["false_reject_rate"])
        for p in found.get("curve") or []
        if p.get("false_accepts_per_hour") is not None and p.get("false_reject_rate") is not None
    ]
    return [(accepts, rejects) for _, accepts, rejects in sorted(points)]


def _plot(keywords: dict[str, Any]) -> Plot:
    told = []
    for name, found in keywords.items():
        point = found.get("operating_point") or {}
        told.append(
            f"{name}: {percent(point.get('false_reject_rate'))} rejected at "
            f"{number(point.get('false_accepts_per_hour'))} false accepts an hour"
        )
    alt = f"False rejects against false accepts an hour. Operating points: {'; '.join(told)}."

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        used = 0.0
        for i, (name, found) in enumerate(keywords.items()):
            points = _points(found)
            axes.plot(
                [p[0] for p in points],
                [p[1] for p in points],
                color=SERIES[i],
                ls=DASHES[i],
                marker=".",
                ms=3.5,
                label=shorten(name, 20),
            )
            point = found.get("operating_point") or {}
            x, y = point.get("false_accepts_per_hour"), point.get("false_reject_rate")
            if x is not None and y is not None:
                used = max(used, x)
                label = "operating point" if len(keywords) == 1 else f"{shorten(name, 16)}, in use"
                axes.plot(
                    [x], [100 * y], MARKERS[i], color=SERIES[i], ms=9, mec=INK, mew=1.2, zorder=5,
                    label=label,
                )  # fmt: skip
        # Both axes begin at 0, which a logarithm has not: linear near 0, then logarithmic.
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.8)
        axes.set_xlim(-0.03, min(axes.get_xlim()[1], max(REACH, 2 * used)))
        axes.set_ylim(bottom=-1, top=max(10.0, min(101.0, axes.get_ylim()[1])))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid()
        axes.axvline(1.0, color=GRID, lw=1.5, zorder=0)
        axes.set_xlabel("false accepts an hour", color=SOFT)
        axes.set_ylabel("false rejects, %", color=SOFT)
        columns = 1 if is_narrow(figure) else 2
        figure.legend(loc="outside upper center", ncols=columns)

    extra = 0.2 * len(keywords)
    caption = "False rejects against false accepts an hour; each point is a threshold"
    return Plot("events", caption, alt, draw, (7.4, 3.6 + extra / 2), (3.9, 3.1 + 2 * extra))
