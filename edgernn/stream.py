"""A stream: frames in, predictions out, the state carried between calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from edgernn import blob
from edgernn.codec import require_finite
from edgernn.engine import Engine
from edgernn.errors import InputError

if TYPE_CHECKING:
    from edgernn.model import Model

Array = npt.NDArray[Any]


class Stream:
    """One sequence on its way through a model; made by `Model.stream`.

    Any split of a sequence into pushes gives the same predictions, bit for bit. Streams do not
    touch each other, also across threads; a single stream belongs to one thread at a time.
    """

    def __init__(self, model: Model, engine: Engine) -> None:
        self.model = model
        self._engine = engine
        self._idle = engine.idle
        self._frame_shape = model.frame_shape
        self._frames_per_step = model.metadata.frames_per_step
        self._raw_dtype = model.x.numpy_dtype
        self._integers = self._raw_dtype.kind != "f"
        no_change = model.metadata.normalisation is None
        self._raw_is_real = not self._integers and model.y.dtype == "float32" and no_change
        self._fast_shape = self._frame_shape if self._frames_per_step == 1 else None
        self._initial = b"".join(state.initial.tobytes() for state in model.states)
        self._memory = bytearray(self._initial)
        self._states = self._views(model)
        self._pending = np.empty((0, *self._frame_shape), self._raw_dtype)

    @property
    def backend(self) -> str:
        """Name of the interpreter backend in use."""
        return self._engine.backend

    def push(self, frames: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Feed one float frame `(F,)` or a block `(n, F)`, in the units the model was trained on.

        Returns the prediction `(outputs,)` of a frame, or `(n, outputs)` of a block, as float32.
        If the model takes k frames per step, the result is always a block: one row for each step
        that these frames complete, so possibly none; the frames left over wait.

        Raises:
            InputError: wrong shape or type, or a value is NaN or infinite; names the frame. The
                stream is as it was.
        """
        if frames.__class__ is ndarray and frames.shape == self._fast_shape:
            try:  # `borrow`, without the price of a call
                worker = self._idle.pop()
            except IndexError:
                worker = self._engine.borrow()
            prediction = worker.step(frames, self._states)
            self._idle.append(worker)
            if prediction is not None:
                return prediction
        block, single = self._block(frames, None)
        raw = self._run(self._engine.encoder.encode(block))
        predictions = self._engine.decoder.decode(raw)
        return predictions[0] if single else predictions

    def push_raw(self, frames: Array) -> Array:
        """`push` in the model's own numbers: quantized frames in, quantized predictions out.

        Takes arrays of exactly the type of `Model.x` and gives the type of `Model.y`; nothing is
        normalised.

        Raises:
            InputError: wrong shape or type, or (float models) a value is NaN or infinite. The
                stream is as it was.
        """
        if frames.__class__ is ndarray and frames.dtype is self._raw_dtype:
            if self._raw_is_real:
                return self.push(frames)
            if frames.shape == self._fast_shape and self._integers:
                worker = self._engine.borrow()
                prediction = worker.step_raw(frames, self._states)
                self._idle.append(worker)
                return prediction
        block, single = self._block(frames, self._raw_dtype)
        if block.dtype.kind == "f":
            require_finite(block)
        predictions = self._run(block)
        return predictions[0] if single else predictions

    def reset(self) -> None:
        """Back to the initial state; frames that wait are dropped."""
        self._memory[:] = self._initial
        self._pending = self._pending[:0]

    def save(self) -> bytes:
        """The state and the frames that wait, as a small blob bound to this model."""
        return blob.pack(self.model.hash, bytes(self._memory), self._pending.tobytes())

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called, in this process or another one.

        Raises:
            StateError: the blob is damaged or of another model. The stream is as it was.
        """
        frame_size = self._pending.dtype.itemsize * int(np.prod(self._frame_shape))
        states, pending = blob.unpack(
            saved, self.model.hash, len(self._memory), frame_size, self._frames_per_step
        )
        self._memory[:] = states
        frames = np.frombuffer(pending, self._pending.dtype)
        self._pending = frames.reshape(-1, *self._frame_shape).copy()

    def _views(self, model: Model) -> tuple[memoryview, ...]:
        """A byte view of `_memory` per state."""
        memory, views, start = memoryview(self._memory), [], 0
        for state in model.states:
            views.append(memory[start : start + state.initial.nbytes])
            start += state.initial.nbytes
        return tuple(views)

    def _block(self, frames: npt.ArrayLike, dtype: np.dtype[Any] | None) -> tuple[Array, bool]:
        """The frames as a block, and whether one prediction is wanted; `dtype` None is any real."""
        try:
            array = np.asarray(frames)
        except (ValueError, TypeError):  # lists of unequal length
            raise InputError(f"the frames are no array of shape {self._shapes()}") from None
        if dtype is not None and array.dtype != dtype:
            raise InputError(f"push_raw takes {dtype} frames of this model, not {array.dtype}")
        if array.dtype.kind not in "fiub":
            raise InputError(f"frames hold real numbers, not {array.dtype}")
        if array.shape == self._frame_shape:
            return array[np.newaxis], self._frames_per_step == 1
        if array.shape[1:] != self._frame_shape or array.ndim == 0:
            raise InputError(
                f"the frames have shape {array.shape}, the model takes {self._shapes()}"
            )
        return array, False

    def _shapes(self) -> str:
        frame = ", ".join(str(n) for n in self._frame_shape)
        return f"({frame}{',' if len(self._frame_shape) == 1 else ''}) or (n, {frame})"

    def _run(self, block: Array) -> Array:
        """Raw frames through the model: `(n, *frame)` to `(m, *prediction)`."""
        per_step = self._frames_per_step
        if per_step > 1:
            frames = np.concatenate([self._pending, block])
            steps = len(frames) // per_step
            self._pending = frames[steps * per_step :].copy()
            block = frames[: steps * per_step].reshape(steps, per_step, *self._frame_shape)
        y = self.model.y
        predictions = np.empty((len(block), *y.shape[1:]), y.numpy_dtype)
        worker = self._engine.borrow()
        worker.run(block, self._states, predictions)
        self._idle.append(worker)
        return predictions
