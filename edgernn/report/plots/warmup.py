"""Warm-up: how long a stream feels that it began in the middle of things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn.report.figures import BLUE, GRID, INK, SOFT
from edgernn.report.numbers import UNKNOWN, number
from edgernn.report.section import Material, Plot, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTLED = 1.0
"""Percent below which a difference is no longer felt."""


def section(material: Material) -> Section | None:
    """The difference over the first steps, and the step from which on it is small."""
    found = material.evaluation.get("warmup") or {}
    pairs = zip(found.get("steps", []), found.get("difference_percent", []), strict=True)
    points = [(step, value) for step, value in pairs if value is not None]
    if not points:
        return None
    settled = _settled(found, points)
    rows = [
        (f"below {SETTLED:g} % from step", settled),
        (f"difference at step {number(points[0][0])}", f"{number(points[0][1])} %"),
        (f"difference at step {number(points[-1][0])}", f"{number(points[-1][1])} %"),
    ]
    note = (
        "A stream that begins in the middle of a recording, against one that heard all of it: the "
        "mean difference of their outputs, in percent of the outputs' range."
    )
    table = Table("Warm-up", ("", "value"), rows)
    return Section("warmup", "Warm-up", note, (_plot(points, settled),), (table,))


def _settled(found: dict[str, Any], points: list[tuple[float, float]]) -> str:
    """As it was measured, or from the points that are drawn."""
    if found.get("settled") is not None:
        return number(found["settled"] + 1)
    above = [i for i, (_, value) in enumerate(points) if value > SETTLED]
    after = above[-1] + 1 if above else 0
    return number(points[after][0]) if after < len(points) else f"{UNKNOWN} (not within these)"


def _plot(points: list[tuple[float, float]], settled: str) -> Plot:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([p[0] for p in points], [p[1] for p in points], color=BLUE)
        axes.axhline(SETTLED, color=INK, lw=0.9, ls=":")
        axes.annotate(
            f"{SETTLED:g} %", (1, SETTLED), xycoords=("axes fraction", "data"), ha="right",
            va="bottom", fontsize=8.5,
        )  # fmt: skip
        if points[0][0] > 0 and points[-1][0] > 30 * points[0][0]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("steps since the start", color=SOFT)
        axes.set_ylabel("difference, %", color=SOFT)
        axes.grid(color=GRID)

    alt = (
        f"Difference from a stream that heard everything. Below {SETTLED:g} % from step {settled}."
    )
    return Plot("warmup", "Difference over the first steps", alt, draw, (7.4, 2.8), (3.9, 2.6))
