"""What `edgernn train` prints before it trains: data, their split, the network and its costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from converters.training.plan import Costs, Plan
    from converters.training.settings import Settings
    from edgernn.labelled import Labelled

GROUPS = 6
"""Groups of a part that are named; the others are counted."""
LABELS = 40
"""Labels that have a row of their own."""


def parts_table(plan: Plan) -> Table:
    """Recordings, length and groups of each side of the split."""
    table = Table(title="Data", title_justify="left")
    table.add_column("part")
    for column in ("recordings", "length"):
        table.add_column(column, justify="right")
    table.add_column("groups")
    for part, recordings in plan.parts._asdict().items():
        known = sorted({recording.group for recording in recordings})
        more = f" and {len(known) - GROUPS} more" if len(known) > GROUPS else ""
        seconds = sum(recording.seconds for recording in recordings)
        names = ", ".join(known[:GROUPS]) + more
        table.add_row(part, f"{len(recordings):,}", duration(seconds), names)
    return table


def labels_table(plan: Plan) -> Table | None:
    """How much there is of each label in each part; None if the data have no labels."""
    counts = {part: _amounts(found) for part, found in plan.parts._asdict().items()}
    whole, spans = _amounts([one for part in plan.parts for one in part])
    known = sorted({*whole, *spans})
    if not known:
        return None
    table = Table("label", title="Labels", title_justify="left")
    for part in counts:
        table.add_column(part, justify="right")
    for label in known[:LABELS]:
        cells = [_amount(label, *counts[part]) for part in counts]
        known_here = not plan.labels or label in plan.labels
        table.add_row(label if known_here else f"{label} (background)", *cells)
    if len(known) > LABELS:
        table.add_row(f"and {len(known) - LABELS} more")
    return table


def network_table(settings: Settings, plan: Plan, costs: Costs) -> Table:
    """The network's size, and what a step of it costs on the target."""
    profile, frames = costs.profile, costs.profile.frames_per_step
    title = f"Network '{settings.architecture}' on {profile.target}"
    table = Table("", "", "", title=title, title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    rate = plan.front_end.frame_rate
    every = f"of {frames} frames" if frames > 1 else "of a frame"
    shape = f"{plan.front_end.frame_shape[0]} features in, {plan.outputs} outputs"
    table.add_row("parameters", f"{costs.parameters:,}", shape)
    table.add_row("MACs a step", f"{costs.macs:,}", f"{every}, {rate / frames:.3g} steps a second")
    flash, ram, board = profile.flash, profile.ram, profile.board
    of_flash = f" = {100 * flash.total / board.flash_bytes:.1f} % of {board.title}" if board else ""
    of_ram = f" = {100 * ram.total / board.ram_bytes:.1f} %" if board else ""
    table.add_row("flash", f"{flash.total:,}", f"bytes{of_flash}")
    table.add_row("RAM", f"{ram.total:,}", f"bytes{of_ram}")
    seconds, share = profile.estimated_seconds_per_step, profile.estimated_share_of_real_time
    time = f"estimated {1000 * seconds:.3g} ms" if seconds is not None else ""
    load = f", {100 * share:.2g} % of real time" if share is not None else ""
    table.add_row("instructions a step", f"{profile.instructions_per_step:,}", time + load)
    return table


def duration(seconds: float) -> str:
    """A length that a reader can picture."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _amounts(recordings: Sequence[Labelled]) -> tuple[Counter[str], dict[str, float]]:
    """Recordings of each label, and seconds of each label of spans."""
    whole = Counter(one.label for one in recordings if one.label is not None)
    spans: dict[str, float] = {}
    for one in recordings:
        for span in one.spans:
            spans[span.label] = spans.get(span.label, 0.0) + span.end - span.start
    return whole, spans


def _amount(label: str, whole: Counter[str], spans: dict[str, Any]) -> str:
    found = [f"{whole[label]:,}"] if label in whole else []
    found += [duration(spans[label])] if label in spans else []
    return ", ".join(found) or "–"
