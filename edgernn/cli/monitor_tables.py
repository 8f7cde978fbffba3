"""What boards and services have in common on the screen of `edgernn monitor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.table import Table

from edgernn.cli.profile import bar

_LABELS: Final = 12


def scores_table(time: float, scores: Mapping[str, float], labelled: bool) -> Table:
    """The newest scores, the highest ones if there are many; a share of a label is a bar."""
    table = Table("score", "", title=f"at {time:.2f} s", title_justify="left")
    found = list(scores.items())
    if len(found) > _LABELS:
        found = sorted(found, key=lambda item: -item[1])[:_LABELS]
    for name, value in found:
        is_share = labelled and 0 <= value <= 1
        table.add_row(name, bar(value, 30) if is_share else f"{value:.4g}")
    return table


def events_table(events: Iterable[Mapping[str, Any]]) -> Table:
    """The newest event first."""
    table = Table("event", "score", "from, s", "to, s", title="Events", title_justify="left")
    for event in reversed(list(events)):
        name = event["label"] + ("" if event["event"] == "on" else " (over)")
        table.add_row(name, *(f"{event[k]:.2f}" for k in ("score", "start", "end")))
    return table
