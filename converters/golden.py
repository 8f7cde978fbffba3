"""The golden sequence: a short recorded run that any device can replay as its self-test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from converters.rolling import Array, to_raw
from edgernn.errors import EdgernnError
from edgernn.metadata import Golden
from edgernn.model import load

GOLDEN_STEPS: Final = 16


def record(data: bytes, held_back: Sequence[Array], frames_per_step: int) -> Golden:
    """Record the reference interpreter on a stretch of real data.

    The tolerance is twice what LiteRT differs by here, and at least 2 last bits (int8), 16 (int16)
    or 1e-5 (float32).
    """
    model = load(data)
    steps = min(GOLDEN_STEPS, len(held_back[0]) // frames_per_step)
    frames = held_back[0][: steps * frames_per_step]
    raw = to_raw(frames, model.x)
    litert = model.stream("litert").push_raw(raw)
    try:
        expected, reference = model.stream("tflm").push_raw(raw), "tflite-micro"
    except EdgernnError:  # not installed here, or an operator that it does not have
        expected, reference = litert, "litert"
    seen = float(np.abs(litert.astype(np.float64) - expected.astype(np.float64)).max())
    floor = {"int8": 2.0, "int16": 16.0}.get(model.y.dtype, 1e-5)
    tolerance = max(floor, 2 * seen)
    return Golden(steps, _bytes(raw), _bytes(expected), tolerance, reference)


def _bytes(values: npt.NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
