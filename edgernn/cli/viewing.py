"""`edgernn run --view`: the live page of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy.typing as npt

from edgernn.view import View
from edgernn.view.tap import Tap, page_of

if TYPE_CHECKING:
    from edgernn.events import Event
    from edgernn.pipeline import Pipeline

    Array = npt.NDArray[Any]
    Push = Callable[[npt.ArrayLike, Array | None], list[Event]]


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
    view = page_of(pipeline, place.address, place.port, place.token)
    hint = "" if place.token is None else "?token=..."
    click.echo(f"edgernn: live view at {view.url}{hint}", err=True)
    return view


def viewed(pipeline: Pipeline, view: View, counters: Callable[[], Mapping[str, int]]) -> Push:
    """A `Pipeline.push` that tells the page as well; takes over the pipeline's watchers."""
    tap = Tap(pipeline)

    def push(samples: npt.ArrayLike, times: Array | None = None) -> list[Event]:
        pushed = tap.push(samples, times)
        view.publish({**pushed.update, "counters": counters()})
        return pushed.events

    return push
