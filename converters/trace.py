"""Trace the rewritten model into a float step `.tflite` with the signature `step`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

import converters.rules  # noqa: F401  (registers the rules)
from converters import masks
from converters.flatfile import flat_products, name_signature, open_batches
from converters.ports import Input, Output, inputs_of, outputs_of
from converters.quiet import quiet
from converters.rewrite import functional, walk
from converters.rings import aligned, joined, same_time
from converters.sampled import Site, expand, marking
from converters.step import MoreFramesError, Signal, StateSpec, Step
from edgernn.errors import UnsupportedError

MAX_FRAMES = 256
"""Most input frames that one step may hold."""


@dataclass(frozen=True)
class FloatStep:
    """The step in float32, and what was learned on the way.

    Attributes:
        data: the `.tflite`, with signature `step`: inputs and states in, outputs and states out.
        inputs: the inputs that are no states, in Keras' order.
        outputs: the outputs that are no states, in Keras' order.
        states: the states in the order of their discovery.
        frames_per_step: input frames that make one output.
        layers: `(layer path, type, what became of it)`.
        warmup: first steps whose outputs are no predictions.
        outputs_per_step: rows of an output, which is `(1, n, ...)` for n > 1.
        latency: input frames by which an output comes after the newest one it is counted for.
        looks_ahead: whether a layer sees frames after the one it counts for.
        exact: frames after which the step knows less of the past than Keras (attention).
        mask: what all values of a frame are for which no step is made.
        masked_output: what the model gives before its first frame that is not masked, flat.
        sites: where functions stand that quantized files look up in tables.
        uses_window: whether a layer sees as many of the last frames as the user says.
    """

    data: bytes
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    states: tuple[StateSpec, ...]
    frames_per_step: int
    layers: tuple[tuple[str, str, str], ...]
    warmup: int = 0
    outputs_per_step: int = 1
    latency: int = 0
    looks_ahead: bool = False
    exact: int | None = None
    mask: float | None = None
    masked_output: tuple[float, ...] = ()
    sites: tuple[Site, ...] = ()
    uses_window: bool = False

    @property
    def initial(self) -> dict[str, npt.NDArray[np.float32]]:
        """First value of each state by name."""
        return {state.name: state.initial for state in self.states}

    @property
    def sequence_output(self) -> bool:
        """Whether Keras gives a row for each frame, of every output."""
        return all(output.is_sequence for output in self.outputs)


def trace(model: Any, window: int | None = None, whole: bool = False) -> FloatStep:
    """Rewrite a model as its step.

    Args:
        model: a `keras.Model`.
        window: how many of the last frames attention and global pooling see, in frames of their
            own input.
        whole: the step is to run over whole windows, without their masked frames.

    Raises:
        UnsupportedError: the model's inputs, outputs, a layer or an option cannot be converted.
    """
    graph = functional(model, Step())
    inputs, lifted = inputs_of(graph)
    # Constants must be taken before tracing, or the weights stay VAR_HANDLE ops.
    constants = [(v, tf.constant(v.numpy())) for v in model.variables]

    def run(
        given: Sequence[Any], states: dict[str, Any] | None, frames: int
    ) -> tuple[Step, list[Signal]]:
        signals = [_signal(x, one, frames) for x, one in zip(given, inputs, strict=True)]
        firsts = {one.name: s.frames[0] for one, s in zip(inputs, signals, strict=True)}
        step = Step(states, frames, window, firsts, whole)
        with keras.StatelessScope(state_mapping=constants):
            found = walk(graph, signals, step, lifted)
        results = found if isinstance(found, list) else [found]
        masks.check(results, step)
        return step, _together(results, step)

    frames = 1
    while True:
        try:
            found, results = run([tf.zeros(i.shape(frames), i.dtype) for i in inputs], None, frames)
            break
        except MoreFramesError as more:
            frames *= more.factor
            if frames > MAX_FRAMES:
                raise UnsupportedError(f"one output takes over {MAX_FRAMES} frames") from None
    if frames > 1 and not all(one.is_sequence for one in inputs):
        raise UnsupportedError(
            "an input without a time axis in a model whose steps take several frames: repeat it "
            "for each frame, as a sequence"
        )

    outputs = outputs_of(graph, results, found)
    names = list(found.specs)
    arguments = [
        tf.TensorSpec(one.shape(frames), one.dtype, name=f"x_{i}") for i, one in enumerate(inputs)
    ]
    arguments += [
        tf.TensorSpec(found.specs[name].initial.shape, tf.float32, name=f"state_{i}")
        for i, name in enumerate(names)
    ]
    notes: list[tuple[str, str, str]] = []

    @tf.function(input_signature=arguments, autograph=False)  # type: ignore[untyped-decorator]
    def step_function(*given: Any) -> dict[str, Any]:
        x, states = given[: len(inputs)], given[len(inputs) :]
        step, results = run(x, dict(zip(names, states, strict=True)), frames)
        notes[:] = step.layers
        return {
            **{f"y_{i}": _rows(result.frames) for i, result in enumerate(results)},
            **{f"state_{i}": step.next[name] for i, name in enumerate(names)},
        }

    with quiet(), marking() as marked:
        holder = tf.Module()
        holder.step = step_function
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [step_function.get_concrete_function()], holder
        )
        data = converter.convert()
    states = {f"state_{i}": name for i, name in enumerate(names)}
    data = name_signature(
        open_batches(flat_products(data)),
        {f"x_{i}": one.name for i, one in enumerate(inputs)},
        {f"y_{i}": one.name for i, one in enumerate(outputs)},
        states,
    )
    data, sites = expand(data, marked)
    return FloatStep(
        data=data,
        inputs=tuple(replace(i, vocabulary=found.vocabulary.get(i.name)) for i in inputs),
        outputs=outputs,
        states=tuple(found.specs.values()),
        frames_per_step=frames,
        layers=tuple(notes),
        warmup=results[0].warmup // len(results[0].frames),
        outputs_per_step=len(results[0].frames),
        latency=results[0].latency,
        looks_ahead=found.looks_ahead,
        exact=found.exact,
        mask=found.mask,
        sites=sites,
        uses_window=found.uses_window,
    )


def _signal(x: Any, one: Input, frames: int) -> Signal:
    """An input of the step as the layers see it."""
    if not one.is_sequence or frames == 1:
        return Signal((x,), one.is_sequence, static=not one.is_sequence)
    return Signal(tuple(tf.unstack(x, axis=1)), is_sequence=True)


def _together(results: Sequence[Signal], step: Step) -> list[Signal]:
    """Outputs that come at the same time, from the same step on."""
    timed = [aligned(s, step) if s.is_sequence else s for s in results]
    if len(timed) == 1:
        return timed
    if len({len(s.frames) for s in timed}) > 1 or len(timed[0].frames) > 1:
        raise UnsupportedError("several outputs, of which one gives several rows in a step")
    sequences = [s for s in timed if s.is_sequence]
    with step.layer("outputs"):
        waiting = iter(same_time(sequences, step) if sequences else [])
    timed = [next(waiting) if s.is_sequence else s for s in timed]
    warmup, latency = max(s.warmup for s in timed), max(s.latency for s in timed)
    if any(s.is_sequence and s.warmup != warmup for s in timed):
        raise UnsupportedError(
            "an output for each frame beside one for the end that needs more frames before its "
            "first value: make two models of them"
        )
    return [replace(s, warmup=warmup, latency=latency) for s in timed]


def _rows(frames: Sequence[Any]) -> Any:
    """The frames of a step's output, in a time axis of their own if there are several."""
    if len(frames) == 1:
        return frames[0]
    return joined([tf.reshape(y, (-1, 1, *y.shape[1:])) for y in frames])
