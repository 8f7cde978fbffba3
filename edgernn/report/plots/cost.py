"""Cost: the instructions of a step by layer and by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn.report.costs import Parts, costs, place
from edgernn.report.figures import BLUE, GREEN, INK, SOFT
from edgernn.report.numbers import duration, number, percent, shorten
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = 10
"""Entries that are drawn; the table has all."""


def section(material: Material) -> Section | None:
    """Bars by layer and by operator, with the front end and the detector among them."""
    profile = material.profile
    if profile is None:
        return None
    found = costs(profile)
    ways = {
        "layer": _with_pipeline(profile, "instructions_by_layer"),
        "operator": _with_pipeline(profile, "instructions_by_op"),
    }
    ways = {way: parts for way, parts in ways.items() if parts}
    tables = [_totals(profile)]
    for way, parts in ways.items():
        rows = [
            (name, f"{count:,}", percent(count / max(1, found.instructions)))
            for name, count in parts.items()
        ]
        tables.append(Table(f"By {way}", (way, "instructions", "share"), rows))
    note = f"Instructions of the longest step, counted in emulation on {place(profile)}. "
    if profile.get("estimate"):
        note += f"Times are {profile['estimate']}."
    if profile.get("pipeline") and found.seconds is not None:
        note += " Front end and detector are taken to need as many cycles for an instruction."
    plots = (_plot(ways),) if ways else ()
    return Section("cost", "Cost of a step", note, plots, tuple(tables))


def _with_pipeline(profile: dict[str, Any], key: str) -> Parts:
    parts: Parts = {name: n for name, n in (profile.get(key) or {}).items() if n is not None}
    rest = costs(profile).instructions - profile["instructions_per_step"]
    if parts and profile.get("pipeline") and rest > 0:
        parts["front end, detector"] = rest
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def _totals(profile: dict[str, Any]) -> Table:
    found = costs(profile)
    rows = [("instructions a step", f"{found.instructions:,}")]
    if profile.get("rate_hz"):
        steps = profile["rate_hz"] / (profile.get("frames_per_step") or 1)
        rows.append(("steps a second", number(steps)))
    if found.seconds is not None:
        rows.append(("time of a step, estimated", duration(found.seconds)))
    if found.share is not None:
        rows.append(("share of the core's time, estimated", percent(found.share, 2)))
    return Table("A step", ("", "value"), rows)


def _plot(ways: dict[str, Parts]) -> Plot:
    drawn = {way: dict(list(parts.items())[:BARS]) for way, parts in ways.items()}
    told = "; ".join(
        f"by {way}: " + ", ".join(f"{name} {count:,}" for name, count in list(parts.items())[:4])
        for way, parts in drawn.items()
    )
    heights = [len(parts) + 1.2 for parts in drawn.values()]

    def draw(figure: Figure) -> None:
        rows = figure.subplots(
            len(drawn), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        length = 19 if is_narrow(figure) else 30
        for axes, colour, (way, parts) in zip(rows, (BLUE, GREEN), drawn.items(), strict=False):
            bars = axes.barh(range(len(parts)), list(parts.values()), 0.66, color=colour)
            axes.bar_label(
                bars, [f"{count:,}" for count in parts.values()], padding=3, fontsize=8.5, color=INK
            )
            axes.set_yticks(range(len(parts)), [shorten(name, length) for name in parts])
            axes.set_ylim(len(parts) - 0.4, -0.6)
            axes.margins(x=0.24 if is_narrow(figure) else 0.1)
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
            axes.set_title(f"by {way}", loc="left", fontsize=9.5, color=SOFT)

    height = 0.4 + 0.27 * sum(heights)
    caption = "Instructions of a step"
    return Plot("cost", caption, f"Instructions, {told}.", draw, (7.4, height), (3.9, height))
