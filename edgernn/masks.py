"""Masked frames, for which no step is made: what they are, and what stands in for a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.codec import Encoder
from edgernn.metadata import Metadata, quantize
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]


def raw_mask(inputs: Mapping[str, Tensor], metadata: Metadata) -> Array | None:
    """A masked frame `(1, *features)` in the model's own numbers; None for a model without a mask.

    Whether a frame is masked is decided on these, in Python as in C.
    """
    if metadata.mask is None:
        return None
    (tensor,) = inputs.values()
    encoder = Encoder(tensor, tensor.shape[1:], metadata.normalisation)
    return encoder.encode(np.full(tensor.shape, metadata.mask))


def masked_output(outputs: Mapping[str, Tensor], metadata: Metadata) -> list[Array]:
    """Each raw prediction `(1, ...)` before the first frame that is not masked."""
    parts, start = [], 0
    for tensor in outputs.values():
        real = np.reshape(metadata.masked_output[start : start + tensor.elements], tensor.shape)
        start += tensor.elements
        if tensor.scale:
            parts.append(quantize(real, tensor.scale[0], tensor.zero_point[0], tensor.numpy_dtype))
        else:
            parts.append(real.astype(tensor.numpy_dtype))
    return parts
