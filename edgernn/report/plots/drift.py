"""Drift: how far the quantized stream is from float, the longer its state is carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgernn.report.figures import BLUE, GRID, SOFT
from edgernn.report.numbers import number
from edgernn.report.section import Material, Plot, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(material: Material) -> Section | None:
    """The difference over time, and its beginning, end and highest point as text."""
    found = material.evaluation.get("drift") or {}
    points = [
        (step, value)
        for step, value in zip(found.get("steps", []), found.get("rms_percent", []), strict=True)
        if value is not None
    ]
    if not points:
        return None
    highest = max(points, key=lambda p: p[1])
    rows = [
        (what, f"{number(step)}", f"{number(value)} %")
        for what, (step, value) in (
            ("first", points[0]),
            ("highest", highest),
            ("last", points[-1]),
        )
    ]
    note = (
        "RMS difference of the quantized stream's outputs from float's, in percent of float's "
        "range, over a stream that is never reset. A line that does not rise can run on for ever."
    )
    table = Table("Drift", ("", "until step", "difference"), rows)
    return Section("drift", "Drift from float", note, (_plot(points),), (table,))


def _plot(points: list[tuple[float, float]]) -> Plot:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-", ms=3, color=BLUE)
        axes.set_ylim(0, 1.15 * max(p[1] for p in points) or 1)
        axes.xaxis.set_major_formatter(lambda value, _: number(int(value)))
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("step", color=SOFT)
        axes.set_ylabel("RMS difference, %", color=SOFT)
        axes.grid(color=GRID)

    alt = (
        f"RMS difference from float over {number(points[-1][0])} steps: {number(points[0][1])} % "
        f"at first, {number(points[-1][1])} % at last."
    )
    return Plot("drift", "RMS difference from float over time", alt, draw, (7.4, 2.8), (3.9, 2.6))
