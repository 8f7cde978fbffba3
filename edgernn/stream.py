"""A stream: frames in, predictions out, the state carried between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from edgernn import blob
from edgernn.codec import require_finite
from edgernn.engine import Engine
from edgernn.errors import InputError
from edgernn.masks import masked_output, raw_mask
from edgernn.ports import columns

if TYPE_CHECKING:
    from edgernn.engine import Worker
    from edgernn.model import Model

Array = npt.NDArray[Any]
Frames = npt.ArrayLike | Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]

_COUNTER: Final = 4
"""Bytes of the count of steps behind the states, little-endian, in models that need one."""


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
        self._single = not model.gives_blocks
        self._raw_dtype = model.frames.dtype
        plain = model.frames.single and model.predictions.single
        self._integers = self._raw_dtype.kind != "f"
        no_change = model.metadata.normalisation is None
        is_float = not self._integers and model.y.dtype == "float32"
        self._raw_is_real = plain and is_float and no_change
        self._mask = raw_mask(model.inputs, model.metadata)
        self._ordinary = plain and self._mask is None and model.x.dtype != "int32"
        self._counted = model.metadata.counted_steps
        self._first = tuple(state.initial.tobytes() for state in model.states)
        end = bytes(_COUNTER) if self._counted else b""
        if self._mask is not None:  # the last prediction, behind the states
            end = model.predictions.join(masked_output(model.outputs, model.metadata)).tobytes()
        self._held = len(end)
        self._initial = b"".join(self._first) + end
        self._memory = bytearray(self._initial)
        self._states = self._views(model)
        self._pending = np.empty((0, *self._frame_shape), self._raw_dtype)
        self._set_pace()

    @property
    def backend(self) -> str:
        """Name of the interpreter backend in use."""
        return self._engine.backend

    @property
    def waits(self) -> bool:
        """Whether the end of the sequence (`last`) still brings a prediction; see PassStream."""
        return False

    def push(self, frames: Frames, last: bool = False) -> Any:
        """Feed one float frame `(F,)` or a block `(n, F)`, in the units the model was trained on.

        Returns the prediction `(outputs,)` of a frame, or `(n, outputs)` of a block, as float32.
        If the model takes k frames per step, gives several predictions per step, or needs some
        frames before its first (`Metadata.warmup`), the result is always a block: the predictions
        of each step that these frames complete, so possibly none; the frames left over wait.

        A model of several inputs takes a dict with an array for each, or a tuple in `Model.inputs`'
        order; an input without a time axis comes once or for each frame. One of several outputs
        gives a dict. With `last`, these frames end a sequence: the result is the last prediction
        alone, and the stream is reset.

        Raises:
            InputError: wrong shape or type, or a value is NaN or infinite; names the frame. The
                stream is as it was.
        """
        if frames.__class__ is ndarray and frames.shape == self._fast_shape and not last:
            try:  # `borrow`, without the price of a call
                worker = self._idle.pop()
            except IndexError:
                worker = self._engine.borrow()
            prediction = worker.step(frames, self._states)
            self._idle.append(worker)
            if prediction is not None:
                return prediction if self._single else prediction[np.newaxis]
        blocks, single = self._blocks(frames, raw=False)
        encoders = self._engine.encoders
        raw = [encoder.encode(b) for encoder, b in zip(encoders, blocks, strict=True)]
        found = columns(self._run(self.model.frames.join(raw), last))
        real = [decoder.decode(y) for decoder, y in zip(self._engine.decoders, found, strict=True)]
        return self._given(real, single, last)

    def push_raw(self, frames: Any, last: bool = False) -> Any:
        """`push` in the model's own numbers: quantized frames in, quantized predictions out.

        Takes arrays of exactly the type of `Model.x` and gives the type of `Model.y`; nothing is
        normalised.

        Raises:
            InputError: wrong shape or type, or (float models) a value is NaN or infinite. The
                stream is as it was.
        """
        if frames.__class__ is ndarray and frames.dtype is self._raw_dtype:
            if self._raw_is_real:
                return self.push(frames, last)
            if not last and frames.shape == self._fast_shape and self._integers:
                worker = self._engine.borrow()
                prediction = worker.step_raw(frames, self._states)
                self._idle.append(worker)
                return prediction if self._single else prediction[np.newaxis]
        blocks, single = self._blocks(frames, raw=True)
        for block, encoder in zip(blocks, self._engine.encoders, strict=True):
            if block.dtype.kind == "f":
                require_finite(block)
            elif encoder.tokens:
                encoder.require_tokens(block)
        found = columns(self._run(self.model.frames.join(blocks), last))
        return self._given(found, single, last)

    def reset(self) -> None:
        """Back to the initial state; frames that wait are dropped."""
        self._memory[:] = self._initial
        self._pending = self._pending[:0]
        self._set_pace()

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
        self._set_pace()

    def _views(self, model: Model) -> tuple[memoryview, ...]:
        """A byte view of `_memory` per state."""
        memory, views, start = memoryview(self._memory), [], 0
        for state in model.states:
            views.append(memory[start : start + state.initial.nbytes])
            start += state.initial.nbytes
        return tuple(views)

    def _blocks(self, frames: Any, raw: bool) -> tuple[list[Array], bool]:
        """A block `(n, *features)` for each input, and whether one prediction is wanted."""
        names, described = self.model.frames.names, self.model.metadata.inputs
        if len(names) == 1:
            block, single = self._block(0, frames, raw)
            return [block], single and self._single
        if isinstance(frames, ndarray) and frames.dtype == self._raw_dtype:
            frames = self.model.frames.split(frames)
        parts = list(frames.values()) if isinstance(frames, Mapping) else frames
        if isinstance(frames, Mapping):
            if set(frames) != set(names):
                raise InputError(
                    f"the frames are for {', '.join(map(repr, frames)) or 'nothing'}, the model "
                    f"takes {', '.join(map(repr, names))}"
                )
            parts = [frames[name] for name in names]
        if not isinstance(parts, (list, tuple)) or len(parts) != len(names):
            raise InputError(f"the model takes a dict or tuple of {', '.join(map(repr, names))}")
        found = [self._block(i, part, raw) for i, part in enumerate(parts)]
        timed = [f for f, one in zip(found, described, strict=True) if one.is_sequence]
        lengths = {len(block) for block, _ in timed}
        if len(lengths) > 1 or len({single for _, single in timed}) > 1:
            raise InputError(f"the inputs have {sorted(lengths)} frames: give equally many of each")
        (length,) = lengths
        blocks = [
            np.broadcast_to(b, (length, *b.shape[1:])) if not one.is_sequence and len(b) == 1 else b
            for (b, _), one in zip(found, described, strict=True)
        ]
        for name, block in zip(names, blocks, strict=True):
            if len(block) != length:
                raise InputError(f"'{name}' comes once or for each of the {length} frames")
        return blocks, timed[0][1] and self._single

    def _block(self, index: int, frames: Any, raw: bool) -> tuple[Array, bool]:
        """The frames of one input as a block, and whether it is a single frame."""
        encoder = self._engine.encoders[index]
        shape, several = encoder.shape, len(self.model.inputs) > 1
        name = f"'{self.model.frames.names[index]}': " if several else ""
        try:
            array = np.asarray(frames)
        except (ValueError, TypeError):  # lists of unequal length
            raise InputError(f"{name}the frames are no array of shape {_shapes(shape)}") from None
        if raw and array.dtype != encoder.dtype:
            raise InputError(
                f"{name}push_raw takes {encoder.dtype} frames of this model, not {array.dtype}"
            )
        if array.dtype.kind not in "fiub":
            raise InputError(f"{name}frames hold real numbers, not {array.dtype}")
        if array.shape == shape:
            return array[np.newaxis], True
        if array.ndim == 0 or array.shape[1:] != shape:
            raise InputError(
                f"{name}the frames have shape {array.shape}, the model takes {_shapes(shape)}"
            )
        return array, False

    def _given(self, found: Sequence[Array], single: bool, last: bool) -> Any:
        """Predictions as the caller gets them."""
        if last:
            self.reset()
            if not len(found[0]):
                raise InputError("the sequence ended before its first prediction")
            found, single = [rows[-1:] for rows in found], True
        rows = [y[0] for y in found] if single else found
        names = self.model.predictions.names
        return rows[0] if len(names) == 1 else dict(zip(names, rows, strict=True))

    def _run(self, block: Array, last: bool) -> Array:
        """Raw frames through the model: `(n, *frame)` to `(m, *prediction)`.

        `last` says that none follow, which only passes need to know.
        """
        per_step = self._frames_per_step
        if per_step > 1:
            frames = np.concatenate([self._pending, block])
            steps = len(frames) // per_step
            self._pending = frames[steps * per_step :].copy()
            block = frames[: steps * per_step].reshape(steps, per_step, *self._frame_shape)
        if self._mask is not None:
            masked = (block == self._mask).reshape(len(block), -1).all(axis=1)
            return self._run_unmasked(block, masked)
        before, given = self._count(), self.model.predictions
        rows = self.model.metadata.outputs_per_step
        lead = (len(block), rows) if rows > 1 else (len(block),)
        predictions = np.empty((*lead, *given.shape), given.dtype)
        worker = self._engine.borrow()
        done = self._begin(worker, block, predictions) if self._counted else 0
        worker.run(block[done:], self._states, predictions[done:])
        self._idle.append(worker)
        first = max(0, self.model.metadata.warmup - before)
        return predictions[first:].reshape(-1, *given.shape)

    def _run_unmasked(self, block: Array, masked: Array) -> Array:
        """The steps of the frames that are not masked; the others repeat what was before."""
        given = self.model.predictions
        held = np.frombuffer(self._memory[-self._held :], given.dtype).reshape(1, *given.shape)
        made = np.empty((int((~masked).sum()), *given.shape), given.dtype)
        worker = self._engine.borrow()
        worker.run(np.ascontiguousarray(block[~masked]), self._states, made)
        self._idle.append(worker)
        predictions: Array = np.concatenate([held, made])[np.cumsum(~masked)]
        self._memory[-self._held :] = np.concatenate([held, made])[-1].tobytes()
        return predictions

    def _begin(self, worker: Worker, block: Array, predictions: Array) -> int:
        """Make the counted ones of these steps; returns how many."""
        count = self._count()
        steps = max(0, min(self._counted - count, len(block)))
        for i in range(steps):
            worker.run(block[i : i + 1], self._states, predictions[i : i + 1])
            for state, memory, value in zip(
                self.model.states, self._states, self._first, strict=True
            ):
                if count + i < state.starts:
                    memory[:] = value
        self._memory[-_COUNTER:] = (count + steps).to_bytes(_COUNTER, "little")
        self._set_pace()
        return steps

    def _set_pace(self) -> None:
        """Whether a single frame is one step and one prediction, and may go the fast way."""
        document = self.model.metadata
        one_to_one = document.frames_per_step == document.outputs_per_step == 1
        fast = one_to_one and self._ordinary and self._count() >= self._counted
        self._fast_shape = self._frame_shape if fast else None

    def _count(self) -> int:
        """Steps since the reset, as far as they are counted."""
        return int.from_bytes(self._memory[-_COUNTER:], "little") if self._counted else 0


def _shapes(shape: tuple[int, ...]) -> str:
    frame = ", ".join(str(n) for n in shape)
    return f"({frame}{',' if len(shape) == 1 else ''}) or (n, {frame})" if shape else "() or (n,)"
