"""Frames to a tensor's raw values and back: validation, normalisation, quantization."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.metadata import Normalisation, quantize
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

_FLOAT32: Final = np.dtype(np.float32)

assert sys.byteorder == "little", "edgernn needs a little-endian machine"


class Encoder:
    """Turns float frames of one shape into raw values of the tensor `x`."""

    def __init__(
        self,
        tensor: Tensor,
        shape: tuple[int, ...],
        normalisation: Normalisation | None,
        vocabulary: int | None = None,
    ) -> None:
        self.shape, self.vocabulary = shape, vocabulary
        self.dtype = tensor.numpy_dtype
        self.tokens = tensor.dtype == "int32"
        self.quantized = self.dtype.kind != "f" and not self.tokens
        self.scale = tensor.scale[0] if self.quantized else 1.0
        self.zero_point = tensor.zero_point[0] if self.quantized else 0
        self.gain: npt.NDArray[np.float64] | None = None
        self.offset: npt.NDArray[np.float64] | None = None
        if normalisation is not None:
            self.gain = _spread(normalisation.scale, shape)
            self.offset = _spread(normalisation.offset, shape)

    def encode(self, frames: Array) -> Array:
        """Raw values `(n, *shape)` of a block of real frames `(n, *shape)`.

        Raises:
            InputError: a value is NaN, infinite, or beyond float32 in a float model; a token is
                not one of the vocabulary.
        """
        real = frames.astype(np.float64)
        require_finite(real)
        if self.tokens:
            return self.require_tokens(real)
        with np.errstate(over="ignore"):  # an overflow saturates like any other large value
            if self.gain is not None and self.offset is not None:
                real = real * self.gain + self.offset
            if self.quantized:
                return quantize(real, self.scale, self.zero_point, self.dtype)
            raw: Array = real.astype(self.dtype)
        require_finite(raw)
        return raw

    def require_tokens(self, frames: Array) -> Array:
        """The frames as int32, if all are tokens that there are; else an `InputError`."""
        most = 1 << 31 if self.vocabulary is None else self.vocabulary
        wrong = (frames < 0) | (frames >= most) | (frames != np.rint(frames))
        if wrong.any():
            frame, *element = (int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"frame {frame}: {frames[(frame, *element)]:g} is no token; they are whole numbers "
                f"from 0 to {most - 1}"
            )
        tokens: Array = frames.astype(np.int32)
        return tokens


class Decoder:
    """Turns raw values of the tensor `y` into float32: `(q - zero_point) * scale`."""

    def __init__(self, tensor: Tensor) -> None:
        self.zero: np.float32 | None = None
        self.scale: np.float32 | None = None
        if tensor.dtype != "float32":
            self.scale = np.float32(tensor.scale[0])
            if tensor.zero_point[0]:
                self.zero = np.float32(tensor.zero_point[0])

    def decode(self, raw: Array) -> npt.NDArray[np.float32]:
        """Real values of raw ones, in the same shape."""
        real: npt.NDArray[np.float32] = raw.astype(_FLOAT32)
        if self.zero is not None:
            real -= self.zero  # exact: both are small integers
        if self.scale is not None:
            real *= self.scale
        return real


def require_finite(frames: Array) -> None:
    """Raise an `InputError` that names the first frame of the block with a NaN or infinity."""
    finite = np.isfinite(frames)
    if not finite.all():
        frame, *element = (int(i) for i in np.argwhere(~finite)[0])
        where = ", ".join(str(i) for i in element)
        raise InputError(
            f"frame {frame}: value {where} is {frames[(frame, *element)]}; nothing of this push "
            "was used"
        )


def _spread(values: tuple[float, ...], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """One value per element of a frame."""
    flat = np.array(values, np.float64)
    return flat.reshape(shape) if len(values) > 1 else np.full(shape, flat[0])
