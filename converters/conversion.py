"""The whole conversion: a trained Keras model and real data in, a checked step model out."""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from converters import golden
from converters.calibration import calibrate
from converters.checks import check_against_keras, check_file, normalise, with_masked_output
from converters.configure import configure
from converters.flatfile import add_entry, add_metadata, prune, set_edge_type
from converters.loader import load_keras, source_hash
from converters.packing import checked, several, unpack, unpack_rows
from converters.passes import looks_back, split
from converters.ports import Input as InputPort
from converters.precision import PRECISIONS, Yardstick, choose
from converters.ranges import asymmetric_range, power_of_two_range
from converters.report import report
from converters.rolling import Array, Progress, outputs
from converters.step import StateSpec
from converters.trace import FloatStep, trace
from converters.windowed import (
    Chain,
    chain,
    check_chain,
    choose_chain,
    inputs_of,
    portions,
    schedule,
    unmasked,
)
from edgernn import frontends, recordings, tflite
from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.metadata import Input, Metadata, Output, Passes, State, pass_key
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
    labels: Sequence[str] | Mapping[str, Sequence[str]] = (),
    window: int | None = None,
    lookahead: int | None = None,
    hop: int | None = None,
    front_end: FrontEnd | Mapping[str, Any] | None = None,
    detector: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Convert a trained Keras recurrent model into a streaming step model.

    Args:
        model: a `keras.Model`, or the path of a `.keras` or `.h5` file.
        calibration: real input sequences: an array `(N, T, *features)` or `(T, *features)`, a list
            of `(T, *features)`, or the path of an `.npz`, `.npy` or `.csv` file or a folder of
            them, in the units that the Keras model takes. For a model of several inputs a dict of
            arrays by input (or a tuple in Keras' order), a list of those, one a sequence, or an
            `.npz` with an array for each.
        precision: `int8`, `int16x8` (int16 activations, int8 weights), `float32`, or `auto`: int8
            unless it loses too much on held-back sequences, then int16x8.
        io: type of the frame and the prediction in the file: `int8`, `int16` or `float32`; None
            for the model's own.
        per_tensor: one weight scale per tensor instead of per channel, for runtimes that need it.
        labels: names of the output's elements; for several outputs, a dict of them by output.
        window: how many of the last frames attention and global pooling see, in frames of their own
            input; for a model that looks back from the end (`Bidirectional`, `go_backwards`): whole
            windows of so many frames are taken, each as Keras takes it. None for the length that
            the model fixes.
        lookahead: for a model that looks back from the end: run it frame by frame instead, the
            backward layers over the last so many frames.
        hop: frames from one whole window to the next; None for a window's length.
        front_end: what turns samples into frames, as an object or its configuration. The
            calibration data are samples then: an array, a list of arrays, or the path of recordings
            (WAV, FLAC, CSV).
        detector: the configuration of what turns predictions into events.
        progress: called with the number of calibration frames done and the number there are.

    Returns:
        The model, its `report` filled in.

    Raises:
        ModelFileError: the file is not a readable Keras model.
        InputError: the calibration data does not fit the model, or an option is not known.
        UnsupportedError: a layer, option or activation cannot be converted; names it.
    """
    _check_options(precision, io, window)
    if front_end is not None:
        made = frontends.read(front_end) if isinstance(front_end, Mapping) else front_end
        calibration, front_end = recordings.sequences(calibration, made), made
    source, model = model, load_keras(model)
    if looks_back(model):
        how = schedule(model, lookahead, window, hop)
        passes = _convert_passes(
            model, source, calibration, how, precision, io, per_tensor, labels, progress
        )
        return configure(passes, front_end, detector)
    if (lookahead, hop) != (None, None):
        raise InputError("no layer of the model looks back: drop the options lookahead and hop")
    step = with_masked_output(model, trace(model, window))
    if window is not None and not step.uses_window:
        raise InputError(
            f"window {window}: the model has no layer that it is for (attention, global pooling of "
            "any length, Bidirectional, go_backwards); drop the option window"
        )
    sequences = _sequences(calibration, step)
    exactness = check_against_keras(model, step, sequences)
    kept, held_back = _split([normalise(step, s) for s in sequences], step)
    names = _labels(labels, step)

    yardstick = Yardstick(step, held_back)
    if precision == "float32":
        chosen = yardstick.candidate("float32", step.data)
        tried, reason = [chosen], "asked for"
    else:
        sample = calibrate(step, kept, progress)
        chosen, tried, reason = choose(yardstick, sample, precision, per_tensor)
    data = prune(_edges(chosen.data, step, kept, io))
    check_file(data, precision != "float32", last=step.layers[-1][0])

    metadata = replace(
        _step_metadata(step),
        outputs=_named(step, names),
        provenance=_provenance(model, source, chosen.name, window),
    )
    recorded = golden.record(add_metadata(data, metadata), step, held_back)
    result = load(add_metadata(data, replace(metadata, golden=recorded)))
    result.report = report(result, step, chosen, tried, reason, exactness)
    return configure(result, front_end, detector)


def _provenance(
    model: Any, source: Any, precision: str, window: int | None = None
) -> dict[str, str]:
    return {
        "source_sha256": source_hash(model, source),
        "precision": precision,
        **({} if window is None else {"window": str(window)}),
        **{name: importlib.metadata.version(name) for name in ("edgernn", "keras", "tensorflow")},
    }


def _convert_passes(
    model: Any,
    source: Any,
    calibration: Any,
    how: Passes,
    precision: str,
    io: str | None,
    per_tensor: bool,
    labels: Sequence[str] | Mapping[str, Sequence[str]],
    progress: Progress | None,
) -> Model:
    """`convert` for a model that looks back from the end."""
    first = trace(split(model)[0], whole=bool(how.window))
    sequences = _sequences(calibration, first)
    sequences = [s[unmasked(s, first.mask)] for s in sequences]
    parts = chain(model, how, sequences[:64])
    exactness = check_chain(model, parts, sequences[:64])
    kept, held_back = _split([normalise(first, s) for s in sequences], first)
    measured = portions(parts, held_back) or portions(parts, kept)
    kept = portions(parts, kept) or measured
    names = _labels(labels, parts.steps[-1])
    chosen, final, tried, reason = choose_chain(
        parts, kept, measured, precision, per_tensor, progress
    )
    files, last = [step.data for step in final.steps], parts.steps[-1]
    files[-1] = _edges(files[-1], last, inputs_of(parts, kept)[-1], io, "y")
    files[0] = _edges(files[0], first, kept, io, "x")
    files = [prune(data) for data in files]
    for data, step in zip(files, parts.steps, strict=True):
        last_layer = step.layers[-1][0] if step.layers else "what is handed over"
        check_file(data, precision != "float32", last=last_layer)
    metadata = replace(
        _step_metadata(first),
        outputs=_named(last, names),
        masked_output=_masked_output(model, first, parts),
        passes=parts.passes,
        latency=parts.latency,
        provenance=_provenance(model, source, chosen.name),
    )
    whole = files[0]
    for level in range(1, len(files)):
        own = add_metadata(files[level], _step_metadata(parts.steps[level]))
        whole = add_entry(whole, pass_key(level), own)
    recorded = golden.record(add_metadata(whole, metadata), first, measured)
    result = load(add_metadata(whole, replace(metadata, golden=recorded)))
    layers = tuple(layer for step in parts.steps for layer in step.layers)
    result.report = report(result, replace(first, layers=layers), chosen, tried, reason, exactness)
    return result


def _masked_output(model: Any, first: FloatStep, parts: Chain) -> tuple[float, ...]:
    """The prediction of a window whose frames are all masked, or nothing without a mask."""
    if first.mask is None:
        return ()
    row = replace(parts.steps[-1].outputs[0], is_sequence=bool(parts.passes.rows[-1]))
    values = with_masked_output(model, replace(first, outputs=(row,))).masked_output
    return tuple(0.0 if math.isnan(v) else v for v in values)  # Keras' mean of no frames


def _step_metadata(step: FloatStep) -> Metadata:
    """What a runtime must know to run a step."""
    return Metadata(
        states=tuple(_metadata_state(s) for s in step.states),
        frames_per_step=step.frames_per_step,
        warmup=step.warmup,
        outputs_per_step=step.outputs_per_step,
        latency=step.latency,
        mask=step.mask,
        masked_output=step.masked_output,
        inputs=tuple(
            Input(one.name, one.is_sequence, one.normalisation, one.vocabulary)
            for one in step.inputs
        ),
        outputs=_named(step, [()] * len(step.outputs)),
    )


def _named(step: FloatStep, labels: Sequence[tuple[str, ...]]) -> tuple[Output, ...]:
    """The outputs with their labels."""
    return tuple(Output(one.name, named) for one, named in zip(step.outputs, labels, strict=True))


def _check_options(precision: str, io: str | None, window: int | None) -> None:
    if window is not None and window < 1:
        raise InputError(f"window {window} is no number of frames: give 1 or more")
    if precision not in PRECISIONS:
        raise InputError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    if io is not None and io not in EDGES:
        raise InputError(f"io '{io}' is not one of {', '.join(EDGES)}")
    if precision == "float32" and io in ("int8", "int16"):
        raise InputError(f"a float32 model cannot have {io} inputs and outputs; drop the io option")


def _labels(
    labels: Sequence[str] | Mapping[str, Sequence[str]], step: FloatStep
) -> list[tuple[str, ...]]:
    """The labels of each output."""
    names = [output.name for output in step.outputs]
    if not isinstance(labels, Mapping):
        labels = {names[0]: labels}
    for name in labels:
        if name not in names:
            raise InputError(f"labels for '{name}', the model gives {', '.join(names)}")
    found = [tuple(labels.get(name, ())) for name in names]
    for output, given in zip(step.outputs, found, strict=True):
        if given and len(given) != output.shape[-1]:
            raise InputError(f"{len(given)} labels for {output.shape[-1]} outputs")
    return found


def _sequences(calibration: Any, step: FloatStep) -> list[Array]:
    """The calibration data as a list of finite, packed sequences that fit the model."""
    if calibration is None:
        raise InputError(
            "no calibration data: give real input sequences, e.g. numpy.save('calibration.npy', "
            "x_train[:100]) with shape (N, T, features)"
        )
    if len(step.inputs) > 1:
        sequences = several(calibration, step.inputs)
    else:
        (only,) = step.inputs
        sequences = [
            checked(item, only, f"calibration sequence {number}")
            for number, item in enumerate(_items(calibration, only))
        ]
    sequences = [s for s in sequences if len(s) >= _shortest(step)]
    if not sequences:
        raise InputError(
            f"the calibration data holds no sequence of {_shortest(step)} frames, which the first "
            "prediction takes"
        )
    if step.mask is not None:
        # Padding at the end teaches nothing; a sequence is what comes before it.
        real = [~(s == step.mask).reshape(len(s), -1).all(axis=1) for s in sequences]
        pairs = zip(sequences, real, strict=True)
        sequences = [s[: np.flatnonzero(r)[-1] + 1] for s, r in pairs if r.any()]
    if not any(s.any() for s in sequences):
        raise InputError("the calibration data is all zeros: give real input sequences")
    return sequences


def _items(calibration: Any, only: InputPort) -> list[Any]:
    """The sequences of a model's only input."""
    rank = len(only.features) + 1
    if isinstance(calibration, (str, os.PathLike)):
        return list(read_sequences(calibration, rank))
    if isinstance(calibration, np.ndarray) and calibration.ndim == rank:
        return [calibration]
    return list(calibration)


def _shortest(step: FloatStep) -> int:
    """Frames up to the first prediction."""
    return (step.warmup + 1) * step.frames_per_step


def _split(sequences: list[Array], step: FloatStep) -> tuple[list[Array], list[Array]]:
    """Sequences to calibrate on, and others held back to measure on."""
    if len(sequences) == 1:
        (only,) = sequences
        cut = int(len(only) * (1 - HELD_BACK)) // step.frames_per_step * step.frames_per_step
        long_enough = min(cut, len(only) - cut) >= _shortest(step)
        return ([only[:cut]], [only[cut:]]) if long_enough else ([only], [only])
    order = np.random.default_rng(0).permutation(len(sequences))
    count = max(1, round(len(sequences) * HELD_BACK))
    return [sequences[i] for i in order[count:]], [sequences[i] for i in order[:count]]


def _edges(
    data: bytes, step: FloatStep, kept: Sequence[Array], io: str | None, only: str = ""
) -> bytes:
    """Give all inputs and outputs that are no states (or `only` one) the asked type."""
    if io is None:
        return data
    graph = tflite.read(data)
    signature = graph.signatures["step"]
    given = [unpack(step.inputs, sequence) for sequence in kept]
    made = [unpack_rows(step.outputs, rows) for rows in outputs(step.data, step, kept[:256])]
    edges = [
        (one.name, signature.inputs[one.name], [s[i] for s in given])
        for i, one in enumerate(step.inputs)
    ]
    edges += [
        (one.name, signature.outputs[one.name], [s[i] for s in made])
        for i, one in enumerate(step.outputs)
    ]
    for name, index, arrays in edges:
        tensor = graph.tensors[index]
        if tensor.dtype in (io, "int32") or only not in ("", name):
            continue
        values = np.concatenate([a.ravel() for a in arrays])
        if io == "int16":
            found = power_of_two_range(values)
            scale, zero_point = found.high / 32767, 0
        else:
            found = asymmetric_range(values)
            scale = (found.high - found.low) / 255
            zero_point = int(np.rint(-128 - found.low / scale))
        data = set_edge_type(data, name, io, scale, zero_point)
    return data


def _metadata_state(state: StateSpec) -> State:
    values = tuple(float(v) for v in state.initial.ravel()) if state.initial.any() else None
    return State(state.name, tuple(state.initial.shape), values, state.starts)
