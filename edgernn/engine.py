"""One interpreter of one model, shared by all its streams.

An interpreter costs about 150 kB and 0.2 ms, a stream's state a few hundred bytes; so the streams
of a model take turns on one interpreter, each bringing its state in and taking it out again. The
copies cost about 2 % of a step. A lock keeps threads apart.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.codec import Decoder, Encoder
from edgernn.interpreters import Program, create

if TYPE_CHECKING:
    from edgernn.model import Model

Array = npt.NDArray[Any]

_ALL: Final = slice(None)


class Engine:
    """Runs single steps on states that the caller owns.

    `states` is one writable byte view per state, in the model's order; a step replaces them.
    """

    def __init__(self, model: Model, backend: str) -> None:
        """Load the model into the named backend; see `interpreters.create` for what it raises."""
        self.backend = backend
        self.encoder = Encoder(model.x, model.frame_shape, model.metadata.normalisation)
        self.decoder = Decoder(model.y)
        self._interpreter = create(
            backend,
            Program(
                data=model.data,
                graph=model.graph,
                inputs=(model.x, *(state.input for state in model.states)),
                outputs=(model.y, *(state.output for state in model.states)),
            ),
        )
        x, *before = self._interpreter.inputs
        y, *after = self._interpreter.outputs
        self._x, self._y = x[0], y[0]
        quantized = x.dtype.kind != "f"
        self._x_bits = self._x.view(f"u{x.dtype.itemsize}") if quantized else self._x
        # Byte views, because copying one is three times as fast as copying an array.
        self._before = tuple(_bytes_of(array) for array in before)
        self._after = tuple(_bytes_of(array) for array in after)
        self._lock = threading.Lock()

    def step(self, frame: Array, states: Sequence[memoryview]) -> npt.NDArray[np.float32] | None:
        """One float frame in, its prediction out; None, and nothing done, if `Encoder.write`
        does not take the frame.
        """
        self._lock.acquire()  # not `with`, which costs twice as much
        try:
            if not self.encoder.write(frame, self._x_bits):
                return None
            self._advance(states)
            return self.decoder.decode(self._y)
        finally:
            self._lock.release()

    def step_raw(self, frame: Array, states: Sequence[memoryview]) -> Array:
        """One raw frame of the tensor's own type and shape in, its raw prediction out."""
        self._lock.acquire()
        try:
            self._x[...] = frame
            self._advance(states)
            prediction: Array = self._y.copy()
            return prediction
        finally:
            self._lock.release()

    def _advance(self, states: Sequence[memoryview]) -> None:
        for target, state in zip(self._before, states, strict=True):
            target[_ALL] = state
        self._interpreter.invoke()
        for state, source in zip(states, self._after, strict=True):
            state[_ALL] = source


def _bytes_of(array: Array) -> memoryview:
    return memoryview(array.reshape(-1).data).cast("B")
