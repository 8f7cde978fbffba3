"""The `EDGERNN` document inside a step model: what a runtime needs that the graph cannot say.

It is JSON in the flatbuffer's own `metadata` table. Everything is optional to the reader: a
`.tflite` without it still runs, it just has no labels, no normalisation and no self-test.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelFileError

KEY: Final = "EDGERNN"
FORMAT: Final = 1


@dataclass(frozen=True)
class State:
    """A carried tensor: its name in the signature, its shape, its first value in real units.

    `initial` is flat, in C order; None means zeros.
    """

    name: str
    shape: tuple[int, ...]
    initial: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Normalisation:
    """What the runtime does to a raw frame before it is quantized: `x * scale + offset`.

    Both have one value per element of the frame, or a single one for all.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class Golden:
    """A short recorded run from the initial state, for a self-test on the device.

    `inputs` and `outputs` are the raw little-endian integers (or floats) of the tensors `x` and
    `y`, one step after the other. Generated C must reproduce `outputs` exactly; an interpreter
    may be off by `tolerance` last bits (for floats: by `tolerance` in real units).
    """

    steps: int
    inputs: bytes
    outputs: bytes
    tolerance: float
    reference: str


@dataclass(frozen=True)
class Metadata:
    """Everything the document holds. `frames_per_step` input frames make one output."""

    states: tuple[State, ...] = ()
    frames_per_step: int = 1
    output_stride: int = 1
    normalisation: Normalisation | None = None
    labels: tuple[str, ...] = ()
    front_end: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    golden: Golden | None = None

    def to_json(self) -> bytes:
        """The document as UTF-8 JSON with sorted keys, so that equal models are equal bytes."""
        document: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        if self.golden is not None:
            for key in ("inputs", "outputs"):
                document["golden"][key] = base64.b64encode(document["golden"][key]).decode()
        return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def from_json(raw: bytes) -> Metadata:
    """Read the document back.

    Raises:
        ModelFileError: it is not JSON, of a later format, or a field has the wrong type.
    """
    try:
        document = json.loads(raw)
        if not isinstance(document, dict):
            raise TypeError("the document is not an object")
        if document["format"] != FORMAT:
            raise ModelFileError(
                f"the model's metadata has format {document['format']}, this edgernn reads "
                f"{FORMAT}: upgrade edgernn"
            )
        return Metadata(
            states=tuple(_state(s) for s in document["states"]),
            frames_per_step=_positive(document["frames_per_step"]),
            output_stride=_positive(document["output_stride"]),
            normalisation=_normalisation(document["normalisation"]),
            labels=tuple(str(label) for label in document["labels"]),
            front_end=dict(document["front_end"]),
            detector=dict(document["detector"]),
            provenance={str(k): str(v) for k, v in document["provenance"].items()},
            golden=_golden(document["golden"]),
        )
    except ModelFileError:
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ModelFileError(f"the model's metadata is damaged ({error!r})") from None


def _positive(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value < 1 << 20:
        raise ValueError(f"{value!r} is not a small positive number")
    return value


def _floats(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if not all(math.isfinite(v) for v in numbers):
        raise ValueError("a number is not finite")
    return numbers


def _state(entry: Any) -> State:
    shape = tuple(_positive(n) for n in entry["shape"])
    initial = None if entry["initial"] is None else _floats(entry["initial"])
    if initial is not None and len(initial) != math.prod(shape):
        raise ValueError(f"state {entry['name']!r} has {len(initial)} first values")
    return State(str(entry["name"]), shape, initial)


def _normalisation(entry: Any) -> Normalisation | None:
    if entry is None:
        return None
    return Normalisation(_floats(entry["scale"]), _floats(entry["offset"]))


def _golden(entry: Any) -> Golden | None:
    if entry is None:
        return None
    return Golden(
        steps=_positive(entry["steps"]),
        inputs=base64.b64decode(entry["inputs"], validate=True),
        outputs=base64.b64decode(entry["outputs"], validate=True),
        tolerance=_floats([entry["tolerance"]])[0],
        reference=str(entry["reference"]),
    )


def quantize(
    values: npt.ArrayLike, scale: float, zero_point: int, dtype: npt.DTypeLike
) -> npt.NDArray[np.generic]:
    """Real values to a tensor's integers: `round(x / scale) + zero_point`, saturated.

    Rounds half to even, in float64: the one formula of Python, metadata and generated C.
    """
    limits = np.iinfo(dtype)
    scaled = np.rint(np.asarray(values, np.float64) / scale) + zero_point
    raw: npt.NDArray[np.generic] = np.clip(scaled, limits.min, limits.max).astype(dtype)
    return raw
