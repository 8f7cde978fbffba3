"""What goes into a step and comes out of it, states apart, as the graph of a Keras model has it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from converters.rewrite import computes_mask
from converters.rules.normalization import affine_of
from converters.step import Signal, Step
from edgernn.errors import UnsupportedError
from edgernn.metadata import Normalisation


@dataclass(frozen=True)
class Input:
    """One input of the step: a frame `(1, *features)` of a sequence, or the same with every frame.

    Attributes:
        name: in the signature; `x` where there is only one.
        features: shape of a frame, without batch and time.
        dtype: `float32`, or `int32` for tokens.
        is_sequence: whether the Keras input has a time axis.
        normalisation: the scaling at this input, lifted out of the graph.
        vocabulary: tokens that there are.
    """

    name: str
    features: tuple[int, ...]
    dtype: str = "float32"
    is_sequence: bool = True
    normalisation: Normalisation | None = None
    vocabulary: int | None = None

    def shape(self, frames: int) -> tuple[int, ...]:
        """Shape of its tensor in a step that takes so many frames."""
        return (1, *self.features) if frames == 1 else (1, frames, *self.features)

    @property
    def size(self) -> int:
        """Elements of a frame."""
        return math.prod(self.features)


@dataclass(frozen=True)
class Output:
    """One output of the step: its name (`y` where there is only one) and a row's shape.

    `is_sequence` says whether Keras gives a row for each frame.
    """

    name: str
    shape: tuple[int, ...]
    is_sequence: bool

    @property
    def size(self) -> int:
        """Elements of a row."""
        return math.prod(self.shape)


def inputs_of(graph: Any) -> tuple[tuple[Input, ...], frozenset[str]]:
    """The model's inputs, and the layers that were lifted out of the graph into them."""
    taken: set[str] = set()
    many = len(graph.inputs) > 1
    found, lifted = [], []
    for tensor in graph.inputs:
        one = _input(graph, tensor)
        layers, normalisation = _lift_normalisation(graph, tensor, one)
        name = _identifier(tensor.name, taken) if many else "x"
        found.append(replace(one, name=name, normalisation=normalisation))
        lifted += layers
    if not any(one.is_sequence for one in found):
        shape = tuple(graph.inputs[0].shape)
        raise UnsupportedError(
            f"input '{graph.inputs[0].name}' has shape {shape}: a stream needs (batch, time, "
            "features)"
        )
    return tuple(found), frozenset(lifted)


def _input(graph: Any, tensor: Any) -> Input:
    shape, name = tensor.shape, tensor.name
    if shape[0] not in (None, 1):
        raise UnsupportedError(
            f"input '{name}' has its batch size fixed to {shape[0]}: a stream is one sequence, "
            "rebuild the model with a batch size of None or 1 and load the weights into it"
        )
    readers = [
        node.operation for node in _nodes(graph) if any(t is tensor for t in node.input_tensors)
    ]
    tokens = bool(readers) and all(isinstance(r, keras.layers.Embedding) for r in readers)
    # One sequence at least has the time axis that all share; what has none stays the same.
    timed = len(shape) > 2 or (tokens and len(shape) == 2) or (len(shape) == 2 and shape[1] is None)
    features = shape[2:] if timed else shape[1:]
    if any(n is None for n in features):
        raise UnsupportedError(f"input '{name}' has features of unknown size: {tuple(shape)}")
    dtype = "int32" if tokens else "float32"
    return Input(str(name), tuple(int(n) for n in features), dtype, timed)


def _nodes(graph: Any) -> list[Any]:
    nodes = (node for same in graph._nodes_by_depth.values() for node in same)
    return [node for node in nodes if not node.is_input and not computes_mask(node)]


def _lift_normalisation(
    graph: Any, tensor: Any, one: Input
) -> tuple[list[str], Normalisation | None]:
    """Take Rescaling and Normalization at an input out of the graph, into the metadata.

    Quantizing the raw frame with one scale would lose the features that are small by nature; the
    runtime scales the frame before it quantizes it instead.
    """
    nodes, names = _nodes(graph), []
    scale, offset = np.ones(one.features), np.zeros(one.features)
    while True:
        readers = [node for node in nodes if any(t is tensor for t in node.input_tensors)]
        shared = len(readers) != 1 or any(t is tensor for t in graph.outputs)
        pair = None if shared else affine_of(readers[0].operation, one.features)
        # A layer that is called again elsewhere in the graph keeps its place there.
        if pair is None or sum(n.operation is readers[0].operation for n in nodes) > 1:
            break
        scale, offset = scale * pair[0], offset * pair[0] + pair[1]
        names.append(readers[0].operation.name)
        tensor = readers[0].output_tensors[0]
    return names, Normalisation(_numbers(scale), _numbers(offset)) if names else None


def outputs_of(graph: Any, results: Sequence[Signal], step: Step) -> tuple[Output, ...]:
    """Name and shape of each output."""
    names = ["y"]
    if len(results) > 1:
        taken = {*step.specs, *step.inputs}
        names = [_identifier(str(name), taken) for name in graph.output_names]
    return tuple(
        Output(name, tuple(int(n) for n in s.frames[0].shape[1:]), s.is_sequence)
        for name, s in zip(names, results, strict=True)
    )


def _identifier(name: str, taken: set[str]) -> str:
    """A name as it can stand in C and in a signature, unlike all that are taken."""
    stem = re.sub(r"\W+", "_", name).strip("_").lower() or "value"
    stem = f"v_{stem}" if stem[0].isdigit() else stem
    found, count = stem, 1
    while found in taken:
        count += 1
        found = f"{stem}_{count}"
    taken.add(found)
    return found


def _numbers(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    # Nine digits are what float32 has; more would only make the document longer.
    return tuple(float(f"{v:.9g}") for v in values.ravel())
