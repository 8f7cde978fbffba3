"""One pass over samples that keeps the smoothed scores of a trigger's labels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.detectors.scores import windowed
from edgernn.detectors.trigger import Trigger
from edgernn.evaluation.events import Heard, Piece
from edgernn.evaluation.firings import Recorded
from edgernn.evaluation.runs import Run, samples_of
from edgernn.evaluation.streams import LongStream
from edgernn.labelled import Labelled, Span

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]


def listen(
    run: Run, trigger: Trigger, blocks: Iterable[tuple[Array, Array | None]]
) -> list[Recorded]:
    """Push blocks of samples, with their times if they have some, from a reset on.

    Where samples have gaps, the model begins anew, and another part with it.
    """
    outputs = [label.output for label in trigger.labels]
    nothing = np.zeros((trigger.smoothing - 1, len(outputs)), np.int64)
    parts: list[list[tuple[Array, Array]]] = [[]]
    before = nothing
    run.reset()
    for samples, stamps in blocks:
        times, raw, starts = run.push(samples, stamps)
        scores = run.scores(raw)[:, outputs]
        for first, last in pairwise([0, *starts, len(times)]):
            if first in starts:
                before = nothing
                parts.append([])
            if first == last:
                continue
            sums = windowed(scores[first:last], before).astype(np.int32)
            before = np.concatenate([before, scores[first:last]])[last - first :]
            parts[-1].append((times[first:last], sums))
    made = [tuple(np.concatenate(column) for column in zip(*p, strict=True)) for p in parts if p]
    return [Recorded(times, sums) for times, sums in made]


def hear_stream(
    run: Run, trigger: Trigger, stream: LongStream, progress: Progress | None = None
) -> Heard:
    """The scores of a long stream, made section by section while it is heard."""
    spans: list[Span] = []

    def blocks() -> Iterable[tuple[Array, None]]:
        for done, section in enumerate(stream, start=1):
            spans.extend(section.spans)
            yield section.samples, None
            if progress is not None:
                progress(done, len(stream))

    def piece(seconds: float) -> Piece:
        index = min(int(seconds // stream.scene.section), len(stream) - 1)
        return Piece(stream.section(index).samples, None, index * stream.scene.section)

    parts = listen(run, trigger, blocks())
    return Heard(parts, spans, stream.seconds, piece)


def hear_recordings(
    run: Run, trigger: Trigger, recordings: Iterable[Labelled], progress: Progress | None = None
) -> Heard:
    """The scores of recordings with spans, each from a reset on, as if they followed each other."""
    parts, spans, elapsed = [], [], 0.0
    every, begins = list(recordings), []
    for done, recording in enumerate(every, start=1):
        begins.append(elapsed)
        for part in listen(run, trigger, [samples_of(recording)]):
            parts.append(Recorded(part.times + round(elapsed * 1e6), part.sums))
        spans += [Span(s.label, elapsed + s.start, elapsed + s.end) for s in recording.spans]
        # A gap longer than any tolerance: no event of one counts for a word of the next.
        elapsed += recording.seconds + 3600
        if progress is not None:
            progress(done, len(every))

    def piece(seconds: float) -> Piece:
        index = bisect_right(begins, seconds) - 1
        return Piece(*samples_of(every[index]), begins[index])

    return Heard(parts, spans, sum(one.seconds for one in every), piece)
