"""Forecasts: errors beside what is known without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn.report.figures import BLUE, INK, SOFT
from edgernn.report.numbers import duration, number, percent, shorten
from edgernn.report.section import Material, Plot, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE = (
    "“persistence” says that everything stays as it is, “seasonal” that it will be as it was a "
    "season (here usually a day) before."
)


def section(material: Material) -> Section | None:
    """Mean absolute and root mean square errors as bars and text."""
    found = material.evaluation.get("forecast") or {}
    mae: dict[str, float] = {k: v for k, v in (found.get("mae") or {}).items() if v is not None}
    if not mae:
        return None
    rmse: dict[str, Any] = found.get("rmse") or {}
    still = mae.get("persistence")
    unit = found.get("unit") or ""
    rows = [
        (
            name,
            f"{number(value)} {unit}".strip(),
            f"{number(rmse.get(name))} {unit}".strip(),
            percent(1 - value / still if still else None),
        )
        for name, value in mae.items()
    ]
    columns = ("", "mean absolute error", "root mean square", "better than persistence")
    title = "Forecast"
    if found.get("horizon_seconds") is not None:
        title += f", {duration(found['horizon_seconds'])} ahead"
    return Section("forecast", title, NOTE, (_plot(mae, unit),), (Table("Errors", columns, rows),))


def _plot(mae: dict[str, float], unit: str) -> Plot:
    told = ", ".join(f"{name} {number(value)}" for name, value in mae.items())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = list(mae)
        model = [name in ("quantized", "float") for name in names]
        bars = axes.barh(
            range(len(names)), list(mae.values()), 0.6, color=[BLUE if m else SOFT for m in model]
        )
        axes.bar_label(bars, [number(v) for v in mae.values()], padding=3, color=INK)
        axes.set_yticks(range(len(names)), [shorten(name, 14) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.margins(x=0.15)
        axes.set_xlabel(f"mean absolute error, {unit}".rstrip(", "), color=SOFT)
        axes.grid(axis="x")

    height = 0.9 + 0.34 * len(mae)
    caption = "Mean absolute error; the model in blue, what needs no model in grey"
    alt = f"Mean absolute error of the forecasts: {told}."
    return Plot("forecast", caption, alt, draw, (7.4, height), (3.9, height))
