"""The sections of a report, in the order of the page: a new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgernn.report.plots import (
    accuracy,
    anomalies,
    confusion,
    cost,
    drift,
    events,
    forecast,
    memory,
    traces,
    training,
    warmup,
)
from edgernn.report.section import Material, Section

SECTIONS: Final[tuple[Callable[[Material], Section | None], ...]] = (
    accuracy.section,
    confusion.section,
    events.section,
    anomalies.section,
    forecast.section,
    traces.section,
    drift.section,
    warmup.section,
    memory.section,
    cost.section,
    training.section,
)


def sections(material: Material) -> list[Section]:
    """Those that the documents have something for."""
    return [made for make in SECTIONS if (made := make(material)) is not None]
