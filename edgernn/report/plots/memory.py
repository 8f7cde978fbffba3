"""Memory map: what fills flash and RAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgernn.report.costs import Parts, costs, place
from edgernn.report.figures import INK, SERIES, SOFT
from edgernn.report.numbers import UNKNOWN, percent, size
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo")


def section(material: Material) -> Section | None:
    """Bars of flash and of RAM, and their parts as text."""
    profile = material.profile
    if profile is None:
        return None
    found = costs(profile)
    board = profile.get("board") or {}
    memories = {"flash": found.flash, "RAM": found.ram}
    rows = []
    for memory, parts in memories.items():
        total, budget = sum(parts.values()), board.get(f"{memory.lower()}_bytes")
        rows += [(f"{memory}: {name}", f"{count:,}", UNKNOWN) for name, count in parts.items()]
        rows.append((f"{memory}, all", f"{total:,}", percent(total / budget if budget else None)))
    rows = [row if "all" in row[0] else (row[0], row[1], "") for row in rows]
    columns = ("", "bytes", f"of {board['name']}" if board else "of the board")
    note = f"On {place(profile)}. "
    note += (
        "The stack is the most that the code can use."
        if profile.get("stack_is_worst_case")
        else "The stack is the deepest that was measured."
    )
    if profile.get("untrained"):
        note += " Of an untrained model: sizes and instructions hold."
    table = Table("Memory", columns, rows)
    return Section("memory", "Memory map", note, (_plot(memories),), (table,))


def _plot(memories: dict[str, Parts]) -> Plot:
    told = "; ".join(
        f"{memory} {size(sum(parts.values()))}: "
        + ", ".join(f"{name} {size(count)}" for name, count in parts.items())
        for memory, parts in memories.items()
    )

    def draw(figure: Figure) -> None:
        for axes, (memory, parts) in zip(figure.subplots(2, 1), memories.items(), strict=True):
            start = 0
            for i, (name, count) in enumerate(parts.items()):
                axes.barh(
                    0, count, 0.8, left=start, color=SERIES[i], alpha=0.75, lw=0.6, edgecolor=INK,
                    hatch=HATCHES[i], label=f"{name}, {size(count)}",
                )  # fmt: skip
                start += count
            axes.set_title(f"{memory}, {size(start)}", loc="left", fontsize=10, color=INK)
            axes.set_yticks([])
            axes.spines[["left", "bottom"]].set_visible(False)
            axes.set_xticks([])
            axes.set_xlim(0, start or 1)
            columns = 2 if is_narrow(figure) else 4
            axes.legend(
                loc="upper left", bbox_to_anchor=(-0.01, -0.02), ncols=columns, handlelength=1.6,
                columnspacing=1.2, borderaxespad=0.2, fontsize=8 if is_narrow(figure) else 8.5,
                labelcolor=SOFT if start == 0 else INK,
            )  # fmt: skip

    return Plot(
        "memory", "What fills the memories", f"Memory: {told}.", draw, (7.4, 2.6), (3.9, 3.1)
    )
