"""Short pieces of an evaluation to look at: features, scores, events and what was true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.events import Event
from edgernn.frontends import FrontEnd
from edgernn.labelled import Span

Array = npt.NDArray[Any]

_MOST = 1500
"""Rows of a trace; of more, every k-th is kept."""


class Series(NamedTuple):
    """Rows `(n, k)` and the second of each, `(n,)`."""

    times: Array
    rows: Array

    def between(self, start: float, end: float) -> Series:
        """Those from `start` to `end`, thinned out if they are many."""
        inside = np.flatnonzero((self.times >= start) & (self.times <= end))
        inside = inside[:: max(1, -(-len(inside) // _MOST))]
        return Series(self.times[inside], self.rows[inside])


def features_of(
    front_end: FrontEnd, samples: Array, times: Array | None, start: float = 0.0
) -> Series:
    """The features of samples that begin at second `start`, in real units."""
    frames = front_end.stream().push(samples, times)
    return Series(frames.times / 1e6 + start, frames.features * front_end.scale)


def trace(
    name: str,
    front_end: FrontEnd,
    between: tuple[float, float],
    features: Series,
    labels: Sequence[str],
    scores: Series,
    events: Iterable[Event],
    truth: Iterable[Span],
    threshold: float | None = None,
) -> dict[str, Any]:
    """One piece as the evaluation document has it; all times are seconds from its beginning on."""
    start, end = between
    features, scores = features.between(start, end), scores.between(start, end)
    return {
        "name": name,
        "kind": "sensor" if front_end.kind == "sensor" else "audio",
        "labels": list(labels),
        "feature_times": _rounded(features.times - start),
        "features": _rounded(features.rows, 2),
        "score_times": _rounded(scores.times - start),
        "scores": _rounded(scores.rows),
        "events": [
            {"label": e.label, "score": e.score, "start": e.start - start, "end": e.end - start}
            for e in events
            if start <= e.end <= end
        ],
        "truth": [
            {
                "label": s.label,
                "start": max(s.start, start) - start,
                "end": min(s.end, end) - start,
            }
            for s in truth
            if s.end > start and s.start < end
        ],
        "threshold": threshold,
    }


def _rounded(values: Array, digits: int = 4) -> list[Any]:
    """To what a plot can show, so that a document stays small."""
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded
