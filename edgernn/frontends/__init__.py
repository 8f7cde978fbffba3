"""Front ends: what turns samples into the frames of a model, in integers, the same everywhere.

A front end is an immutable description, read from the model's metadata; its streams hold the
state. Its features are int32 in units of `FrontEnd.scale`; `edgernn/frontends/quantizer.py` turns
them into the model's own integers.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends.fields import check

Array = npt.NDArray[Any]

KINDS: Final = {
    "audio": "edgernn.frontends.audio:AudioFrontEnd",
    "micro": "edgernn.frontends.micro:MicroFrontEnd",
    "sensor": "edgernn.frontends.sensor:SensorFrontEnd",
}
"""Where the class of each kind is."""


@dataclass(frozen=True)
class Frames:
    """Frames that samples completed: int32 features `(n, F)`, and for each frame

    `times`, int64 `(n,)`: microseconds at its last sample, since the stream's start or on the
    source's clock; `breaks`, bool `(n,)`: what came before does not belong to this frame's
    sequence, the model and the detector begin anew with it.
    """

    features: npt.NDArray[np.int32]
    times: npt.NDArray[np.int64]
    breaks: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.features)


class FrontEndStream(Protocol):
    """One stream of samples on its way through a front end."""

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, by name: gaps, clipped values …"""

    def push(self, samples: Array, times: Array | None = None) -> Frames:
        """Any number of samples `(n,)` or `(n, channels)`; any split gives the same frames."""

    def reset(self) -> None:
        """Back to the start."""

    def save(self) -> bytes:
        """The state."""

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""


class FrontEnd(Protocol):
    """A configured front end."""

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""

    @property
    def rate(self) -> float:
        """Samples per second."""

    @property
    def channels(self) -> int:
        """Values per sample."""

    @property
    def sample_dtype(self) -> str:
        """`int16` or `int32`."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame."""

    @property
    def frame_rate(self) -> float:
        """Frames per second."""

    @property
    def scale(self) -> float:
        """Real value of one unit of a feature: a power of two."""

    def stream(self) -> FrontEndStream:
        """A new stream at its start."""

    def features(self, samples: Array, times: Array | None = None) -> npt.NDArray[np.float32]:
        """A whole recording's features `(n, F)` in real units: what a model is trained on."""

    def config(self) -> dict[str, Any]:
        """The description as JSON; `read` takes it back."""


def read(config: Mapping[str, Any]) -> FrontEnd:
    """The front end of a configuration: `kind`, and the fields of its class.

    Raises:
        InputError: a field is missing, unknown or has a wrong value; the message names it.
    """
    fields = dict(config)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"front end: kind {kind!r} is not one of {known}")
    module, _, name = KINDS[kind].partition(":")
    made = getattr(importlib.import_module(module), name)
    check(f"front end '{kind}'", made, fields)
    front_end: FrontEnd = made(**fields)
    return front_end
