"""Streams of models that look back from the end: `Bidirectional` layers and `go_backwards`.

Such a model is a chain of passes, each a step model of its own. Even passes run forwards in time,
odd ones backwards. The output of a pass holds the row of its frame and, behind that, what belongs
to the window as a whole; the input of the next is the row of a frame and what the pass before gave
last for the whole. There is one scale for both, so handing over is a raw copy. Rows are handed over
in the order of time; the last pass gives them in the order in which it makes them, which is Keras'.

Whole windows: when the frames of a window are there, all passes run over it, each from its first
state. Masked frames are taken out before, and have the row of the frame before them; the end of a
sequence fills its window with them. Look-ahead: with every frame the even passes make one step,
their state carried, and the odd ones start anew and run over the last rows, newest first; their
last output is the row of the oldest (or, where only the whole counts, the running answer). No pass
is ever unrolled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgernn import blob
from edgernn.errors import StateError
from edgernn.masks import masked_output
from edgernn.stream import Stream

if TYPE_CHECKING:
    from edgernn.engine import Engine
    from edgernn.model import Model

Array = npt.NDArray[Any]


class PassStream(Stream):
    """One sequence on its way through a model of several passes; made by `Model.stream`.

    `push` and `push_raw` always return a block: the predictions that these frames complete.
    """

    def __init__(self, model: Model, engine: Engine) -> None:
        super().__init__(model, engine)
        assert model.metadata.passes is not None
        self._passes = model.metadata.passes
        self._parts = tuple(part.stream(engine.backend) for part in model.passes)
        self._frames = np.empty((0, *self._frame_shape), self._raw_dtype)
        self._rows = [self._no_rows(part) for part in model.passes]
        self._answered = 0  # of the frames that wait, those of a window that is done
        self._unmasked = self._none()
        if self._mask is not None:
            (self._unmasked,) = masked_output(model.outputs, model.metadata)

    @staticmethod
    def _no_rows(part: Model) -> Array:
        return np.empty((0, part.x.shape[-1]), part.x.numpy_dtype)

    @property
    def waits(self) -> bool:
        """Whether there are frames that `last` answers, as if masked frames filled their window."""
        return self._mask is not None and len(self._frames) > self._answered

    def reset(self) -> None:
        """Back to the initial state; frames that wait are dropped."""
        for part in self._parts:
            part.reset()
        self._frames, self._answered = self._frames[:0], 0
        self._rows = [rows[:0] for rows in self._rows]

    def save(self) -> bytes:
        """The state and the frames that wait, as a small blob bound to this model."""
        rings = b"".join(_padded(rows, capacity) for rows, capacity in self._rings())
        counts = np.array([len(rows) for rows, _ in self._rings()], "<u4").tobytes()
        states = b"".join(part.save() for part in self._carried())
        return blob.pack(self.model.hash, rings + counts + states, b"")

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called, in this process or another one.

        Raises:
            StateError: the blob is damaged or of another model. The stream is as it was.
        """
        raw = blob.unpack(saved, self.model.hash, None, 1, 1)[0]
        rings, at, found = self._rings(), 0, []
        sizes = [len(_padded(rows, capacity)) for rows, capacity in rings]
        counts = np.frombuffer(raw, "<u4", len(rings), sum(sizes))
        for (rows, capacity), size, count in zip(rings, sizes, counts, strict=True):
            full = np.frombuffer(raw[at : at + size], rows.dtype)
            found.append(full.reshape(capacity, *rows.shape[1:])[: int(count)].copy())
            at += size
        at += counts.nbytes
        before = [part.save() for part in self._carried()]
        try:
            for part, own in zip(self._carried(), before, strict=True):
                size = len(own) if part._frames_per_step == 1 else len(raw) - at
                part.restore(raw[at : at + size])
                at += size
        except StateError:
            for part, own in zip(self._carried(), before, strict=True):
                part.restore(own)
            raise
        if self._passes.window:
            (self._frames,), self._answered = found, 0
        else:
            self._rows[1::2] = found

    def _rings(self) -> list[tuple[Array, int]]:
        """What is kept of frames or rows, oldest first, and how much it can be."""
        if self._passes.window:
            return [(self._frames, self._passes.window)]
        return [(rows, self._passes.lookahead) for rows in self._rows[1::2]]

    def _carried(self) -> tuple[Stream, ...]:
        """The passes whose state outlives a push."""
        return self._parts[::2] if self._passes.lookahead else ()

    def _set_pace(self) -> None:
        self._fast_shape = None  # a frame is never one step of one interpreter

    def _run(self, block: Array, last: bool) -> Array:
        """Raw frames through all passes: `(n, *frame)` to `(m, *prediction)`."""
        given = self._look_ahead(block) if self._passes.lookahead else self._windows(block, last)
        return np.concatenate([self._none(), *given])

    def _windows(self, block: Array, last: bool) -> list[Array]:
        window, hop = self._passes.window, self._passes.hop
        frames = np.concatenate([self._frames, block])
        given = []
        while len(frames) >= window:
            given.append(self._whole(frames[:window]))
            frames = frames[hop:]
            self._answered = window - hop
        self._frames = frames.copy()
        if last and self.waits:
            given.append(self._whole(frames))  # as if masked frames filled the window
        return given

    def _whole(self, frames: Array) -> Array:
        """The answer to a window of frames; a masked one has the row of the frame before it."""
        if self._mask is None:
            return self._over(frames)
        real = ~(frames == self._mask).reshape(len(frames), -1).all(axis=1)
        made = self._over(frames[real]) if real.any() else self._none()
        rows = np.concatenate([self._unmasked, made])
        answer: Array = rows[np.cumsum(real)] if self._passes.rows[-1] else rows[-1:]
        return answer

    def _over(self, frames: Array) -> Array:
        """All passes over some frames, one or more."""
        for level, part in enumerate(self._parts):
            part.reset()
            backwards = level % 2 == 1
            y: Array = part.push_raw(np.ascontiguousarray(frames[::-1] if backwards else frames))
            rows = self._passes.rows[level]
            if level == len(self._parts) - 1:
                break
            whole = y[-1:, rows:]
            y = y[::-1] if backwards else y
            frames = y if rows == y.shape[1] else whole if rows == 0 else _beside(y, rows, whole)
        return y if self._passes.rows[-1] else y[-1:]

    def _look_ahead(self, block: Array) -> list[Array]:
        given = []
        for frame in block:
            y = self._parts[0].push_raw(frame[np.newaxis])
            for row in y:
                given.append(self._onwards(row[np.newaxis]))
        return given

    def _onwards(self, y: Array) -> Array:
        """What a new output of the first pass brings, a block of one prediction or none."""
        length = self._passes.lookahead
        for level in range(1, len(self._parts)):
            part = self._parts[level]
            if level % 2 == 0:
                y = part.push_raw(y)
            else:
                kept = np.concatenate([self._rows[level], y])[-length:]
                self._rows[level] = kept
                if self._passes.rows[level] and len(kept) < length:
                    return self._none()
                rows = self._passes.rows[level - 1]
                newest_first = _beside(kept, rows, y[:, rows:])[::-1]
                part.reset()
                y = part.push_raw(np.ascontiguousarray(newest_first))[-1:]
            if len(y) == 0:
                return self._none()
        return y

    def _none(self) -> Array:
        return np.empty((0, *self.model.prediction_shape), self.model.y.numpy_dtype)


def _padded(rows: Array, capacity: int) -> bytes:
    """Rows as bytes, zeros behind them."""
    size = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
    return rows.tobytes().ljust(capacity * size, b"\0")


def _beside(y: Array, rows: int, whole: Array) -> Array:
    """The rows of every frame, and behind each what belongs to the whole."""
    return np.concatenate([y[:, :rows], np.repeat(whole, len(y), axis=0)], axis=1)
