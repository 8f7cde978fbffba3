"""A pipeline whose samples go to a board, with what `edgernn run` uses of `edgernn.Pipeline`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.events import Event
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.model import Model
from edgernn.pipeline import Scores, Watcher
from targets.pipelines import BoardEngine, CompiledPipeline

Array = npt.NDArray[Any]


class BoardPipeline:
    """The firmware of an emulated board, from samples to events; a context manager."""

    def __init__(self, model: Model, board: str, cc: str | None = None) -> None:
        """Compile, link and boot it.

        Raises:
            EdgernnError: the board is unknown or too small, a part has no C, or a tool is missing.
        """
        self.model = model
        self._pipeline = CompiledPipeline(model, BoardEngine(model, board, cc))
        self.front_end = self._pipeline.front_end
        self.detector = self._pipeline.detector
        self.watch: Watcher | None = None
        self.counters: dict[str, int] = {}

    def push(self, samples: npt.ArrayLike, times: Array | None = None) -> list[Event]:
        """Feed samples; real values of a sensor become the integers that a board would read."""
        block = np.asarray(samples)
        if isinstance(self.front_end, SensorFrontEnd) and block.dtype.kind == "f":
            block = self.front_end.from_real(block)
        outcome = self._pipeline.push(block, times)
        if self.watch is not None and len(outcome.scores):
            shape = (-1, *self.model.prediction_shape)
            self.watch(Scores(outcome.times, outcome.scores.reshape(shape), self.model))
        return outcome.events

    def __enter__(self) -> BoardPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipeline.close()
