"""Confusion: what was taken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgernn.report.figures import BLUE, GRID, INK, SOFT
from edgernn.report.numbers import UNKNOWN, percent, shorten
from edgernn.report.plots.accuracy import Way, ways
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Matrix = list[list[int]]


def section(material: Material) -> Section | None:
    """The matrix of the first way that has one: that of the device."""
    for way in ways(material):
        if way.found.get("confusion"):
            return _section(way, material.labels)
    return None


def _section(way: Way, labels: list[str]) -> Section:
    matrix: Matrix = way.found["confusion"]
    # Labels that never were true nor decided on (ignored ones) would be empty rows.
    kept = [i for i, row in enumerate(matrix) if any(row) or any(r[i] for r in matrix)]
    names = [labels[i] if labels else str(i) for i in kept]
    matrix = [[matrix[i][j] for j in kept] for i in kept]
    note = f"Rows are what was true, columns what the model decided ({way.name})."
    undecided = way.found.get("undecided")
    if undecided:
        note += f" {undecided:,} had no decision at all; they are in no column."
    if not kept:
        return Section("confusion", "Confusion", f"{note} Nothing was decided on.")
    return Section(
        "confusion",
        "Confusion",
        note,
        (_plot(matrix, names),),
        (_summary(matrix, names), _whole(matrix, names)),
    )


def _summary(matrix: Matrix, names: list[str]) -> Table:
    rows = []
    for i, name in enumerate(names):
        total, decided = sum(matrix[i]), sum(row[i] for row in matrix)
        wrong = max((j for j in range(len(names)) if j != i), key=lambda j: matrix[i][j], default=i)
        often = matrix[i][wrong] if wrong != i else 0
        rows.append(
            (
                name,
                percent(matrix[i][i] / total if total else None),
                percent(matrix[i][i] / decided if decided else None),
                f"{total:,}",
                f"{names[wrong]} ({often:,})" if often else UNKNOWN,
            )
        )
    columns = ("label", "found", "right when decided", "of", "most often taken for")
    return Table("Each label", columns, rows)


def _whole(matrix: Matrix, names: list[str]) -> Table:
    rows = [
        (name, *(f"{value:,}" for value in row)) for name, row in zip(names, matrix, strict=True)
    ]
    return Table("All counts: true by row, decided by column", ("", *names), rows, folded=True)


def _plot(matrix: Matrix, names: list[str]) -> Plot:
    count = len(names)
    worst = max(
        ((matrix[i][j], names[i], names[j]) for i in range(count) for j in range(count) if i != j),
        default=(0, "", ""),
    )
    alt = f"Confusion matrix of {count} labels. "
    alt += (
        f"Most often mistaken: {worst[1]} for {worst[2]}, {worst[0]:,} times."
        if worst[0]
        else "There is no mistake in it."
    )

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.subplots()
        small = is_narrow(figure)
        font = (7.0 if small else 9.0) * min(1.0, 11 / count)
        for i, row in enumerate(matrix):
            total = max(1, sum(row))
            for j, value in enumerate(row):
                share = value / total
                # A colour over the page's own: readable text in light and dark.
                shade = 0.72 * share**0.6
                axes.add_patch(
                    Rectangle((j - 0.5, i - 0.5), 1, 1, fc=BLUE, alpha=shade, lw=0, zorder=1)
                )
                if value and font >= 4:
                    weight = "bold" if i == j else "normal"
                    text = f"{value:,}" if count <= 12 or value < 1000 else f"{value / 1000:.0f}k"
                    axes.text(
                        j,
                        i,
                        text,
                        ha="center",
                        va="center",
                        fontsize=font,
                        weight=weight,
                        color=INK,
                    )
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_aspect("equal")
        length = 10 if small else 16
        ticks = [shorten(name, length) for name in names]
        # Letters of 0.6 of their height, in cells of the width that names leave.
        longest = max(map(len, ticks)) * 0.6 * font / 72
        upright = longest > (figure.get_figwidth() - longest - 0.6) / count - 0.05
        axes.set_xticks(range(count), ticks, rotation=90 if upright else 0, fontsize=max(5, font))
        axes.set_yticks(range(count), ticks, fontsize=max(5, font))
        axes.set_xticks([i - 0.5 for i in range(count + 1)], minor=True)
        axes.set_yticks([i - 0.5 for i in range(count + 1)], minor=True)
        axes.grid(which="minor", color=GRID)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("decided", color=SOFT)
        axes.set_ylabel("true", color=SOFT)

    side = min(7.0, 2.8 + 0.29 * count)
    caption = "Counts; a cell is the darker, the larger its share of the row"
    return Plot("confusion", caption, alt, draw, (side, side), (3.9, 3.9))
