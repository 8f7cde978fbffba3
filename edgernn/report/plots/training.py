"""Training: loss and validation score of every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgernn.report.document import history_of
from edgernn.report.figures import BLUE, GRID, INK, RED, SOFT
from edgernn.report.numbers import UNKNOWN, number
from edgernn.report.section import Material, Plot, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = list[tuple[int, float]]


def section(material: Material) -> Section | None:
    """Both curves, and where they began, were best and ended."""
    if material.training is None:
        return None
    history = history_of(material.training)
    loss, validation = (_curve(history.get(name)) for name in ("loss", "validation"))
    if not loss and not validation:
        return None
    best = history.get("best")
    rows = [
        (name, *(number(curve[place][1]) if curve else UNKNOWN for place in (0, -1)))
        for name, curve in (("loss", loss), ("validation score", validation))
    ]
    note = "Loss of each epoch, and the score on recordings that were not trained on."
    if best is not None and 0 <= best < len(validation):
        note += f" Kept are the weights of epoch {best + 1}: {number(validation[best][1])}."
    table = Table("Training", ("", "first epoch", "last epoch"), rows)
    return Section("training", "Training", note, (_plot(loss, validation, best),), (table,))


def _curve(values: list[float | None] | None) -> Curve:
    """Epochs, from 1 on, with their values."""
    return [(i, value) for i, value in enumerate(values or [], start=1) if value is not None]


def _plot(loss: Curve, validation: Curve, best: int | None) -> Plot:
    drawn = [
        (name, curve, colour, dashes)
        for name, curve, colour, dashes in (
            ("loss", loss, BLUE, "-"),
            ("validation score", validation, RED, "--"),
        )
        if curve
    ]

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, curve, colour, dashes) in zip(rows, drawn, strict=True):
            marker = "o" if len(curve) < 40 else ""
            epochs, values = [e for e, _ in curve], [v for _, v in curve]
            axes.plot(epochs, values, ls=dashes, marker=marker, ms=3, color=colour)
            if name != "loss" and best is not None and best + 1 in epochs:
                height = values[epochs.index(best + 1)]
                axes.plot([best + 1], [height], "D", color=colour, mec=INK, ms=7)
            axes.set_ylabel(name, color=SOFT)
            axes.grid(color=GRID)
        rows[-1].set_xlabel("epoch", color=SOFT)
        rows[-1].xaxis.get_major_locator().set_params(integer=True)

    told = ", ".join(
        f"{name} from {number(curve[0][1])} to {number(curve[-1][1])}"
        for name, curve, _, _ in drawn
    )
    caption = "Loss and validation score; the diamond is the epoch that was kept"
    alt = f"Training over {max(len(curve) for _, curve, _, _ in drawn)} epochs: {told}."
    height = 1.0 + 1.5 * len(drawn)
    return Plot("training", caption, alt, draw, (7.4, height), (3.9, height))
