"""Accuracy: quantized beside float, state reset or carried, and for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgernn.report.figures import MARKERS, SERIES, SOFT
from edgernn.report.numbers import number, percent, shorten
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE = (
    "Measured through the front end, frame by frame, as the device computes it. “reset1” resets "
    "the state before each clip, “reset0” carries it from one clip to the next."
)
FRAMES_NOTE = (
    "Every labelled frame counts once. Macro-F1 weighs all labels alike, rare or common. "
    "“vote” is what the detector makes of the predictions. A baseline is a model of another kind."
)

FOLD = 12
"""Groups from which on their table is folded."""


class Way(NamedTuple):
    """One way of measuring: its name and what it found."""

    name: str
    found: dict[str, Any]


def ways(material: Material) -> list[Way]:
    """All accuracies of the document, those of the device first."""
    found = []
    clips = material.evaluation.get("clips") or {}
    for name in _ordered(clips):
        for reset in ("reset1", "reset0"):
            if (clips[name] or {}).get(reset):
                found.append(Way(f"{name}, {reset}", clips[name][reset]))
    frames = material.evaluation.get("frames") or {}
    found += [Way(name, frames[name]) for name in _ordered(frames) if frames[name]]
    return [way for way in found if way.found.get("accuracy") is not None]


def section(material: Material) -> Section | None:
    """A table of all ways, and the groups as dots."""
    found = ways(material)
    if not found:
        return None
    note = NOTE if material.evaluation.get("clips") else FRAMES_NOTE
    if material.evaluation.get("ignored_clips"):
        note += f" {material.evaluation['ignored_clips']:,} clips of ignored labels are left out."
    f1 = any(way.found.get("macro_f1") is not None for way in found)
    rows = [
        (
            way.name,
            percent(way.found["accuracy"], 2),
            *([number(way.found.get("macro_f1"))] if f1 else []),
            number(way.found.get("count")),
        )
        for way in found
    ]
    columns = ("", "right", *(["macro-F1"] if f1 else []), "of")
    tables = [Table("Accuracy", columns, rows)]
    grouped = [way for way in found if way.found.get("groups")]
    names = list(dict.fromkeys(g for way in grouped for g in way.found["groups"]))
    if len(names) < 2:
        return Section("accuracy", "Accuracy", note, (), tuple(tables))
    names.sort(key=lambda g: grouped[0].found["groups"].get(g) or 0.0)
    by_group = [
        (name, *(percent(way.found["groups"].get(name)) for way in grouped)) for name in names
    ]
    columns = ("group", *(way.name for way in grouped))
    tables.append(Table("By group", columns, by_group, folded=len(names) > FOLD))
    return Section("accuracy", "Accuracy", note, (_dots(grouped, names),), tuple(tables))


def _dots(grouped: list[Way], names: list[str]) -> Plot:
    first = grouped[0]
    known = [n for n in names if first.found["groups"].get(n) is not None]
    told = ", ".join(f"{n} {percent(first.found['groups'][n])}" for n in (known[0], known[-1]))
    alt = (
        f"Accuracy of {len(names)} groups; lowest and highest, {first.name}: {told}."
        if known
        else "Accuracy by group."
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, way in enumerate(grouped):
            values = way.found["groups"]
            places = [j for j, n in enumerate(names) if values.get(n) is not None]
            shift = 0.16 * (i - (len(grouped) - 1) / 2)
            axes.plot(
                [100 * values[names[j]] for j in places],
                [j + shift for j in places],
                MARKERS[i % len(MARKERS)],
                color=SERIES[i % len(SERIES)],
                markersize=5.5,
                label=shorten(way.name, 30),
            )
        length = 12 if is_narrow(figure) else 24
        axes.set_yticks(range(len(names)), [shorten(name, length) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid()
        axes.set_xlabel("right, %", color=SOFT)
        columns = 1 if is_narrow(figure) else 2
        figure.legend(loc="outside upper center", ncols=columns)

    height = 1.4 + 0.3 * len(names)
    return Plot("accuracy", "Accuracy of each group", alt, draw, (7.4, height), (3.9, height + 0.5))


def _ordered(names: dict[str, Any]) -> list[str]:
    """What runs on the device first, then float, then the others."""
    first = [name for name in ("quantized", "float") if name in names]
    return first + [name for name in names if name not in first]
