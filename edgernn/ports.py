"""The inputs or the outputs of a model as one array: plain for one of them, structured for several.

A NumPy structured array holds a frame of every input side by side, laid out like a C struct. So
blocks, frames that wait and saved states look the same whatever the number of inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.tflite import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ports:
    """Names, types and shapes of what crosses the boundary of a step on one side.

    `dtype` and `shape` are those of one frame (or prediction) in a block `(n, *shape)`.
    """

    names: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether arrays are plain."""
        return self.dtype.fields is None

    def part(self, array: Array, name: str) -> Array:
        """The values of one port in an array of frames."""
        return array if self.single else array[name]

    def join(self, parts: Sequence[Array]) -> Array:
        """Blocks `(n, *features)` of each port as one."""
        if self.single:
            return parts[0]
        joined = np.zeros(len(parts[0]), self.dtype)
        for name, part in zip(self.names, parts, strict=True):
            joined[name] = part
        return joined

    def split(self, array: Array) -> dict[str, Array]:
        """The values of each port by its name."""
        return {name: self.part(array, name) for name in self.names}


def ports(tensors: Mapping[str, Tensor], per_step: int) -> Ports:
    """The ports of these tensors, which hold `per_step` frames each."""
    lead = 1 if per_step == 1 else 2
    if len(tensors) == 1:
        ((name, tensor),) = tensors.items()
        return Ports((name,), tensor.numpy_dtype, tensor.shape[lead:])
    fields = [(name, t.numpy_dtype, t.shape[lead:]) for name, t in tensors.items()]
    return Ports(tuple(tensors), np.dtype(fields, align=True), ())


def columns(array: Array | Mapping[str, Array]) -> list[Array]:
    """The plain arrays in an array of frames, or in what a stream gives."""
    if isinstance(array, Mapping):
        return list(array.values())
    names = array.dtype.names
    return [array] if names is None else [array[name] for name in names]
