"""The `EDGERNN` document inside a step model: what a runtime needs that the graph cannot say.

It is JSON in the flatbuffer's own `metadata` table. Everything is optional to the reader: a
`.tflite` without it still runs, it just has no labels, no normalisation and no self-test.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelFileError

KEY: Final = "EDGERNN"
FORMAT: Final = 1


@dataclass(frozen=True)
class State:
    """A carried tensor: its name in the signature, its shape, its first value in real units.

    `initial` is flat, in C order; None means zeros. After each of the first `starts` steps since a
    reset the runtime puts the first value back: what the state is made from is not valid before.
    """

    name: str
    shape: tuple[int, ...]
    initial: tuple[float, ...] | None = None
    starts: int = 0


@dataclass(frozen=True)
class Normalisation:
    """What the runtime does to a raw frame before it is quantized: `x * scale + offset`.

    Both have one value per element of the frame, or a single one for all.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class Input:
    """An input that is no state. One that is no sequence comes with every frame all the same.

    `vocabulary` is the number of tokens, for an input that takes tokens.
    """

    name: str = "x"
    is_sequence: bool = True
    normalisation: Normalisation | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class Output:
    """An output that is no state, and the names of its elements."""

    name: str = "y"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Golden:
    """A short recorded run from the initial state, for a self-test on the device.

    `inputs` and `outputs` are the raw little-endian integers (or floats) of the tensors `x` and
    `y`, one step after the other; there are no outputs of the warm-up. Generated C must reproduce
    `outputs` exactly; an interpreter may be off by `tolerance` last bits (for floats: by
    `tolerance` in real units).
    """

    steps: int
    inputs: bytes
    outputs: bytes
    tolerance: float
    reference: str


@dataclass(frozen=True)
class Passes:
    """How the passes of a model that looks back from the end run; see edgernn/passes.py.

    Either every `hop` frames over the last `window` frames, whole, or (`lookahead` > 0) with each
    frame, backward passes over the last `lookahead` rows. `rows` says for each pass how many
    leading elements of its output belong to the frame; the rest belong to the whole window.
    """

    rows: tuple[int, ...]
    window: int = 0
    hop: int = 0
    lookahead: int = 0


@dataclass(frozen=True)
class Metadata:
    """Everything the document holds.

    A step takes `frames_per_step` frames and gives `outputs_per_step` predictions: n of either
    stand in a time axis of length n behind the batch axis, if n > 1. What the first `warmup` steps
    give are no predictions; row i of the rest is row i of what the Keras model gives. `latency`
    is how many frames lie between the newest one that a prediction is counted for and the one with
    which it comes. For a frame of which all values are `mask`, in the units before normalisation,
    no step is made: the prediction is the one before it, and `masked_output` (flat, all outputs one
    after the other) if there is none. With `passes`, states, frames, rows and warm-up are those of
    the first pass, and masked frames are taken out of a window before the passes run over it.
    """

    states: tuple[State, ...] = ()
    frames_per_step: int = 1
    outputs_per_step: int = 1
    warmup: int = 0
    latency: int = 0
    mask: float | None = None
    masked_output: tuple[float, ...] = ()
    inputs: tuple[Input, ...] = (Input(),)
    outputs: tuple[Output, ...] = (Output(),)
    front_end: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    golden: Golden | None = None
    passes: Passes | None = None

    @property
    def normalisation(self) -> Normalisation | None:
        """That of the first input."""
        return self.inputs[0].normalisation

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the first output."""
        return self.outputs[0].labels

    @property
    def counted_steps(self) -> int:
        """Steps that a stream counts after a reset: those in which anything is special."""
        starts = max((state.starts for state in self.states), default=0)
        return max(self.warmup + 1, starts) if self.warmup or starts else 0

    def first_pass(self) -> Metadata:
        """What holds of the file's own graph: of several passes, the first."""
        if self.passes is None:
            return self
        alone = replace(self, passes=None, outputs=(Output(),), golden=None, latency=0)
        return replace(alone, mask=None, masked_output=())

    def to_json(self) -> bytes:
        """The document as UTF-8 JSON with sorted keys, so that equal models are equal bytes."""
        document: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        if self.golden is not None:
            for key in ("inputs", "outputs"):
                document["golden"][key] = base64.b64encode(document["golden"][key]).decode()
        return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def pass_key(level: int) -> str:
    """Name of the entry beside `KEY` that holds a later pass, a whole `.tflite` of its own."""
    return f"{KEY}_PASS_{level}"


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
            outputs_per_step=_positive(document["outputs_per_step"]),
            warmup=_count(document["warmup"]),
            latency=_count(document["latency"]),
            mask=None if document["mask"] is None else _floats([document["mask"]])[0],
            masked_output=_floats(document["masked_output"]),
            inputs=tuple(_input(entry) for entry in document["inputs"]),
            outputs=tuple(
                Output(str(entry["name"]), tuple(str(label) for label in entry["labels"]))
                for entry in document["outputs"]
            ),
            front_end=dict(document["front_end"]),
            detector=dict(document["detector"]),
            provenance={str(k): str(v) for k, v in document["provenance"].items()},
            golden=_golden(document["golden"]),
            passes=_passes(document.get("passes")),
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


def _count(value: Any) -> int:
    return 0 if value == 0 else _positive(value)


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
    return State(str(entry["name"]), shape, initial, _count(entry["starts"]))


def _input(entry: Any) -> Input:
    tokens = entry["vocabulary"]
    return Input(
        str(entry["name"]),
        bool(entry["is_sequence"]),
        _normalisation(entry["normalisation"]),
        None if tokens is None else _positive(tokens),
    )


def _normalisation(entry: Any) -> Normalisation | None:
    if entry is None:
        return None
    return Normalisation(_floats(entry["scale"]), _floats(entry["offset"]))


def _passes(entry: Any) -> Passes | None:
    if entry is None:
        return None
    rows = tuple(_count(n) for n in entry["rows"])
    passes = Passes(rows, *(_count(entry[key]) for key in ("window", "hop", "lookahead")))
    whole = passes.window > 0 and 0 < passes.hop <= passes.window
    if len(rows) < 2 or whole == (passes.lookahead > 0):
        raise ValueError(f"passes {entry!r} say neither window nor look-ahead")
    return passes


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
