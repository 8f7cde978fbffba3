"""Traces: scores over time above what the model saw, with what was true and what was detected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgernn.report.figures import DASHES, GRID, INK, SERIES, SOFT
from edgernn.report.numbers import clock, number, shorten
from edgernn.report.section import Material, Plot, Section, Table, is_narrow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = 6
"""Labels with a colour of their own, and channels of a sensor that are drawn."""

COLUMNS = 1600
"""Points of a line; of more, the lowest and highest of each piece are kept."""

DAY = 86400.0
"""Seconds; traces that are longer count in days."""

NOTE = (
    "Bars in the middle: above what was true, below what the device detected, each from its start "
    "to its end. Labels that are neither true nor detected are grey lines."
)


def section(material: Material) -> Section | None:
    """A plot of each trace, and what was detected in it as text."""
    traces = [
        t
        for t in material.evaluation.get("traces") or []
        if t.get("scores") and t.get("score_times")
    ]
    if not traces:
        return None
    names = _names(traces)
    plots = tuple(_plot(t, name, i) for i, (t, name) in enumerate(zip(traces, names, strict=True)))
    tables = tuple(_table(t, name) for t, name in zip(traces, names, strict=True))
    return Section("traces", "Scores over time", NOTE, plots, tables)


def _names(traces: list[dict[str, Any]]) -> list[str]:
    """Of each; pieces of one recording are numbered."""
    names = [trace.get("name") or "trace" for trace in traces]
    return [
        f"{name}, {names[: i + 1].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _is_long(trace: dict[str, Any]) -> bool:
    return bool(trace["score_times"][-1] - trace["score_times"][0] > DAY)


def _spans(trace: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return sorted(trace.get(what) or [], key=lambda span: span["start"])


def _table(trace: dict[str, Any], name: str) -> Table:
    days = _is_long(trace)
    rows = [
        (what, span["label"], clock(span["start"], days), clock(span["end"], days), score)
        for what, key in (("true", "truth"), ("detected", "events"))
        for span in _spans(trace, key)
        for score in [number(span.get("score"))]
    ]
    rows.sort(key=lambda row: row[0], reverse=True)
    columns = ("", "label", "from", "to", "score")
    return Table(f"{name}: true and detected", columns, rows, folded=True)


def _plot(trace: dict[str, Any], name: str, index: int) -> Plot:
    truth, events = _spans(trace, "truth"), _spans(trace, "events")
    when = [f"{e['label']} at {clock(e['start'], _is_long(trace))}" for e in events]
    told = shorten(", ".join(when), 300)
    alt = (
        f"Scores over time of {name}, above the "
        f"{'spectrogram' if trace.get('kind') == 'audio' else 'sensor values'}. "
        f"{len(truth)} true, {len(events)} detected{': ' + told if told else ''}."
    )
    has_features = bool(trace.get("features")) and bool(trace.get("feature_times"))

    def draw(figure: Figure) -> None:
        ratios = [2.2, 1, 2.4] if has_features else [2.2, 1]
        top, lane, *rest = figure.subplots(
            len(ratios), 1, sharex=True, gridspec_kw={"height_ratios": ratios}
        )
        times = np.asarray(trace["score_times"], float)
        unit, factor = ("days", DAY) if _is_long(trace) else ("s", 1.0)
        _scores(top, trace, times / factor, is_narrow(figure))
        _lane(lane, trace, factor, figure.get_figwidth() - 1.0)
        for axes in rest:
            if trace.get("kind") == "audio":
                _spectrogram(axes, trace, factor)
            else:
                _channels(axes, trace, factor)
        low, high = times[0] / factor, times[-1] / factor
        lane.set_xlim(low, high if high > low else low + 1)
        (rest or [lane])[-1].set_xlabel(unit, color=SOFT)

    high = 4.8 if has_features else 3.0
    return Plot(f"trace-{index + 1}", name, alt, draw, (7.4, high), (3.9, high))


def _shown(trace: dict[str, Any]) -> dict[str, int]:
    """Labels with a colour, in the order of the outputs: those that are true or detected."""
    happened = {s["label"] for what in ("truth", "events") for s in trace.get(what) or []}
    labels = trace.get("labels") or []
    chosen = [label for label in labels if label in happened]
    if not chosen:
        chosen = labels
    return {label: i for i, label in enumerate(chosen[:LINES])}


def _scores(axes: Axes, trace: dict[str, Any], times: Any, narrow: bool) -> None:
    scores, labels = np.asarray(trace["scores"], float), trace.get("labels") or []
    shown = _shown(trace)
    for column in range(scores.shape[1]):
        label = labels[column] if column < len(labels) else ""
        place = shown.get(label)
        if place is None and (labels or column >= LINES):
            axes.plot(*_thinned(times, scores[:, column]), color=GRID, lw=0.8, zorder=1)
            continue
        place = column if place is None else place
        axes.plot(
            *_thinned(times, scores[:, column]),
            color=SERIES[place],
            ls=DASHES[place],
            lw=1.3,
            label=shorten(label, 14) or None,
        )
    if trace.get("threshold") is not None:
        axes.axhline(trace["threshold"], color=INK, lw=0.9, ls=":", label="threshold")
    axes.set_ylabel("score", color=SOFT)
    handles, names = axes.get_legend_handles_labels()
    if handles:
        columns = 3 if narrow else 7
        figure = axes.figure
        figure.legend(handles, names, loc="outside upper center", ncols=columns)


def _lane(axes: Axes, trace: dict[str, Any], factor: float, inches: float) -> None:
    """Bars of what was true, above, and of what was detected, below; named where there is room."""
    shown = _shown(trace)
    span_of_all = (trace["score_times"][-1] - trace["score_times"][0]) / factor or 1.0
    for row, what in ((1, "truth"), (0, "events")):
        for span in _spans(trace, what):
            start, end = span["start"] / factor, span["end"] / factor
            width = max(end - start, span_of_all / 250)  # a bar that can be seen
            place = shown.get(span["label"])
            colour = SOFT if place is None else SERIES[place]
            axes.barh(row, width, 0.62, left=start, color=colour, alpha=0.55, lw=0)
            axes.plot([start, start], [row - 0.31, row + 0.31], color=colour, lw=1.2)
            name = shorten(span["label"], 14)
            if 0.065 * len(name) < inches * width / span_of_all + 0.05:
                axes.text(
                    start + width / 2, row, name, ha="center", va="center",
                    fontsize=7, color=INK, clip_on=True,
                )  # fmt: skip
    axes.set_ylim(-0.5, 1.5)
    axes.set_yticks([0, 1], ["detected", "true"])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _spectrogram(axes: Axes, trace: dict[str, Any], factor: float) -> None:
    times = np.asarray(trace["feature_times"], float) / factor
    image = np.asarray(trace["features"], float).T
    group = math.ceil(image.shape[1] / COLUMNS)
    if group > 1:  # the mean of neighbours, so that the picture stays small
        kept = image[:, : image.shape[1] // group * group]
        image = kept.reshape(len(image), -1, group).mean(axis=2)
    low, high = np.nanpercentile(image, [2, 99.7])
    axes.imshow(
        image, aspect="auto", origin="lower", cmap="viridis", vmin=low, vmax=high,
        interpolation="nearest", extent=(times[0], times[-1], -0.5, len(image) - 0.5),
    )  # fmt: skip
    axes.set_ylabel("band", color=SOFT)


def _channels(axes: Axes, trace: dict[str, Any], factor: float) -> None:
    times = np.asarray(trace["feature_times"], float) / factor
    values = np.asarray(trace["features"], float)
    for i in range(min(LINES, values.shape[1])):
        axes.plot(*_thinned(times, values[:, i]), color=SERIES[i], lw=0.9)
    more = values.shape[1] - LINES
    axes.set_ylabel(
        "features" if more <= 0 else f"{LINES} of {values.shape[1]} features", color=SOFT
    )
    axes.grid(axis="y")


def _thinned(times: Any, values: Any) -> tuple[Any, Any]:
    """A line of many points, by the lowest and the highest of each piece: no peak is lost."""
    group = math.ceil(2 * len(values) / COLUMNS)
    if group <= 2:
        return times, values
    kept = len(values) // group * group
    pieces = values[:kept].reshape(-1, group)
    start = np.arange(0, kept, group)
    places = np.stack([start + pieces.argmin(axis=1), start + pieces.argmax(axis=1)], axis=1)
    places = np.append(np.sort(places, axis=1).ravel(), np.arange(kept, len(values)))
    return times[places], values[places]
