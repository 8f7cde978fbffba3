"""What changed since the sample before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgernn.frontends.stages.base import Array, Runner, clamp


@dataclass(frozen=True)
class Difference:
    """`x[t] - x[t-1]`; 0 for the first sample."""

    stage: ClassVar[str] = "difference"
    hop: ClassVar[int] = 1

    @classmethod
    def of(cls, rate: float) -> Difference:
        """It has no fields."""
        return cls()

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        return channels

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return _DifferenceRunner()

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage}


class _DifferenceRunner:
    def __init__(self) -> None:
        self._last: list[int] | None = None

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        if not len(block):
            return block, np.arange(0)
        before = block[:1] if self._last is None else np.array([self._last], np.int64)
        self._last = block[-1].tolist()
        return clamp(np.diff(block, axis=0, prepend=before)), np.arange(len(block))

    def save(self) -> list[Any]:
        return [self._last]

    def restore(self, state: list[Any]) -> None:
        (self._last,) = state
