"""The step contract: which tensors of a graph are the frame, the prediction and the states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn import metadata as md
from edgernn.errors import ModelFileError
from edgernn.tflite import Graph, Tensor

SIGNATURE: Final = "step"

FRAME_TYPES: Final = ("float32", "int8", "int16", "uint8")
"""Types that the frame and the prediction may have."""


@dataclass(frozen=True)
class State:
    """A carried tensor: where it enters and leaves the graph, and its first raw value."""

    name: str
    input: Tensor
    output: Tensor
    initial: npt.NDArray[np.generic]


@dataclass(frozen=True)
class Step:
    """`(x, states) -> (y, states)`: the roles of a graph's inputs and outputs."""

    x: Tensor
    y: Tensor
    states: tuple[State, ...]


def find_step(graph: Graph, metadata: md.Metadata) -> Step:
    """The roles of the graph's tensors, checked against the contract and the metadata.

    A name among both the inputs and the outputs of the signature is a state; the one other
    input is the frame and the one other output the prediction. A graph without a signature has
    one input, one output and no state.

    Raises:
        ModelFileError: the graph is no step model; the message says why.
    """
    inputs, outputs = _entry(graph)
    carried = [name for name in inputs if name in outputs]
    x = _the_one(graph, inputs, carried, "input", "the frame")
    y = _the_one(graph, outputs, carried, "output", "the prediction")
    _refuse_hidden_state(graph)
    _refuse_missing_scales(graph)
    known = {state.name: state for state in metadata.states}
    states = tuple(
        _state(name, graph.tensors[inputs[name]], graph.tensors[outputs[name]], known.get(name))
        for name in carried
    )
    for name in known.keys() - set(carried):
        raise ModelFileError(f"the metadata names a state '{name}' that the graph does not have")
    _check_metadata(x, y, metadata)
    return Step(x, y, states)


def _refuse_missing_scales(graph: Graph) -> None:
    """Interpreters abort the whole process on an 8- or 16-bit result that has no scale."""
    for op in graph.operators:
        for tensor in (graph.tensors[i] for i in op.outputs):
            if tensor.dtype in ("int8", "int16", "uint8") and not tensor.scale:
                raise ModelFileError(f"tensor '{tensor.name}' is {tensor.dtype} and has no scale")


def frame_shape(x: Tensor, frames_per_step: int) -> tuple[int, ...]:
    """Shape of one frame: `x` is `(1, ...)`, or `(1, frames_per_step, ...)` when that is over 1."""
    return x.shape[1:] if frames_per_step == 1 else x.shape[2:]


def _entry(graph: Graph) -> tuple[dict[str, int], dict[str, int]]:
    """Input and output tensors by name."""
    signatures = graph.signatures
    if SIGNATURE in signatures:
        signature = signatures[SIGNATURE]
    elif len(signatures) == 1:
        (signature,) = signatures.values()
    elif signatures:
        names = ", ".join(f"'{name}'" for name in sorted(signatures))
        raise ModelFileError(f"the file has the signatures {names} and none is '{SIGNATURE}'")
    elif len(graph.inputs) == 1 and len(graph.outputs) == 1:
        return {"x": graph.inputs[0]}, {"y": graph.outputs[0]}
    else:
        raise ModelFileError(
            f"the file has no signature, {len(graph.inputs)} inputs and {len(graph.outputs)} "
            "outputs: nothing says which are states; convert the model with `edgernn convert`"
        )
    for kind, entries, known in (
        ("input", signature.inputs, graph.inputs),
        ("output", signature.outputs, graph.outputs),
    ):
        for name, index in entries.items():
            if index not in known:
                raise ModelFileError(f"signature {kind} '{name}' is no {kind} of the graph")
    unnamed = len(set(graph.inputs) - set(signature.inputs.values()))
    if unnamed:
        raise ModelFileError(f"{unnamed} inputs of the graph are missing from its signature")
    return signature.inputs, signature.outputs


def _the_one(
    graph: Graph, entries: dict[str, int], carried: list[str], kind: str, role: str
) -> Tensor:
    """The single entry that is not a state, with a type and shape a stream can feed."""
    rest = [name for name in entries if name not in carried]
    if len(rest) != 1:
        found = ", ".join(f"'{name}'" for name in rest) or "none"
        raise ModelFileError(
            f"a step model has one {kind} beside its states ({role}), this one has {found}"
        )
    tensor = graph.tensors[entries[rest[0]]]
    where = f"{kind} '{rest[0]}'"
    if tensor.dtype not in FRAME_TYPES:
        raise ModelFileError(
            f"{where} has type {tensor.dtype}, a step has one of {', '.join(FRAME_TYPES)}"
        )
    if len(tensor.shape) < 2 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        raise ModelFileError(
            f"{where} has shape {tensor.shape}, a step has the fixed shape (1, features)"
        )
    if tensor.dtype != "float32" and len(tensor.scale) != 1:
        raise ModelFileError(f"{where} is {tensor.dtype} but has no scale")
    return tensor


def _refuse_hidden_state(graph: Graph) -> None:
    """State inside the interpreter cannot be reset, saved or kept apart between streams."""
    hidden = [tensor.name for tensor in graph.tensors if tensor.is_variable]
    hidden += [op.name for op in graph.operators if op.name == "VAR_HANDLE"]
    if hidden:
        raise ModelFileError(
            f"the graph hides its state in the variable '{hidden[0]}': convert the Keras model "
            "with `edgernn convert`, which makes it an input and an output"
        )


def _state(name: str, before: Tensor, after: Tensor, declared: md.State | None) -> State:
    for what in ("dtype", "shape", "scale", "zero_point"):
        entering, leaving = getattr(before, what), getattr(after, what)
        if entering != leaving:
            raise ModelFileError(
                f"state '{name}' enters with {what} {entering} and leaves with {leaving}: "
                "it cannot be carried as it is"
            )
    if not before.shape or min(before.shape) < 1 or len(before.scale) > 1:
        raise ModelFileError(
            f"state '{name}' has shape {before.shape} and {len(before.scale)} scales: it must "
            "have a fixed shape and at most one scale"
        )
    if before.numpy_dtype.kind not in "fiu":
        raise ModelFileError(f"state '{name}' has type {before.dtype}, which cannot be carried")
    if declared is not None and math.prod(declared.shape) != before.elements:
        raise ModelFileError(
            f"the metadata gives state '{name}' the shape {declared.shape}, the graph "
            f"{before.shape}"
        )
    values = declared.initial if declared is not None else None
    real = np.zeros(before.elements) if values is None else np.array(values, np.float64)
    return State(name, before, after, _raw(real.reshape(before.shape), before))


def _raw(real: npt.NDArray[np.float64], tensor: Tensor) -> npt.NDArray[np.generic]:
    if tensor.numpy_dtype.kind == "f":
        return real.astype(tensor.numpy_dtype)
    scale = tensor.scale[0] if tensor.scale else 1.0
    zero_point = tensor.zero_point[0] if tensor.zero_point else 0
    return md.quantize(real, scale, zero_point, tensor.numpy_dtype)


def _check_metadata(x: Tensor, y: Tensor, metadata: md.Metadata) -> None:
    """Refuse metadata that contradicts the graph."""
    frames = metadata.frames_per_step
    if frames > 1 and (len(x.shape) < 3 or x.shape[1] != frames):
        raise ModelFileError(
            f"the metadata says {frames} frames per step, the frame input has shape {x.shape}"
        )
    elements = math.prod(frame_shape(x, frames))
    if metadata.normalisation is not None:
        for what in ("scale", "offset"):
            length = len(getattr(metadata.normalisation, what))
            if length not in (1, elements):
                raise ModelFileError(
                    f"the metadata's normalisation has {length} values of {what} for a frame "
                    f"of {elements}"
                )
    outputs = y.shape[-1]
    if (
        metadata.labels
        and len(metadata.labels) != outputs
        and (outputs, 2)
        != (
            1,
            len(metadata.labels),
        )
    ):
        raise ModelFileError(
            f"the metadata has {len(metadata.labels)} labels for {outputs} outputs"
        )
    golden = metadata.golden
    if golden is not None:
        for what, raw, tensor in (("inputs", golden.inputs, x), ("outputs", golden.outputs, y)):
            if len(raw) != golden.steps * tensor.elements * tensor.numpy_dtype.itemsize:
                raise ModelFileError(
                    f"the golden sequence's {what} hold {len(raw)} bytes, not {golden.steps} steps"
                )
