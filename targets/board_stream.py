"""A stream whose model runs on a board, with the API of `edgernn.Stream`."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from edgernn import blob
from edgernn.engine import Engine, Worker, codecs
from edgernn.fastpath import Array, frame_by_frame
from edgernn.model import Model, load
from edgernn.stream import Stream
from targets.firmware import build
from targets.qemu import BoardStep


class _BoardEngine(Engine):
    """One worker, which leaves the state where it is: on the board."""

    def __init__(self, model: Model, name: str, step: BoardStep) -> None:
        self.backend = name
        self.encoders, self.decoders = codecs(model)

        def step_raw(frame: Array, states: Sequence[memoryview]) -> Array:
            (y,) = step.step(np.ascontiguousarray(frame))
            return y.reshape(model.y.shape[1:])

        run = frame_by_frame(step_raw)
        self.idle = [Worker(lambda frame, states: None, step_raw, run)]


class BoardStream(Stream):
    """A stream in a board's firmware, talked to over its serial port."""

    def __init__(self, model: Model, name: str, step: BoardStep) -> None:
        super().__init__(model, _BoardEngine(model, name, step))
        self.board = step

    def reset(self) -> None:
        """Back to the initial state; frames that wait are dropped."""
        self.board.reset()
        super().reset()

    def save(self) -> bytes:
        """The state on the board and the frames that wait here, as a small blob."""
        size = len(self._memory)
        self._memory[:], _ = blob.unpack(self.board.save(), self.model.hash, size, 1, 1)
        return super().save()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called, on a board or on any interpreter.

        Raises:
            StateError: the blob is damaged or of another model. The stream is as it was.
        """
        super().restore(saved)
        self.board.restore(blob.pack(self.model.hash, bytes(self._memory), b""))

    def close(self) -> None:
        """Switch the board off."""
        self.board.close()


def board_stream(
    model: Model | str | os.PathLike[str], board: str, cc: str | None = None
) -> BoardStream:
    """Compile a model into a board's firmware, boot it in QEMU, and stream to it.

    Raises:
        InputError: the board is unknown, or too small for the model.
        UnsupportedError: an operator cannot be compiled for its core.
        MissingDependencyError: QEMU or the compiler is missing; says how to install it.
    """
    loaded = model if isinstance(model, Model) else load(model)
    return BoardStream(loaded, board, BoardStep(build(loaded.data, board, cc)))
