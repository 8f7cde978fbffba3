"""Sound by TensorFlow Lite Micro's audio front end, as ESPHome and microWakeWord use it.

The package `pymicro-features` computes it, with the settings of those projects: 16,000 samples a
second, windows of 30 ms every 10 ms, 40 bands from 125 to 7,500 Hz, noise reduction, gain control
and a logarithm. It has no other settings, no C here, and no way to save its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, MissingDependencyError, UnsupportedError
from edgernn.frontends import Frames

Array = npt.NDArray[Any]

RATE: Final = 16_000
HOP: Final = 160
BANDS: Final = 40
FRACTION: Final = 7
"""The package gives multiples of 10 / 256, which are 5 units of 2^-7."""


@dataclass(frozen=True)
class MicroFrontEnd:
    """The description, which has no settings; see the module.

    Raises:
        MissingDependencyError: the package is not installed.
    """

    kind: ClassVar[str] = "micro"
    rate: ClassVar[int] = RATE
    channels: ClassVar[int] = 1
    sample_dtype: ClassVar[str] = "int16"
    frame_shape: ClassVar[tuple[int, ...]] = (BANDS,)
    frame_rate: ClassVar[float] = RATE / HOP
    scale: ClassVar[float] = 2.0**-FRACTION

    def __post_init__(self) -> None:
        _package()

    def stream(self) -> MicroStream:
        """A new stream."""
        return MicroStream()

    def features(self, samples: Array, times: Array | None = None) -> npt.NDArray[np.float32]:
        """A whole recording's features `(n, 40)`, as the package gives them."""
        frames = self.stream().push(np.asarray(samples))
        return (frames.features * np.float64(self.scale)).astype(np.float32)

    def config(self) -> dict[str, Any]:
        """The description as JSON."""
        return {"kind": self.kind}


class MicroStream:
    """One stream of samples on its way to features."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self._micro = _package().MicroFrontend()
        self.reset()

    def reset(self) -> None:
        """Back to the start, the estimate of the noise included."""
        self._micro.reset()
        self._held = np.empty(0, np.int16)
        self._taken = 0

    def push(self, samples: Array, times: Array | None = None) -> Frames:
        """See `FrontEndStream.push`; the times are those of the samples' count.

        Raises:
            InputError: the samples are not int16 `(n,)`.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise InputError(
                f"samples of shape {samples.shape} and type {samples.dtype}; the front end takes "
                "int16 of shape (n,)"
            )
        joined = np.concatenate([self._held, samples])
        whole = len(joined) // HOP * HOP
        # The package takes exactly one hop at a time.
        hops = joined[:whole].reshape(-1, HOP)
        found = [self._micro.process_samples(hop.tobytes()).features for hop in hops]
        ends = self._taken + HOP * np.arange(1, len(hops) + 1, dtype=np.int64)
        self._held, self._taken = joined[whole:], self._taken + whole
        made = np.array([bool(features) for features in found], bool)
        rows = np.array([features for features in found if features], np.float64)
        units = np.rint(rows.reshape(-1, BANDS) * (1 << FRACTION)).astype(np.int32)
        return Frames(units, ends[made] * 1_000_000 // RATE, np.zeros(len(units), bool))

    def save(self) -> bytes:
        """Not possible.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(_NO_STATE)

    def restore(self, saved: bytes) -> None:
        """Not possible.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(_NO_STATE)


_NO_STATE: Final = (
    "a stream of the front end 'micro' cannot be saved, pymicro-features hides its state: "
    "reset it instead, or use a front end of kind 'audio'"
)


def _package() -> Any:
    try:
        import pymicro_features
    except ImportError:
        raise MissingDependencyError(
            "the front end 'micro' needs pymicro-features: run `pip install 'edgernn[micro]'`"
        ) from None
    return pymicro_features
