"""The whole conversion: a trained Keras model and real data in, a checked step model out."""

from __future__ import annotations

import importlib.metadata
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from converters import measure
from converters.calibration import Sample, calibrate
from converters.checks import check_against_keras, check_file, normalise
from converters.flatfile import add_metadata, prune, set_edge_type
from converters.loader import load_keras, source_hash
from converters.quantize import Scheme, can_be_wide, quantize
from converters.ranges import asymmetric_range, power_of_two_range
from converters.rolling import Array, Progress, outputs, to_raw
from converters.rounding import round_weights
from converters.trace import FloatStep, trace
from edgernn import tflite
from edgernn.errors import EdgernnError, InputError
from edgernn.metadata import Golden, Metadata, State
from edgernn.model import Model, load
from edgernn.sequences import read_sequences

PRECISIONS: Final = ("auto", "int8", "int16x8", "float32")
EDGES: Final = ("int8", "int16", "float32")

INT8_MAX_RMS: Final = 1.0
INT8_MIN_AGREEMENT: Final = 0.99
"""`auto` keeps int8 up to this RMS error (% of range, short and over 10,000 carried steps) and
down to this share of equal decisions."""

WIDE_STATE_GAIN: Final = 0.8
"""An int16 cell state is kept in an int8 model if it brings the RMS error below this share."""

HELD_BACK: Final = 0.2
"""Share of the calibration sequences that is only measured on."""

GOLDEN_STEPS: Final = 16


@dataclass(frozen=True)
class Candidate:
    """One quantized version of the step, and how far it is from float."""

    name: str
    data: bytes
    errors: measure.Errors
    drift: dict[str, float]

    @property
    def worst_rms(self) -> float:
        """The larger of the RMS errors on held-back data and over the long run."""
        return max(self.errors.rms_percent, *self.drift.values())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"name": self.name, "errors": self.errors.to_dict(), "drift": self.drift}


def convert(
    model: Any,
    calibration: Any,
    *,
    precision: str = "auto",
    io: str | None = None,
    per_tensor: bool = False,
    labels: Sequence[str] = (),
    progress: Progress | None = None,
) -> Model:
    """Convert a trained Keras recurrent model into a streaming step model.

    Args:
        model: a `keras.Model`, or the path of a `.keras` or `.h5` file.
        calibration: real input sequences: an array `(N, T, *features)` or `(T, *features)`, a list
            of `(T, *features)`, or the path of an `.npz`, `.npy` or `.csv` file or a folder of
            them, in the units that the Keras model takes.
        precision: `int8`, `int16x8` (int16 activations, int8 weights), `float32`, or `auto`: int8
            unless it loses too much on held-back sequences, then int16x8.
        io: type of the frame and the prediction in the file: `int8`, `int16` or `float32`; None
            for the model's own.
        per_tensor: one weight scale per tensor instead of per channel, for runtimes that need it.
        labels: names of the outputs.
        progress: called with the number of calibration frames done and the number there are.

    Returns:
        The model, its `report` filled in.

    Raises:
        ModelFileError: the file is not a readable Keras model.
        InputError: the calibration data does not fit the model, or an option is not known.
        UnsupportedError: a layer, option or activation cannot be converted; names it.
    """
    _check_options(precision, io)
    source, model = model, load_keras(model)
    step = trace(model)
    sequences = _sequences(calibration, step)
    exactness = check_against_keras(model, step, sequences)
    kept, held_back = _split([normalise(step, s) for s in sequences], step.frames_per_step)
    _check_labels(labels, step)

    yardstick = _Yardstick(step, held_back)
    if precision == "float32":
        chosen = yardstick.candidate("float32", step.data)
        tried, reason = [chosen], "asked for"
    else:
        sample = calibrate(step, kept, progress)
        chosen, tried, reason = _quantized(yardstick, sample, precision, per_tensor)
    data = prune(_edges(chosen.data, step, kept, io))
    check_file(data, precision != "float32", last=step.layers[-1][0])

    metadata = Metadata(
        states=tuple(_metadata_state(s.name, s.initial) for s in step.states),
        frames_per_step=step.frames_per_step,
        output_stride=step.frames_per_step,
        normalisation=step.normalisation,
        labels=tuple(labels),
        provenance={
            "source_sha256": source_hash(model, source),
            "precision": chosen.name,
            **{
                name: importlib.metadata.version(name)
                for name in ("edgernn", "keras", "tensorflow")
            },
        },
    )
    golden = _golden(add_metadata(data, metadata), held_back, step)
    result = load(add_metadata(data, replace(metadata, golden=golden)))
    result.report = _report(result, step, chosen, tried, reason, exactness)
    return result


def _check_options(precision: str, io: str | None) -> None:
    if precision not in PRECISIONS:
        raise InputError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    if io is not None and io not in EDGES:
        raise InputError(f"io '{io}' is not one of {', '.join(EDGES)}")
    if precision == "float32" and io in ("int8", "int16"):
        raise InputError(f"a float32 model cannot have {io} inputs and outputs; drop the io option")


def _check_labels(labels: Sequence[str], step: FloatStep) -> None:
    graph = tflite.read(step.data)
    count = graph.tensors[graph.signatures["step"].outputs["y"]].shape[-1]
    if labels and len(labels) != count:
        raise InputError(f"{len(labels)} labels for {count} outputs")


def _sequences(calibration: Any, step: FloatStep) -> list[Array]:
    """The calibration data as a list of finite float32 sequences that fit the model."""
    if calibration is None:
        raise InputError(
            "no calibration data: give real input sequences, e.g. numpy.save('calibration.npy', "
            "x_train[:100]) with shape (N, T, features)"
        )
    graph = tflite.read(step.data)
    features = graph.tensors[graph.signatures["step"].inputs["x"]].shape[1:]
    features = features if step.frames_per_step == 1 else features[1:]
    if isinstance(calibration, (str, os.PathLike)):
        found: list[Any] = list(read_sequences(calibration))
    elif isinstance(calibration, np.ndarray) and calibration.ndim == len(features) + 1:
        found = [calibration]
    else:
        found = list(calibration)
    sequences = []
    for number, item in enumerate(found):
        try:
            sequence = np.asarray(item, np.float32)
        except (TypeError, ValueError):
            raise InputError(f"calibration sequence {number} does not hold numbers") from None
        if sequence.shape[1:] != features or sequence.ndim != len(features) + 1:
            raise InputError(
                f"calibration sequence {number} has shape {sequence.shape}, the model needs "
                f"(T, {', '.join(map(str, features))})"
            )
        if not np.isfinite(sequence).all():
            frame = int(np.argwhere(~np.isfinite(sequence))[0][0])
            raise InputError(f"calibration sequence {number}, frame {frame}: NaN or infinite")
        if len(sequence) >= step.frames_per_step:
            sequences.append(sequence)
    if not sequences:
        raise InputError("the calibration data holds no frames")
    if not any(s.any() for s in sequences):
        raise InputError("the calibration data is all zeros: give real input sequences")
    return sequences


def _split(sequences: list[Array], frames: int) -> tuple[list[Array], list[Array]]:
    """Sequences to calibrate on, and others held back to measure on."""
    if len(sequences) == 1:
        (only,) = sequences
        cut = int(len(only) * (1 - HELD_BACK)) // frames * frames
        return (
            ([only[:cut]], [only[cut:]]) if cut and len(only) - cut >= frames else ([only], [only])
        )
    order = np.random.default_rng(0).permutation(len(sequences))
    count = max(1, round(len(sequences) * HELD_BACK))
    return [sequences[i] for i in order[count:]], [sequences[i] for i in order[:count]]


def _worst_rms(candidate: Candidate) -> float:
    return candidate.worst_rms


class _Yardstick:
    """The float outputs that candidates are measured against, computed once."""

    def __init__(self, step: FloatStep, held_back: Sequence[Array]) -> None:
        self.step, self.held_back = step, held_back
        self.long = measure.long_sequence(held_back, step.frames_per_step)
        self.expected = self._outputs(step.data, held_back)
        (self.expected_long,) = self._outputs(step.data, [self.long])

    def _outputs(self, data: bytes, sequences: Sequence[Array]) -> list[Array]:
        return outputs(data, self.step.initial, sequences, self.step.frames_per_step)

    def candidate(self, name: str, data: bytes) -> Candidate:
        errors = measure.compare(self.expected, self._outputs(data, self.held_back))
        (long,) = self._outputs(data, [self.long])
        return Candidate(name, data, errors, measure.drift(self.expected_long, long))


def _quantized(
    yardstick: _Yardstick, sample: Sample, precision: str, per_tensor: bool
) -> tuple[Candidate, list[Candidate], str]:
    """Quantize as asked, or as `auto` finds best; returns the choice, all tried, and why."""
    step = yardstick.step

    def wide() -> Candidate:
        # With 16-bit activations the weights are most of the error: try both ways to round them.
        scheme = Scheme("int16x8", per_tensor)
        adjusted = replace(step, data=round_weights(step.data, sample, per_tensor))
        versions = [quantize(version, sample, scheme) for version in (step, adjusted)]
        return min((yardstick.candidate("int16x8", v) for v in versions), key=_worst_rms)

    if precision == "int16x8":
        return (only := wide()), [only], "asked for"
    small = yardstick.candidate("int8", quantize(step, sample, Scheme("int8", per_tensor)))
    tried = [small]
    graph = tflite.read(step.data)
    unbounded = tuple(s.name for s in step.states if s.unbounded and can_be_wide(graph, s.name))
    if unbounded:
        scheme = Scheme("int8", per_tensor, wide_states=unbounded)
        mixed = yardstick.candidate("int8, int16 cell state", quantize(step, sample, scheme))
        tried.append(mixed)
        if mixed.worst_rms < WIDE_STATE_GAIN * small.worst_rms:
            small = mixed
    if precision == "int8":
        return small, tried, "asked for"
    fault = _int8_fault(small)
    if fault is None:
        return small, tried, "int8 stays within the limits on held-back data"
    tried.append(candidate := wide())
    if candidate.worst_rms < small.worst_rms:
        return candidate, tried, f"int8 {fault}"
    return small, tried, f"int8 {fault}, but int16x8 is no better"


def _int8_fault(small: Candidate) -> str | None:
    """What is wrong with an int8 candidate, in words; None if it is good enough."""
    agreement = small.errors.agreement
    if small.errors.rms_percent > INT8_MAX_RMS:
        return f"is off by {small.errors.rms_percent:.2f} % of range (limit {INT8_MAX_RMS:g} %)"
    if small.worst_rms > INT8_MAX_RMS:
        return (
            f"drifts to {small.worst_rms:.2f} % of range over a long run with its state carried "
            f"(limit {INT8_MAX_RMS:g} %)"
        )
    if agreement is not None and agreement < INT8_MIN_AGREEMENT:
        limit = 100 * INT8_MIN_AGREEMENT
        return f"decides alike in {100 * agreement:.2f} % of steps (limit {limit:g} %)"
    return None


def _edges(data: bytes, step: FloatStep, kept: Sequence[Array], io: str | None) -> bytes:
    """Give `x` and `y` the asked type."""
    if io is None:
        return data
    graph = tflite.read(data)
    signature = graph.signatures["step"]
    for name, index in (("x", signature.inputs["x"]), ("y", signature.outputs["y"])):
        tensor = graph.tensors[index]
        if tensor.dtype == io:
            continue
        if name == "x":
            values = np.concatenate([s.ravel() for s in kept])
        else:
            values = np.concatenate(
                [
                    s.ravel()
                    for s in outputs(step.data, step.initial, kept[:256], step.frames_per_step)
                ]
            )
        if io == "int16":
            found = power_of_two_range(values)
            scale, zero_point = found.high / 32767, 0
        else:
            found = asymmetric_range(values)
            scale = (found.high - found.low) / 255
            zero_point = int(np.rint(-128 - found.low / scale))
        data = set_edge_type(data, name, io, scale, zero_point)
    return data


def _metadata_state(name: str, initial: Array) -> State:
    values = tuple(float(v) for v in initial.ravel()) if initial.any() else None
    return State(name, tuple(initial.shape), values)


def _golden(data: bytes, held_back: Sequence[Array], step: FloatStep) -> Golden:
    """Record the reference interpreter on a stretch of real data.

    The tolerance is twice what LiteRT differs by here, and at least 2 last bits (int8), 16 (int16)
    or 1e-5 (float32).
    """
    model = load(data)
    steps = min(GOLDEN_STEPS, len(held_back[0]) // step.frames_per_step)
    frames = held_back[0][: steps * step.frames_per_step]
    raw = to_raw(frames, model.x)
    litert = model.stream("litert").push_raw(raw)
    try:
        expected, reference = model.stream("tflm").push_raw(raw), "tflite-micro"
    except EdgernnError:  # not installed here, or an operator that it does not have
        expected, reference = litert, "litert"
    seen = float(np.abs(litert.astype(np.float64) - expected.astype(np.float64)).max())
    floor = {"int8": 2.0, "int16": 16.0}.get(model.y.dtype, 1e-5)
    little = {k: v.astype(v.dtype.newbyteorder("<")).tobytes() for k, v in
              (("x", raw), ("y", expected))}  # fmt: skip
    return Golden(steps, little["x"], little["y"], max(floor, 2 * seen), reference)


def _report(
    model: Model,
    step: FloatStep,
    chosen: Candidate,
    tried: Sequence[Candidate],
    reason: str,
    exactness: float,
) -> dict[str, Any]:
    """What the user is told: layers, states, operators, bytes, errors."""
    operators = Counter(op.name for op in model.graph.operators)
    weights = sum(t.data.nbytes for t in model.graph.tensors if t.data is not None)
    golden = model.metadata.golden
    return {
        "precision": chosen.name,
        "reason": reason,
        "labels": list(model.labels),
        "layers": [
            {"layer": path, "type": kind, "became": became} for path, kind, became in step.layers
        ],
        "normalisation": None if step.normalisation is None else asdict(step.normalisation),
        "frames_per_step": step.frames_per_step,
        "states": [
            {
                "name": state.name,
                "shape": list(state.input.shape),
                "dtype": state.input.dtype,
                "scale": state.input.scale[0] if state.input.scale else None,
                "zero_point": state.input.zero_point[0] if state.input.scale else None,
            }
            for state in model.states
        ],
        "operators": dict(sorted(operators.items())),
        "bytes": {"file": len(model.data), "weights": weights, "float_file": len(step.data)},
        "float_vs_keras": exactness,
        "errors": chosen.errors.to_dict(),
        "drift": chosen.drift,
        "tried": [candidate.to_dict() for candidate in tried],
        "reference": golden.reference if golden else None,
    }
