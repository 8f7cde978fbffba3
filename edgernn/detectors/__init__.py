"""Detectors: what turns a stream of predictions into events, in integers, the same everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.events import Event
from edgernn.metadata import Normalisation
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

KINDS: Final = {
    "trigger": "edgernn.detectors.trigger:Trigger",
    "majority": "edgernn.detectors.majority:Majority",
    "anomaly": "edgernn.detectors.anomaly:Anomaly",
}
"""Where the class of each kind is; its `of(fields, facts)` makes one for a model."""


@dataclass(frozen=True)
class Facts:
    """What a detector must know of its model.

    The names of its outputs, the tensors of its frame and its prediction, predictions per second,
    and what was done to a frame before it was quantized.
    """

    labels: tuple[str, ...]
    x: Tensor
    y: Tensor
    rate: float
    normalisation: Normalisation | None = None


class DetectorStream(Protocol):
    """One stream of predictions on its way through a detector."""

    def push(
        self, predictions: Array, times: npt.NDArray[np.int64], frames: Array | None = None
    ) -> list[Event]:
        """Raw predictions `(n, outputs)` and the microseconds of each; any split does the same.

        `frames` are the raw frames `(n, F)` that brought them, where there is one for each.
        """

    def reset(self) -> None:
        """Back to the start."""

    def save(self) -> bytes:
        """The state."""

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""


class Detector(Protocol):
    """A configured detector of one model."""

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""

    def stream(self) -> DetectorStream:
        """A new stream at its start."""

    def config(self) -> dict[str, Any]:
        """The description as JSON; `read` takes it back."""


def read(config: Mapping[str, Any], facts: Facts) -> Detector:
    """The detector of a configuration, for a model.

    Raises:
        InputError: a field is missing, unknown, or does not fit the model; the message names it.
    """
    fields = dict(config)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"detector: kind {kind!r} is not one of {known}")
    module, _, name = KINDS[kind].partition(":")
    made = getattr(importlib.import_module(module), name)
    detector: Detector = made.of(fields, facts)
    return detector
