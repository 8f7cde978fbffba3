"""What rules work with: `Signal`, a tensor as one step sees it, and `Step`, the trace's state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgernn.errors import UnsupportedError


@dataclass(frozen=True)
class Signal:
    """A Keras tensor as one step sees it.

    `frames` holds one `(1, *features)` tensor for each frame the tensor has in one step; more
    than one only where a later layer lowers the rate. `is_sequence` says that the Keras tensor
    has a time axis; without one it is the running value of what Keras gives at the end.
    """

    frames: tuple[Any, ...]
    is_sequence: bool

    def map(self, function: Callable[[Any], Any]) -> Signal:
        """The same function on every frame."""
        return replace(self, frames=tuple(function(frame) for frame in self.frames))

    def last(self) -> Signal:
        """The newest frame alone, without a time axis."""
        return Signal(self.frames[-1:], is_sequence=False)

    @property
    def rank(self) -> int:
        """Rank of the Keras tensor, batch and time axes included."""
        return len(self.frames[0].shape) + self.is_sequence


@dataclass(frozen=True)
class StateSpec:
    """A state: its name in the signature and its first value, of shape `(1, *features)`.

    `unbounded` marks an accumulator that no activation bounds, such as the cell state of an LSTM:
    in an int8 model it may deserve 16 bits.
    """

    name: str
    initial: npt.NDArray[np.float32]
    unbounded: bool = False


class MoreFramesError(Exception):
    """Raised by a rule that needs `factor` times as many frames in each step than it was given."""

    def __init__(self, factor: int) -> None:
        super().__init__(f"a step must hold {factor} times as many frames")
        self.factor = factor


class Step:
    """One trace of the step: hands out states, collects their next values, names things.

    The trace runs twice. The first time, with no states given, it discovers which states there
    are; the second time they are the arguments of the step.
    """

    def __init__(self, given: dict[str, Any] | None = None) -> None:
        self.specs: dict[str, StateSpec] = {}
        self.next: dict[str, Any] = {}
        self.layers: list[tuple[str, str, str]] = []
        self._given = given
        self._path: list[str] = []

    @property
    def path(self) -> str:
        """Names of the enclosing models and the layer, joined by slashes."""
        return "/".join(self._path)

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Everything inside belongs to the layer (or model) of this name."""
        self._path.append(name)
        with tf.name_scope(self.path + "/"):  # the slash keeps TensorFlow from renaming it
            try:
                yield
            finally:
                self._path.pop()

    def state(self, name: str, initial: npt.ArrayLike, unbounded: bool = False) -> tuple[str, Any]:
        """Read a state of the current layer.

        Args:
            name: short name within the layer, such as `"h"`.
            initial: first value, of shape `(1, *features)`.
            unbounded: see `StateSpec`.

        Returns:
            The state's full name, for `carry`, and its value in this step.
        """
        stem = "_".join([*self._path, name])
        full, count = stem, 1
        while full in self.specs:  # a shared layer has one state for each of its calls
            count += 1
            full = f"{stem}_{count}"
        value = np.asarray(initial, np.float32)
        self.specs[full] = StateSpec(full, value, unbounded)
        return full, tf.constant(value) if self._given is None else self._given[full]

    def carry(self, name: str, value: Any) -> None:
        """Set the value that a state will have in the next step."""
        self.next[name] = value

    def note(self, kind: str, became: str) -> None:
        """Add the current layer to the report: its type, and what became of it."""
        self.layers.append((self.path, kind, became))

    def unsupported(self, what: str, remedy: str) -> UnsupportedError:
        """The error that names the current layer."""
        return UnsupportedError(f"layer '{self.path}': {what} cannot be converted; {remedy}")


def same_rate(signals: Sequence[Signal], step: Step) -> None:
    """Check that several inputs of one layer have the same time axis.

    Raises:
        UnsupportedError: a sequence meets a tensor without a time axis, or another rate.
    """
    if len({s.is_sequence for s in signals}) > 1:
        raise step.unsupported(
            "mixing a sequence with a tensor that has no time axis",
            "set return_sequences alike on both branches",
        )
    if len({len(s.frames) for s in signals}) > 1:
        rates = [len(s.frames) for s in signals]
        raise MoreFramesError(math.lcm(*rates) // min(rates))
