"""What a running pipeline shows: every push becomes one update for a page, or for anybody."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.view import Update, View

if TYPE_CHECKING:
    from edgernn.events import Event
    from edgernn.frontends import Frames
    from edgernn.pipeline import Pipeline, Scores

Array = npt.NDArray[Any]

OUTPUTS: Final = 64
"""Outputs whose scores are shown; the page draws the eight highest."""


def page_of(
    pipeline: Pipeline,
    address: str,
    port: int,
    token: str | None,
    tls: ssl.SSLContext | None = None,
    name: str = "",
) -> View:
    """The page of a pipeline, which is called `name`, or like the model's file.

    Raises:
        InputError: it cannot be served there.
    """
    file = pipeline.model.path.name if pipeline.model.path else "edgernn"
    return View(
        address,
        port,
        token,
        title=f"{name or file} · {pipeline.backend}",
        labels=pipeline.model.labels[:OUTPUTS],
        channels=getattr(pipeline.front_end, "names", ()),
        tls=tls,
    )


class Pushed(NamedTuple):
    """What came of a block: its events, all that can be shown, its frames and seconds of work.

    `seconds` is how long its samples last.
    """

    events: list[Event]
    update: Update
    frames: int
    work: float
    seconds: float


class Tap:
    """Pushes blocks into a pipeline and tells of each; takes over the pipeline's watchers."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._watch = pipeline.watch
        self._is_sound = pipeline.front_end.sample_dtype == "int16"
        self._rows: dict[str, list[Any]] = {}
        self._frames = 0
        self._work, self._span = 0.0, 1e-9  # seconds of the last blocks, older ones fading
        pipeline.watch = self._take_scores
        pipeline.watch_frames = self._take_frames

    def push(self, samples: npt.ArrayLike, times: Array | None = None) -> Pushed:
        """`Pipeline.push`; the update lacks only the counters."""
        self._rows.clear()
        self._frames = 0
        block = np.asarray(samples)
        seconds = len(block) / self._pipeline.front_end.rate
        begun = time.perf_counter()
        events = self._pipeline.push(block, times)
        work = time.perf_counter() - begun
        self._work, self._span = 0.9 * self._work + work, 0.9 * self._span + seconds
        update: Update = {
            "latency": work,
            "real_time_factor": self._work / self._span,
            "events": events,
        }
        for key, parts in self._rows.items():
            update[key] = np.concatenate(parts)  # type: ignore[literal-required]
        if self._is_sound:
            update["level"] = float(np.abs(block.astype(np.int32)).max(initial=0)) / 32768
        else:
            update["channels"] = block.reshape(len(block), -1)
        return Pushed(events, update, self._frames, work, seconds)

    def _take_scores(self, scores: Scores) -> None:
        real = scores.real.reshape(len(scores), -1)[:, :OUTPUTS]
        self._rows.setdefault("scores", []).append(real)
        self._rows.setdefault("times", []).append(scores.times / 1e6)
        if self._watch is not None:
            self._watch(scores)

    def _take_frames(self, frames: Frames) -> None:
        self._frames += len(frames)
        if self._is_sound:
            features = frames.features * self._pipeline.front_end.scale
            self._rows.setdefault("features", []).append(features)
