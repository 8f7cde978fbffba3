"""`edgernn run --view`: what the live page is told of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import numpy as np
import numpy.typing as npt

from edgernn.pipeline import Pipeline, Scores
from edgernn.view import Update, View

if TYPE_CHECKING:
    from edgernn.events import Event
    from edgernn.frontends import Frames

    Array = npt.NDArray[Any]
    Push = Callable[[npt.ArrayLike, Array | None], list[Event]]

OUTPUTS: Final = 64
"""Outputs whose scores are shown; the page draws the eight highest."""


class Place(NamedTuple):
    """Where to serve the page."""

    port: int
    address: str
    token: str | None


def open_view(pipeline: Pipeline, place: Place) -> View:
    """The page of a pipeline; says where it is.

    Raises:
        InputError: it cannot be served there.
    """
    labels = pipeline.model.labels[:OUTPUTS]
    name = pipeline.model.path.name if pipeline.model.path else "edgernn"
    view = View(
        place.address,
        place.port,
        place.token,
        title=f"{name} · {pipeline.backend}",
        labels=labels,
        channels=getattr(pipeline.front_end, "names", ()),
    )
    hint = "" if place.token is None else "?token=..."
    click.echo(f"edgernn: live view at {view.url}{hint}", err=True)
    return view


def viewed(pipeline: Pipeline, view: View, counters: Callable[[], Mapping[str, int]]) -> Push:
    """A `Pipeline.push` that tells the page as well; takes over the pipeline's watchers."""
    rows: dict[str, list[Any]] = {}
    watch = pipeline.watch
    work, span = 0.0, 1e-9  # seconds of the last blocks, older ones fading

    def take_scores(scores: Scores) -> None:
        real = scores.real.reshape(len(scores), -1)[:, :OUTPUTS]
        rows.setdefault("scores", []).append(real)
        rows.setdefault("times", []).append(scores.times / 1e6)
        if watch is not None:
            watch(scores)

    def take_frames(frames: Frames) -> None:
        rows.setdefault("features", []).append(frames.features * pipeline.front_end.scale)

    pipeline.watch = take_scores
    is_sound = pipeline.front_end.sample_dtype == "int16"
    if is_sound:
        pipeline.watch_frames = take_frames

    def push(samples: npt.ArrayLike, times: Array | None = None) -> list[Event]:
        nonlocal work, span
        rows.clear()
        begun = time.perf_counter()
        block = np.asarray(samples)
        events = pipeline.push(block, times)
        took = time.perf_counter() - begun
        work, span = 0.9 * work + took, 0.9 * span + len(block) / pipeline.front_end.rate
        update: Update = {
            "latency": took,
            "real_time_factor": work / span,
            "counters": counters(),
            "events": events,
        }
        for key, parts in rows.items():
            update[key] = np.concatenate(parts)  # type: ignore[literal-required]
        if is_sound:
            update["level"] = float(np.abs(block.astype(np.int32)).max(initial=0)) / 32768
        else:
            update["channels"] = block.reshape(len(block), -1)
        view.publish(update)
        return events

    return push
