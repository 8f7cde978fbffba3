"""Anomalies: which labelled windows were found, when, and how often the alarm was false."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn.report.figures import BLUE, GREEN, GRID, INK, RED, SOFT
from edgernn.report.numbers import clock, duration, number
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DAY = 86400.0


def section(material: Material) -> Section | None:
    """The windows as bars with their first alarm, and the false alarms."""
    found = material.evaluation.get("anomaly") or {}
    windows: list[dict[str, Any]] = found.get("windows") or []
    if not windows and found.get("false_alarms") is None:
        return None
    rows = [_row(i, window) for i, window in enumerate(windows, start=1)]
    tables = (
        Table(
            "Alarms",
            ("", "value"),
            [
                ("windows found", f"{sum(w['found'] for w in windows)} of {len(windows)}"),
                ("false alarms", number(found.get("false_alarms"))),
                ("months outside of windows", number(found.get("months"))),
                ("false alarms a month", number(found.get("false_alarms_per_month"))),
                ("threshold", number(found.get("threshold"))),
            ],
        ),
        Table("Windows", ("window", "from", "to", "first alarm", "after"), rows),
    )
    note = "A window is found if an alarm begins in it; an alarm that begins in none is false."
    plots = (_plot(windows),) if windows else ()
    return Section("anomalies", "Anomalies", note, plots, tables)


def _row(index: int, window: dict[str, Any]) -> tuple[str, ...]:
    alarm = window.get("first_alarm")
    after = None if alarm is None else alarm - window["start"]
    return (
        str(index),
        clock(window["start"], day=True),
        clock(window["end"], day=True),
        clock(alarm, day=True) if window["found"] else "missed",
        duration(after),
    )


def _plot(windows: list[dict[str, Any]]) -> Plot:
    hit = sum(window["found"] for window in windows)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, window in enumerate(windows):
            start, end = 0.0, (window["end"] - window["start"]) / 3600
            colour, text = (GREEN, "found") if window["found"] else (RED, "missed")
            axes.barh(i, end - start, 0.5, left=start, color=colour, alpha=0.4, lw=0)
            alarm = window.get("first_alarm")
            if alarm is not None:
                axes.plot([(alarm - window["start"]) / 3600], [i], "D", color=BLUE, mec=INK, ms=7)
            elif not window["found"]:
                axes.text(end / 2, i, text, ha="center", va="center", color=INK)
        names = [
            f"{i}" if is_narrow(figure) else f"{i}: {clock(w['start'], day=True)}"
            for i, w in enumerate(windows, start=1)
        ]
        axes.set_yticks(range(len(windows)), names)
        axes.set_ylim(len(windows) - 0.5, -0.5)
        axes.set_xlabel("hours since the window's start; diamond: first alarm", color=SOFT)
        axes.grid(axis="x", color=GRID)

    height = 1.1 + 0.4 * len(windows)
    alt = f"{len(windows)} labelled windows, {hit} of them found, with the first alarm in each."
    caption = "Each labelled window and its first alarm"
    return Plot("anomalies", caption, alt, draw, (7.4, height), (3.9, height))
