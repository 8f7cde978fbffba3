"""Frames to try a step model with: every regime that its arithmetic has, always the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.codec import Encoder
from edgernn.errors import InputError
from edgernn.model import Model

Array = npt.NDArray[Any]

_STRETCH = 16
"""Frames of one kind in a row, so that states settle or saturate."""


def made_up(model: Model, steps: int) -> Iterator[Array]:
    """The golden sequence if the file has one, then raw frames from a fixed seed.

    Stretches of small noise, of noise over the whole range, of extremes only, and of one
    frame held still.
    """
    x, golden, known = model.x, model.metadata.golden, 0
    if golden is not None:
        raw = np.frombuffer(golden.inputs, x.numpy_dtype).reshape(golden.steps, *x.shape)
        known = min(steps, golden.steps)
        yield from raw[:known]
    random = np.random.default_rng(0)
    low, high, middle = _limits(model)
    for i in range(steps - known):
        kind = i // _STRETCH % 4
        if kind == 0:
            values = random.normal(middle, (high - low) / 16, x.shape)
        elif kind == 1:
            values = random.uniform(low, high, x.shape)
        elif kind == 2:
            values = np.where(random.random(x.shape) < 0.5, low, high)
        elif i % _STRETCH == 0:
            values = random.uniform(low, high, x.shape)
        if x.numpy_dtype.kind != "f":
            values = np.clip(np.rint(values), low, high)
        yield values.astype(x.numpy_dtype)


def _limits(model: Model) -> tuple[float, float, float]:
    """Least and greatest raw value, and the one that stands for zero."""
    x = model.x
    if x.numpy_dtype.kind == "f":
        return -8.0, 8.0, 0.0
    info = np.iinfo(str(x.numpy_dtype))
    return float(info.min), float(info.max), float(x.zero_point[0])


def recorded(model: Model, frames: npt.ArrayLike, steps: int | None) -> Iterator[Array]:
    """A recording `(T, *features)` in the units the model was trained on, as raw steps.

    Raises:
        InputError: the shape does not fit the model, or a value is NaN or infinite.
    """
    block = np.asarray(frames)
    shape, per_step = model.frame_shape, model.metadata.frames_per_step
    if block.ndim == 2 and block.shape[1] == int(np.prod(shape)):
        block = block.reshape(-1, *shape)
    if block.shape[1:] != shape or block.dtype.kind not in "fiub":
        raise InputError(f"the recording has shape {block.shape}, the model takes (n, *{shape})")
    count = len(block) // per_step if steps is None else min(steps, len(block) // per_step)
    if count == 0:
        raise InputError("the recording holds no whole step")
    raw = Encoder(model.x, shape, model.metadata.normalisation).encode(block[: count * per_step])
    yield from raw.reshape(count, *model.x.shape)
