"""What every stage is, and what several need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError

Array = npt.NDArray[np.int64]

LIMIT: Final = (1 << 28) - 1
"""Largest value, so that a filter's five products fit into 64 bits."""


class Runner(Protocol):
    """One stream through a stage."""

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        """Rows `(m, channels out)`, and which sample of the block `(m,)` completed each."""

    def save(self) -> list[Any]:
        """The state as JSON."""

    def restore(self, state: list[Any]) -> None:
        """Take back what `save` gave."""


class Stage(Protocol):
    """A description."""

    @property
    def stage(self) -> str:
        """Its name in `STAGES`."""

    @property
    def hop(self) -> int:
        """Samples for each row that it gives."""

    def outputs(self, channels: int) -> int:
        """How many channels it gives for so many.

        Raises:
            InputError: it does not take so many.
        """

    def runner(self, channels: int, fraction: int) -> Runner:
        """A new stream."""

    def config(self) -> dict[str, Any]:
        """The fields that it was made from."""


def clamp(values: Array) -> Array:
    """To 28 bits and a sign."""
    return np.clip(values, -LIMIT, LIMIT)


def roots(squares: Array) -> Array:
    """Square roots of non-negative numbers below 2^62, rounded down."""
    found = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    found -= found * found > squares
    found += (found + 1) * (found + 1) <= squares
    return found


class Stateless:
    """What needs no memory: a function of each row."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function

    def run(self, block: Array) -> tuple[Array, npt.NDArray[np.intp]]:
        """See `Runner`."""
        return self._function(block), np.arange(len(block))

    def save(self) -> list[Any]:
        """See `Runner`."""
        return []

    def restore(self, state: list[Any]) -> None:
        """See `Runner`."""


def require(stage: str, wanted: Sequence[int], channels: int) -> None:
    """See that all these channels are there.

    Raises:
        InputError: one is not.
    """
    for channel in wanted:
        if not isinstance(channel, int) or not 0 <= channel < channels:
            raise InputError(f"stage '{stage}': there is no channel {channel}, only {channels}")
