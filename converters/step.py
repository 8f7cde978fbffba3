"""What rules work with: `Signal`, a tensor as one step sees it, and `Step`, the trace's state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgernn.errors import UnsupportedError

UNMASKED, MASKED, HELD = "", "masked", "held"
"""What a masked frame does to a signal: it is a frame like any other; it is one that later layers
know to be masked; it leaves the signal as it was."""

LOWEST = -3e38
"""What a maximum begins with, and its padding holds: below everything. It quantizes to the least
integer, and calibration does not look at it."""

ABSENT = -1000.0
"""Added to the score of a frame that has not come yet: softmax gives it no weight."""


@dataclass(frozen=True)
class Signal:
    """A Keras tensor as one step sees it.

    `frames` holds one `(1, *features)` tensor for each frame the tensor has in one step; more
    than one only where a later layer lowers the rate. `is_sequence` says that the Keras tensor
    has a time axis; without one it is the running value of what Keras gives at the end.

    `warmup` counts the first frames of the stream (steps, without a time axis) that no row of Keras
    corresponds to: frame p of the stream is row p - warmup of Keras, and those before mean nothing.
    `latency` is how many frames of the model's input lie between the newest one that Keras counts a
    row for and the one with which it comes. `zeros` is how many rows of zeros Keras has before the
    first frame; only layers with a padding of their own ever see a signal that has any.
    `mask` is `UNMASKED`, `MASKED` or `HELD`.
    `static` says that it comes from inputs without a time axis alone, and so never changes.
    """

    frames: tuple[Any, ...]
    is_sequence: bool
    warmup: int = 0
    latency: int = 0
    zeros: int = 0
    mask: str = UNMASKED
    static: bool = False

    def map(self, function: Callable[[Any], Any]) -> Signal:
        """The same function on every frame."""
        return replace(self, frames=tuple(function(frame) for frame in self.frames))

    def last(self) -> Signal:
        """The newest frame alone, without a time axis."""
        # A step ends with a valid frame from step warmup // n on, where n frames make a step.
        return self.without_time(self.frames[-1], self.warmup // len(self.frames))

    def without_time(self, value: Any, warmup: int) -> Signal:
        """A running value computed from this signal, valid after `warmup` steps."""
        return Signal((value,), is_sequence=False, warmup=warmup, latency=self.latency)

    @property
    def rank(self) -> int:
        """Rank of the Keras tensor, batch and time axes included."""
        return len(self.frames[0].shape) + self.is_sequence


@dataclass(frozen=True)
class StateSpec:
    """A state: its name in the signature and its first value, of shape `(1, *features)`.

    `unbounded` marks an accumulator that no activation bounds, such as the cell state of an LSTM:
    in an int8 model it may deserve 16 bits. During the first `starts` steps the state keeps its
    first value, because what it would be computed from is not valid yet.
    """

    name: str
    initial: npt.NDArray[np.float32]
    unbounded: bool = False
    starts: int = 0


class MoreFramesError(Exception):
    """Raised by a rule that needs `factor` times as many frames in each step than it was given."""

    def __init__(self, factor: int) -> None:
        super().__init__(f"a step must hold {factor} times as many frames")
        self.factor = factor


class Step:
    """One trace of the step: hands out states, collects their next values, names things.

    The trace runs twice. The first time, with no states given, it discovers which states there
    are; the second time they are the arguments of the step. `frames` is how many frames of the
    model's input a step takes, `inputs` the first of them for each input; `looks_ahead` is set
    where a layer sees frames after the one it counts for, which Keras pads at the end of a
    sequence. `window` is how many of its last frames a layer sees (attention), if the user said
    so; `exact` is how many frames of the model's input there are before that makes a difference.

    `mask` is the value of a masked frame, `vocabulary` the number of tokens that each input may
    hold, `unmasked` the layers that remember masked frames. `behind_mask` is set in a pass that is
    handed what masked frames have no part in. With `whole`, a pass runs over a whole window: masked
    frames are taken out before any layer sees it, and what it is handed for the window as a whole
    is the same in all its steps.
    """

    def __init__(
        self,
        given: dict[str, Any] | None = None,
        frames: int = 1,
        window: int | None = None,
        inputs: dict[str, Any] | None = None,
        whole: bool = False,
    ) -> None:
        self.frames = frames
        self._window = window
        self.uses_window = False
        self.whole = whole
        self.inputs = inputs or {}
        self.looks_ahead = False
        self.exact: int | None = None
        self.mask: float | None = None
        self.behind_mask = False
        self.vocabulary: dict[str, int] = {}
        self.unmasked: list[str] = []
        self.input_mask = UNMASKED
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

    @property
    def window(self) -> int | None:
        """How many of its last frames the current layer sees, if the user said so."""
        self.uses_window = True
        return self._window

    def state(
        self, name: str, initial: npt.ArrayLike, unbounded: bool = False, starts: int = 0
    ) -> tuple[str, Any]:
        """Read a state of the current layer.

        Args:
            name: short name within the layer, such as `"h"`.
            initial: first value, of shape `(1, *features)`.
            unbounded: see `StateSpec`.
            starts: see `StateSpec`; steps until the layer's input is valid.

        Returns:
            The state's full name, for `carry`, and its value in this step.
        """
        stem = "_".join([*self._path, name])
        full, count = stem, 1
        while full in self.specs:  # a shared layer has one state for each of its calls
            count += 1
            full = f"{stem}_{count}"
        if self.input_mask == UNMASKED:
            self.unmasked.append(self.path)
        value = np.asarray(initial, np.float32)
        self.specs[full] = StateSpec(full, value, unbounded, starts)
        return full, tf.constant(value) if self._given is None else self._given[full]

    def carry(self, name: str, value: Any) -> None:
        """Set the value that a state will have in the next step."""
        self.next[name] = value

    def exact_up_to(self, frames: int) -> None:
        """The current layer gives what Keras gives for this many frames of the model's input."""
        self.exact = frames if self.exact is None else min(self.exact, frames)

    def source(self, signal: Signal) -> str | None:
        """Name of the model's input that a signal is, unchanged."""
        return next((k for k, x in self.inputs.items() if x is signal.frames[0]), None)

    def tokens(self, signal: Signal, count: int) -> None:
        """Say that a signal holds tokens from 0 to `count` - 1."""
        name = self.source(signal)
        if name is not None:
            self.vocabulary[name] = min(count, self.vocabulary.get(name, count))

    def masking(self, signal: Signal, result: Signal, value: float) -> Signal:
        """`result`, masked where `signal`, an input of the model, equals `value`."""
        if self.source(signal) is None or len(self.inputs) > 1 or self.mask not in (None, value):
            raise self.unsupported(
                "a mask that is not the one of the model's only input", "put it first"
            )
        if len(signal.frames) > 1:
            raise self.unsupported("a mask with several frames in a step", "leave the mask out")
        self.mask = value
        return replace(result, mask=MASKED)

    def note(self, kind: str, became: str) -> None:
        """Add the current layer to the report: its type, and what became of it."""
        self.layers.append((self.path, kind, became))

    def unsupported(self, what: str, remedy: str) -> UnsupportedError:
        """The error that names the current layer."""
        return UnsupportedError(f"layer '{self.path}': {what} cannot be converted; {remedy}")
