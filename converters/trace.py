"""Trace the rewritten model into a float step `.tflite` with the signature `step`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

import converters.rules  # noqa: F401  (registers the rules)
from converters.flatfile import name_signature
from converters.quiet import quiet
from converters.rewrite import functional, walk
from converters.rules.normalization import affine_of
from converters.step import MoreFramesError, Signal, StateSpec, Step
from edgernn.errors import UnsupportedError
from edgernn.metadata import Normalisation

MAX_FRAMES = 256
"""Most input frames that one step may hold."""


@dataclass(frozen=True)
class FloatStep:
    """The step in float32, and what was learned on the way.

    Attributes:
        data: the `.tflite`, with signature `step`: `x` and states in, `y` and states out.
        states: the states in the order of their discovery.
        frames_per_step: input frames that make one output.
        normalisation: the scaling at the model's input, lifted out of the graph.
        layers: `(layer path, type, what became of it)`.
        sequence_output: whether Keras gives an output for each frame.
    """

    data: bytes
    states: tuple[StateSpec, ...]
    frames_per_step: int
    normalisation: Normalisation | None
    layers: tuple[tuple[str, str, str], ...]
    sequence_output: bool

    @property
    def initial(self) -> dict[str, npt.NDArray[np.float32]]:
        """First value of each state by name."""
        return {state.name: state.initial for state in self.states}


def trace(model: Any) -> FloatStep:
    """Rewrite a model as its step.

    Raises:
        UnsupportedError: the model's inputs, outputs, a layer or an option cannot be converted.
    """
    graph = functional(model, Step())
    feature_shape = _feature_shape(graph)
    lifted = _lift_normalisation(graph, feature_shape)
    # Constants must be taken before tracing, or the weights stay VAR_HANDLE ops.
    constants = [(v, tf.constant(v.numpy())) for v in model.variables]

    def run(x: Any, states: dict[str, Any] | None, frames: int) -> tuple[Step, Signal]:
        step = Step(states)
        parts = (x,) if frames == 1 else tuple(tf.unstack(x, axis=1))
        with keras.StatelessScope(state_mapping=constants):
            result = walk(graph, [Signal(parts, is_sequence=True)], step, frozenset(lifted.layers))
        if isinstance(result, list):
            raise UnsupportedError(
                f"the model has {len(result)} outputs: keep one, or split it into several models"
            )
        return step, result

    frames = 1
    while True:
        shape = (1, *feature_shape) if frames == 1 else (1, frames, *feature_shape)
        try:
            found, _ = run(tf.zeros(shape), None, frames)
            break
        except MoreFramesError as more:
            frames *= more.factor
            if frames > MAX_FRAMES:
                raise UnsupportedError(f"one output takes over {MAX_FRAMES} frames") from None

    names = list(found.specs)
    arguments = [tf.TensorSpec(shape, tf.float32, name="x")]
    arguments += [
        tf.TensorSpec(found.specs[name].initial.shape, tf.float32, name=f"state_{i}")
        for i, name in enumerate(names)
    ]
    notes: list[tuple[str, str, str]] = []
    sequence: list[bool] = []

    @tf.function(input_signature=arguments, autograph=False)  # type: ignore[untyped-decorator]
    def step_function(x: Any, *states: Any) -> dict[str, Any]:
        step, result = run(x, dict(zip(names, states, strict=True)), frames)
        notes[:] = step.layers
        sequence[:] = [result.is_sequence]
        y = result.frames[0] if len(result.frames) == 1 else tf.stack(result.frames, axis=1)
        return {"y": y, **{f"state_{i}": step.next[name] for i, name in enumerate(names)}}

    with quiet():
        holder = tf.Module()
        holder.step = step_function
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [step_function.get_concrete_function()], holder
        )
        data = converter.convert()
    return FloatStep(
        data=name_signature(data, {f"state_{i}": name for i, name in enumerate(names)}),
        states=tuple(found.specs.values()),
        frames_per_step=frames,
        normalisation=lifted.normalisation,
        layers=tuple(notes),
        sequence_output=sequence[0],
    )


def _feature_shape(graph: Any) -> tuple[int, ...]:
    if len(graph.inputs) != 1:
        names = ", ".join(f"'{t.name}'" for t in graph.inputs)
        raise UnsupportedError(
            f"the model has {len(graph.inputs)} inputs ({names}): concatenate them into one frame"
        )
    shape, name = graph.inputs[0].shape, graph.inputs[0].name
    if len(shape) < 3:
        raise UnsupportedError(
            f"input '{name}' has shape {tuple(shape)}: a stream needs (batch, time, features)"
        )
    if shape[0] not in (None, 1):
        raise UnsupportedError(
            f"input '{name}' has its batch size fixed to {shape[0]}: a stream is one sequence, "
            "rebuild the model with a batch size of None or 1 and load the weights into it"
        )
    if any(n is None for n in shape[2:]):
        raise UnsupportedError(f"input '{name}' has features of unknown size: {tuple(shape)}")
    return tuple(int(n) for n in shape[2:])


@dataclass(frozen=True)
class _Lifted:
    layers: tuple[str, ...]
    normalisation: Normalisation | None


def _lift_normalisation(graph: Any, feature_shape: tuple[int, ...]) -> _Lifted:
    """Take Rescaling and Normalization at the input out of the graph, into the metadata.

    Quantizing the raw frame with one scale would lose the features that are small by nature; the
    runtime scales the frame before it quantizes it instead.
    """
    nodes = [n for same in graph._nodes_by_depth.values() for n in same if not n.is_input]
    tensor, names = graph.inputs[0], []
    scale, offset = np.ones(feature_shape), np.zeros(feature_shape)
    while True:
        readers = [node for node in nodes if any(t is tensor for t in node.input_tensors)]
        shared = len(readers) != 1 or any(t is tensor for t in graph.outputs)
        pair = None if shared else affine_of(readers[0].operation, feature_shape)
        # A layer that is called again elsewhere in the graph keeps its place there.
        if pair is None or sum(n.operation is readers[0].operation for n in nodes) > 1:
            break
        scale, offset = scale * pair[0], offset * pair[0] + pair[1]
        names.append(readers[0].operation.name)
        tensor = readers[0].output_tensors[0]
    if not names:
        return _Lifted((), None)
    return _Lifted(tuple(names), Normalisation(_numbers(scale), _numbers(offset)))


def _numbers(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    # Nine digits are what float32 has; more would only make the document longer.
    return tuple(float(f"{v:.9g}") for v in values.ravel())
