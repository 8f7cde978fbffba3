"""The whole conversion: a trained Keras model and real data in, a checked step model out."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from converters import golden
from converters.calibration import calibrate
from converters.checks import check_against_keras, check_file, normalise
from converters.flatfile import add_metadata, prune, set_edge_type
from converters.loader import load_keras, source_hash
from converters.precision import PRECISIONS, Yardstick, choose
from converters.ranges import asymmetric_range, power_of_two_range
from converters.report import report
from converters.rolling import Array, Progress, outputs
from converters.trace import FloatStep, trace
from edgernn import tflite
from edgernn.errors import InputError
from edgernn.metadata import Metadata, State
from edgernn.model import Model, load
from edgernn.sequences import read_sequences

EDGES: Final = ("int8", "int16", "float32")

HELD_BACK: Final = 0.2
"""Share of the calibration sequences that is only measured on."""


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

    yardstick = Yardstick(step, held_back)
    if precision == "float32":
        chosen = yardstick.candidate("float32", step.data)
        tried, reason = [chosen], "asked for"
    else:
        sample = calibrate(step, kept, progress)
        chosen, tried, reason = choose(yardstick, sample, precision, per_tensor)
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
    recorded = golden.record(add_metadata(data, metadata), held_back, step.frames_per_step)
    result = load(add_metadata(data, replace(metadata, golden=recorded)))
    result.report = report(result, step, chosen, tried, reason, exactness)
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
