"""What a section of a report is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROW = 4.5
"""Inches; a figure of less width is for a phone."""


@dataclass(frozen=True)
class Material:
    """What a report is about, checked by `document.py`: each document as it came."""

    evaluation: dict[str, Any]
    profile: dict[str, Any] | None = None
    training: dict[str, Any] | None = None

    @property
    def labels(self) -> list[str]:
        """Of the model's outputs."""
        found: list[str] = self.evaluation.get("labels") or []
        return found


@dataclass(frozen=True)
class Plot:
    """A picture: `draw` fills a figure of `size`, or of `narrow` size for a phone, in inches.

    `name` is the stem of its files, `alt` what a reader who does not see it should know.
    """

    name: str
    caption: str
    alt: str
    draw: Callable[[Figure], None]
    size: tuple[float, float] = (7.4, 3.6)
    narrow: tuple[float, float] = (3.9, 3.2)


class Table(NamedTuple):
    """Numbers as text; the first cell of a row says what it is. A folded one opens on demand."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    key: str
    title: str
    note: str
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


def is_narrow(figure: Figure) -> bool:
    """Whether a figure is drawn for a phone."""
    return bool(figure.get_figwidth() < NARROW)
