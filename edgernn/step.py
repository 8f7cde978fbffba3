"""The step contract: which tensors of a graph are the frame, the prediction and the states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn import metadata as md
from edgernn.errors import ModelFileError
from edgernn.ports import ports
from edgernn.tflite import Graph, Tensor

SIGNATURE: Final = "step"

FRAME_TYPES: Final = ("float32", "int8", "int16", "uint8")
"""Types that frames and predictions may have; tokens are int32."""


@dataclass(frozen=True)
class State:
    """A carried tensor: where it enters and leaves the graph, and its first raw value.

    After each of the first `starts` steps of a stream, the state is set to that value again.
    """

    name: str
    input: Tensor
    output: Tensor
    initial: npt.NDArray[np.generic]
    starts: int = 0


@dataclass(frozen=True)
class Step:
    """`(x, states) -> (y, states)`: the roles of a graph's inputs and outputs, by their names."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    states: tuple[State, ...]


def find_step(graph: Graph, metadata: md.Metadata) -> Step:
    """The roles of the graph's tensors, checked against the contract and the metadata.

    A name among both the inputs and the outputs of the signature is a state; the other inputs are
    the frame and the other outputs the prediction: one of each, or those that the metadata names. A
    graph without a signature has one input, one output and no state.

    Raises:
        ModelFileError: the graph is no step model; the message says why.
    """
    inputs, outputs = _entry(graph)
    carried = [name for name in inputs if name in outputs]
    frame = _ports(graph, inputs, carried, [i.name for i in metadata.inputs], "input")
    prediction = _ports(graph, outputs, carried, [o.name for o in metadata.outputs], "output")
    _refuse_hidden_state(graph)
    _refuse_missing_scales(graph)
    known = {state.name: state for state in metadata.states}
    states = tuple(
        _state(name, graph.tensors[inputs[name]], graph.tensors[outputs[name]], known.get(name))
        for name in carried
    )
    for name in known.keys() - set(carried):
        raise ModelFileError(f"the metadata names a state '{name}' that the graph does not have")
    _check_metadata(frame, prediction, metadata)
    return Step(frame, prediction, states)


def _refuse_missing_scales(graph: Graph) -> None:
    """Interpreters abort the whole process on an 8- or 16-bit result that has no scale."""
    for op in graph.operators:
        for tensor in (graph.tensors[i] for i in op.outputs):
            if tensor.dtype in ("int8", "int16", "uint8") and not tensor.scale:
                raise ModelFileError(f"tensor '{tensor.name}' is {tensor.dtype} and has no scale")


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


def _ports(
    graph: Graph, entries: dict[str, int], carried: list[str], named: list[str], kind: str
) -> dict[str, Tensor]:
    """The entries that are no states, in the metadata's order if it names several."""
    rest = [name for name in entries if name not in carried]
    if len(named) > 1 and sorted(rest) == sorted(named):
        rest = named
    elif len(rest) != 1 or len(named) > 1:
        role = "the frame" if kind == "input" else "the prediction"
        found = ", ".join(f"'{name}'" for name in rest) or "none"
        raise ModelFileError(
            f"a step model has one {kind} beside its states ({role}), or those that its metadata "
            f"names; this one has {found}"
        )
    return {name: _port(graph.tensors[entries[name]], f"{kind} '{name}'") for name in rest}


def _port(tensor: Tensor, where: str) -> Tensor:
    """A tensor that is no state, if it has a type and shape a stream can feed."""
    tokens = tensor.dtype == "int32" and where.startswith("input")
    if tensor.dtype not in FRAME_TYPES and not tokens:
        raise ModelFileError(
            f"{where} has type {tensor.dtype}, a step has one of {', '.join(FRAME_TYPES)}"
        )
    if len(tensor.shape) < (1 if tokens else 2) or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        raise ModelFileError(
            f"{where} has shape {tensor.shape}, a step has the fixed shape (1, features)"
        )
    if tensor.dtype not in ("float32", "int32") and len(tensor.scale) != 1:
        raise ModelFileError(f"{where} is {tensor.dtype} but has no scale")
    return tensor


def _refuse_hidden_state(graph: Graph) -> None:
    """State inside the interpreter cannot be reset, saved or kept apart between streams."""
    carried = set(graph.inputs) & set(graph.outputs)
    hidden = [t.name for t in graph.tensors if t.is_variable and t.index not in carried]
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
    starts = declared.starts if declared is not None else 0
    return State(name, before, after, _raw(real.reshape(before.shape), before), starts)


def _raw(real: npt.NDArray[np.float64], tensor: Tensor) -> npt.NDArray[np.generic]:
    if tensor.numpy_dtype.kind == "f":
        return real.astype(tensor.numpy_dtype)
    scale = tensor.scale[0] if tensor.scale else 1.0
    zero_point = tensor.zero_point[0] if tensor.zero_point else 0
    return md.quantize(real, scale, zero_point, tensor.numpy_dtype)


def _check_metadata(
    inputs: dict[str, Tensor], outputs: dict[str, Tensor], metadata: md.Metadata
) -> None:
    """Refuse metadata that contradicts the graph."""
    for what, tensors, count in (
        ("frames", inputs, metadata.frames_per_step),
        ("predictions", outputs, metadata.outputs_per_step),
    ):
        for name, tensor in tensors.items():
            tokens = tensor.dtype == "int32"
            if count > 1 and (len(tensor.shape) < 3 - tokens or tensor.shape[1] != count):
                raise ModelFileError(
                    f"the metadata says {count} {what} per step, '{name}' has shape {tensor.shape}"
                )
    for described, tensor in zip(metadata.inputs, inputs.values(), strict=True):
        _check_input(described, tensor, metadata.frames_per_step)
    for told, tensor in zip(metadata.outputs, outputs.values(), strict=True):
        size, labels = tensor.shape[-1], len(told.labels)
        if labels and labels != size and (size, labels) != (1, 2):
            raise ModelFileError(f"the metadata has {labels} labels for {size} outputs")
    frame, prediction = ports(inputs, metadata.frames_per_step), ports(outputs, 1)
    values = sum(tensor.elements for tensor in outputs.values())
    if metadata.mask is not None and len(metadata.masked_output) != values:
        raise ModelFileError(
            f"the metadata has {len(metadata.masked_output)} values of the masked output, not "
            f"{values}"
        )
    if metadata.mask is not None and (len(inputs), metadata.frames_per_step) != (1, 1):
        raise ModelFileError("the metadata has a mask for a model of several inputs or frames")
    golden = metadata.golden
    if golden is not None:
        given = golden.steps - metadata.warmup
        per_step = frame.dtype.itemsize * math.prod(frame.shape) * metadata.frames_per_step
        result = prediction.dtype.itemsize * math.prod(prediction.shape)
        for what, raw, size, steps in (
            ("inputs", golden.inputs, per_step, golden.steps),
            ("outputs", golden.outputs, result, given),
        ):
            if given < 1 or len(raw) != steps * size:
                raise ModelFileError(
                    f"the golden sequence's {what} hold {len(raw)} bytes, not {steps} steps"
                )


def _check_input(described: md.Input, tensor: Tensor, frames: int) -> None:
    elements = math.prod(ports({"x": tensor}, frames).shape)
    if described.normalisation is not None:
        for what in ("scale", "offset"):
            length = len(getattr(described.normalisation, what))
            if length not in (1, elements):
                raise ModelFileError(
                    f"the metadata's normalisation has {length} values of {what} for a frame "
                    f"of {elements}"
                )
