"""Frames to a tensor's raw values and back: validation, normalisation, quantization.

`Encoder.encode` takes any block of frames. `Encoder.write` is the same arithmetic, bit for bit,
for one ordinary frame in a third of the time: it is what a `push` of a single frame costs.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.metadata import Normalisation, quantize
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

_FLOAT64: Final = np.dtype(np.float64)
_FLOAT32: Final = np.dtype(np.float32)
_ROUNDING: Final = 1.5 * 2.0**52
"""Between 2^52 and 2^53 a float64 has no fraction bits, so adding this rounds half to even."""


class Encoder:
    """Turns float frames of one shape into the raw values of the tensor `x`."""

    def __init__(
        self, tensor: Tensor, shape: tuple[int, ...], normalisation: Normalisation | None
    ) -> None:
        self.shape = shape
        self.dtype = tensor.numpy_dtype
        self._quantized = self.dtype.kind != "f"
        self._scale = tensor.scale[0] if self._quantized else 1.0
        self._zero_point = tensor.zero_point[0] if self._quantized else 0
        self._gain: Array | None = None
        if normalisation is not None:
            self._gain = _spread(normalisation.scale, shape)
            self._offset = _spread(normalisation.offset, shape)
        self._prepare_write()

    def encode(self, frames: Array) -> Array:
        """Raw values `(n, *shape)` of a block of float frames `(n, *shape)`.

        Raises:
            InputError: a value is NaN, infinite or beyond float32 in a float model.
        """
        real = frames.astype(np.float64)
        self._require_finite(real, frames)
        with np.errstate(over="ignore"):  # an overflow saturates like any other large value
            if self._gain is not None:
                real = real * self._gain + self._offset
            if self._quantized:
                return quantize(real, self._scale, self._zero_point, self.dtype)
            raw = real.astype(self.dtype)
        self._require_finite(raw, frames)
        return raw

    def _require_finite(self, values: Array, frames: Array) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            place = tuple(int(i) for i in np.argwhere(~finite)[0])
            element = place[1] if len(place) == 2 else place[1:]
            raise InputError(
                f"frame {place[0]} of {len(frames)}: value {element} is {frames[place]}, "
                "not a finite number in range"
            )

    def _prepare_write(self) -> None:
        """Constants and buffers of `write`; arrays, because NumPy is slower with scalars."""
        shape = self.shape
        self._real = np.empty(shape, np.float64)
        if not self._quantized:
            self._flags = bytearray(math.prod(shape))
            self._finite = np.frombuffer(self._flags, np.bool_).reshape(shape)
            return
        bits = 8 * self.dtype.itemsize
        lowest = int(np.iinfo(str(self.dtype)).min)
        # Rounding ties goes by the parity of the sum, so what is added must be even.
        shift = self._zero_point - lowest
        shift += shift % 2
        self._divisor = np.full(shape, self._scale)
        self._rounding = np.full(shape, _ROUNDING + shift)
        self._bits = np.full(shape, bits, np.int64)
        self._mantissa = self._real.view(np.int64)
        unsigned = np.dtype(f"u{self.dtype.itemsize}")
        self._low = self._real.view(unsigned)[..., :: 64 // bits]
        back = (self._zero_point - shift) % (1 << bits)
        self._back = np.full(shape, back, unsigned)
        self._high_bytes = bytearray(8 * math.prod(shape))
        self._high = np.frombuffer(self._high_bytes, np.int64).reshape(shape)
        ordinary = np.full(shape, _ROUNDING).view(np.int64) >> bits
        self._ordinary = bytearray(ordinary.tobytes())

    def write(self, frame: Array, target: Array) -> bool:
        """Write one frame to `target`, the interpreter's own memory seen as unsigned integers.

        False if the frame is not ordinary (type, NaN, infinite, saturating): `encode` knows.
        """
        dtype = frame.dtype
        if dtype is not _FLOAT64 and dtype is not _FLOAT32:
            return False
        real = self._real
        if self._gain is not None:
            np.multiply(frame, self._gain, real)
            np.add(real, self._offset, real)
            frame = real
        if not self._quantized:
            target[...] = frame
            np.isfinite(target, self._finite)
            return 0 not in self._flags
        np.divide(frame, self._divisor, real)
        np.add(real, self._rounding, real)
        # Now the integer stands in the low mantissa bits. In range (and so finite) it fills only
        # the low byte or two: all above is the same for every ordinary value.
        np.right_shift(self._mantissa, self._bits, self._high)
        if self._high_bytes != self._ordinary:
            return False
        np.add(self._low, self._back, target)
        return True


class Decoder:
    """Turns raw values of the tensor `y` into float32: `(q - zero_point) * scale`."""

    def __init__(self, tensor: Tensor) -> None:
        quantized = tensor.dtype != "float32"
        zero_point = tensor.zero_point[0] if quantized else 0
        self._scale = np.full(tensor.shape[1:], tensor.scale[0], np.float32) if quantized else None
        self._zero = np.full(tensor.shape[1:], zero_point, np.float32) if zero_point else None

    def decode(self, raw: Array) -> npt.NDArray[np.float32]:
        """Real values of one prediction, or of a block of them; the result is a copy."""
        real = raw.astype(_FLOAT32)
        if self._zero is not None:
            np.subtract(real, self._zero, real)
        if self._scale is not None:
            np.multiply(real, self._scale, real)
        return real


def _spread(values: tuple[float, ...], shape: tuple[int, ...]) -> Array:
    """One value per element of a frame."""
    flat = np.array(values, np.float64)
    return flat.reshape(shape) if len(values) > 1 else np.full(shape, flat[0])


assert sys.byteorder == "little", "edgernn needs a little-endian machine"
