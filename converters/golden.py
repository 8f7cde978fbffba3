"""The golden sequence: a short recorded run that any device can replay as its self-test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from converters.packing import unpack
from converters.rolling import Array, to_raw
from converters.trace import FloatStep
from edgernn.errors import EdgernnError
from edgernn.masks import raw_mask
from edgernn.metadata import Golden
from edgernn.model import Model, load
from edgernn.ports import columns

GOLDEN_STEPS: Final = 16


def record(data: bytes, step: FloatStep, held_back: Sequence[Array]) -> Golden:
    """Record the reference interpreter on a stretch of real data, behind its warm-up.

    The tolerance is twice what LiteRT differs by here, and at least 2 last bits (int8), 16 (int16)
    or 1e-5 (float32).
    """
    model = load(data)
    frames_per_step = model.metadata.frames_per_step
    longest = max(held_back, key=len)
    steps = min(model.metadata.warmup + GOLDEN_STEPS, len(longest) // frames_per_step)
    if model.passes:
        steps = min(_frames_to_show(model), len(longest)) // frames_per_step
    raw = _raw(model, unpack(step.inputs, longest[: steps * frames_per_step]))
    mask = raw_mask(model.inputs, model.metadata)
    if model.passes and mask is not None:  # it fills the window
        steps = _frames_to_show(model)
        raw = np.concatenate([raw, np.repeat(mask, steps - len(raw), axis=0)])
    litert = model.stream("litert").push_raw(raw)
    try:
        expected, reference = model.stream("tflm").push_raw(raw), "tflite-micro"
    except EdgernnError:  # not installed here, or an operator that it does not have
        expected, reference = litert, "litert"
    seen = max(
        float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
        for a, b in zip(columns(litert), columns(expected), strict=True)
    )
    floor = {"int8": 2.0, "int16": 16.0}.get(model.y.dtype, 1e-5)
    tolerance = max(floor, 2 * seen)
    joined = model.predictions.join(columns(expected))
    return Golden(steps, raw.tobytes(), joined.tobytes(), tolerance, reference)


def _raw(model: Model, parts: Sequence[Array]) -> npt.NDArray[Any]:
    """Frames of each input as the model's own numbers."""
    arrays = zip(parts, model.inputs.values(), strict=True)
    return model.frames.join([to_raw(part, tensor) for part, tensor in arrays])


def _frames_to_show(model: Model) -> int:
    """Frames in which a model of several passes gives its first predictions."""
    passes = model.metadata.passes
    assert passes is not None
    if passes.window:
        return passes.window
    return model.metadata.latency + GOLDEN_STEPS * model.metadata.frames_per_step
