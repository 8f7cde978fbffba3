"""From a front end's integer features to the model's own integers, one rounding, no floats.

    raw = clamp((feature * multiplier + offset) >> shift)

holds what three steps in real numbers would do: the scale of the features, the normalisation of the
model's first input, and the scale and zero point of its tensor. It rounds halves up; the constants
have 30 bits, so that it is off by more than half a unit for next to no feature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.model import Model

Array = npt.NDArray[Any]

_BITS: Final = 30
_LARGEST_OFFSET: Final = float(1 << 60)


@dataclass(frozen=True)
class FrameQuantizer:
    """`multiplier` and `offset` have one value per element of a frame, `offset` with the half that
    rounds; `low` and `high` are the limits of the type `dtype`.
    """

    multiplier: tuple[int, ...]
    offset: tuple[int, ...]
    shift: int
    dtype: str

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest raw value."""
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    def __call__(self, features: npt.NDArray[np.int32]) -> Array:
        """Raw frames of features `(n, F)`."""
        wide = features.astype(np.int64)
        wide *= np.array(self.multiplier, np.int64)
        wide += np.array(self.offset, np.int64)
        wide >>= self.shift
        raw: Array = np.clip(wide, *self.limits).astype(self.dtype)
        return raw


def frame_quantizer(model: Model, front_end: FrontEnd) -> FrameQuantizer:
    """The quantizer between a front end and a model.

    Raises:
        InputError: the model has several inputs, takes floats or tokens, or frames of another size.
    """
    if len(model.inputs) != 1:
        raise InputError(f"a front end feeds one input, and the model has {len(model.inputs)}")
    tensor = model.x
    if tensor.dtype not in ("int8", "int16"):
        raise InputError(
            f"a front end gives integers, and the model takes {tensor.dtype}: convert it with "
            "--precision int8 or int16x8, without --io float32"
        )
    size, wanted = math.prod(front_end.frame_shape), math.prod(model.frame_shape)
    if size != wanted:
        raise InputError(
            f"the front end '{front_end.kind}' gives frames of {size} values, the model takes "
            f"{wanted}"
        )
    normalisation = model.metadata.normalisation
    gain, offset = np.ones(size), np.zeros(size)
    if normalisation is not None:
        gain = gain * np.ravel(normalisation.scale)
        offset = offset + np.ravel(normalisation.offset)
    real = gain * front_end.scale / tensor.scale[0]
    constant = offset / tensor.scale[0] + tensor.zero_point[0]
    largest = max(float(np.abs(real).max()), 2.0**-20)
    shift = _BITS - math.frexp(largest)[1]
    shift = min(shift, int(math.log2(_LARGEST_OFFSET / max(1.0, float(np.abs(constant).max())))))
    if shift < 1:
        raise InputError("the model's input scale is too small for this front end's features")
    return FrameQuantizer(
        tuple(round(float(r) * 2.0**shift) for r in real),
        tuple(round(float(c) * 2.0**shift) + (1 << (shift - 1)) for c in constant),
        shift,
        tensor.dtype,
    )
