"""Frames to try a step model with: every regime that its arithmetic has, always the same ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.engine import codecs
from edgernn.errors import InputError
from edgernn.masks import raw_mask
from edgernn.model import Model
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

_STRETCH = 16
"""Frames of one kind in a row, so that states settle or saturate."""

_MASKED = 7
"""Every so many frames, one is masked."""


def made_up(model: Model, steps: int) -> Iterator[Array]:
    """The golden sequence if the file has one, then raw frames from a fixed seed.

    Stretches of small noise, of noise over the whole range, of extremes only, and of one
    frame held still; now and then a masked frame, in a model that has such. A frame is what the
    step takes, `(1, *features)`; of a model with several inputs, a structured array of them.
    """
    golden, known = model.metadata.golden, 0
    if golden is not None:
        raw = np.frombuffer(golden.inputs, model.frames.dtype)
        shape = model.x.shape if model.frames.single else ()
        known = min(steps, golden.steps)
        yield from raw.reshape(golden.steps, *shape)[:known]
    random = np.random.default_rng(0)
    described = model.metadata.inputs
    ports = [
        _regimes(random, tensor, one.vocabulary)
        for tensor, one in zip(model.inputs.values(), described, strict=True)
    ]
    mask = raw_mask(model.inputs, model.metadata)
    for i, values in enumerate(itertools.islice(zip(*ports, strict=True), steps - known)):
        if mask is not None and i % _MASKED == 0:
            yield mask
        else:
            yield values[0] if model.frames.single else _record(model, values)


def _record(model: Model, values: Sequence[Array]) -> Array:
    rows = [v.reshape(1, *v.shape[1:]) for v in values]
    record: Array = model.frames.join(rows)[0]
    return record


def _regimes(
    random: np.random.Generator, tensor: Tensor, vocabulary: int | None
) -> Iterator[Array]:
    low, high, middle = _limits(tensor, vocabulary)
    for i in itertools.count():
        kind = i // _STRETCH % 4
        if kind == 0:
            values = random.normal(middle, (high - low) / 16, tensor.shape)
        elif kind == 1:
            values = random.uniform(low, high, tensor.shape)
        elif kind == 2:
            values = np.where(random.random(tensor.shape) < 0.5, low, high)
        elif i % _STRETCH == 0:
            values = random.uniform(low, high, tensor.shape)
        if tensor.numpy_dtype.kind != "f":
            values = np.clip(np.rint(values), low, high)
        yield values.astype(tensor.numpy_dtype)


def _limits(tensor: Tensor, vocabulary: int | None) -> tuple[float, float, float]:
    """Least and greatest raw value, and the one that stands for zero."""
    if tensor.numpy_dtype.kind == "f":
        return -8.0, 8.0, 0.0
    if tensor.dtype == "int32":
        most = float((vocabulary or 2) - 1)
        return 0.0, most, most / 2
    info = np.iinfo(str(tensor.numpy_dtype))
    return float(info.min), float(info.max), float(tensor.zero_point[0])


def recorded(model: Model, frames: npt.ArrayLike, steps: int | None) -> Iterator[Array]:
    """A recording `(T, *features)` in the units the model was trained on, as raw steps.

    Raises:
        InputError: the shape does not fit the model, or a value is NaN or infinite.
    """
    if not model.frames.single:
        raise InputError("a recording for a model of several inputs: leave it out")
    block = np.asarray(frames)
    shape, per_step = model.frame_shape, model.metadata.frames_per_step
    if block.ndim == 2 and block.shape[1] == int(np.prod(shape)):
        block = block.reshape(-1, *shape)
    if block.shape[1:] != shape or block.dtype.kind not in "fiub":
        raise InputError(f"the recording has shape {block.shape}, the model takes (n, *{shape})")
    count = len(block) // per_step if steps is None else min(steps, len(block) // per_step)
    if count == 0:
        raise InputError("the recording holds no whole step")
    (encoder,), _ = codecs(model)
    raw = encoder.encode(block[: count * per_step])
    yield from raw.reshape(count, *model.x.shape)
