"""Roll a step file over many sequences at once, its state carried: fast enough to measure with.

Sequences run side by side as rows of one batch, longest first, so that the rows still running are
always the leading ones. Works on float and quantized steps alike; the numbers it gives are
LiteRT's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.packing import pack_rows, unpack, unpack_rows
from converters.quiet import quiet
from converters.trace import FloatStep
from edgernn import tflite
from edgernn.metadata import quantize

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

BATCH = 64
"""Most sequences run side by side."""


@dataclass(frozen=True)
class Rolled:
    """One step of a batch: rows `0 … active-1` are sequences `which`, at step `time` of each.

    `masked` says of each of them whether its frame is masked, and so the step of no effect.
    """

    runner: Any
    which: tuple[int, ...]
    time: int
    masked: npt.NDArray[np.bool_]

    def rows(self, tensor: int) -> npt.NDArray[np.generic]:
        """The tensor's values for the sequences still running."""
        values: npt.NDArray[np.generic] = self.runner.get_tensor(tensor)[: len(self.which)]
        return values


def outputs(data: bytes, step: FloatStep, sequences: Sequence[Array]) -> list[Array]:
    """The predictions in real units for each sequence, `(rows, *outputs)`, from the first state.

    Args:
        data: a step file, `step.data` or a quantized version of it.
        step: the float step.
        sequences: see `roll`.
    """
    graph = tflite.read(data)
    ends = graph.signatures["step"].outputs
    tensors = [graph.tensors[ends[output.name]] for output in step.outputs]
    steps = [len(s) // step.frames_per_step for s in sequences]
    results = [[np.empty((n, *y.shape[1:]), np.float32) for y in tensors] for n in steps]
    width = sum(output.size for output in step.outputs)
    held = np.reshape(step.masked_output or np.zeros(width), (1, width)).astype(np.float32)
    before = unpack_rows(step.outputs, held)
    for rolled in roll(data, step, sequences):
        for k, y in enumerate(tensors):
            rows = dequantize(rolled.rows(y.index), y)
            for sequence, row, masked in zip(rolled.which, rows, rolled.masked, strict=True):
                rolls, time = results[sequence][k], rolled.time
                rolls[time] = row if not masked else rolls[time - 1] if time else before[k][0]
    return [_rows(step, found) for found in results]


def _rows(step: FloatStep, found: Sequence[Array]) -> Array:
    """The predictions of one sequence, rows of Keras, all outputs in one array."""
    valid = [rows[step.warmup :] for rows in found]
    if step.outputs_per_step > 1:
        valid = [rows.reshape(-1, *rows.shape[2:]) for rows in valid]
    return pack_rows(valid)


def dequantize(values: npt.NDArray[Any], tensor: tflite.Tensor) -> Array:
    """A tensor's integers as real values; floats as they are."""
    if not tensor.scale:
        return values.astype(np.float32, copy=False)
    real: Array = (
        (values - np.float32(tensor.zero_point[0])) * np.float32(tensor.scale[0])
    ).astype(np.float32)
    return real


def roll(
    data: bytes, step: FloatStep, sequences: Sequence[Array], watch: bool = False
) -> Iterator[Rolled]:
    """Yield every step of every batch, those of the warm-up too.

    Args:
        data: a step file, `step.data` or a quantized version of it.
        step: the float step: its states and how many frames it takes.
        sequences: normalised sequences `(T, *features)`, packed; each starts from the first
            state. An incomplete last step is left out.
        watch: keep the values of every tensor readable (slower).
    """
    graph = tflite.read(data)
    longest_first = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    width = _batch_width(data, graph, len(sequences))
    for start in range(0, len(sequences), width):
        which = longest_first[start : start + width]
        yield from _roll_batch(data, graph, step, sequences, which, watch)


def _roll_batch(
    data: bytes,
    graph: tflite.Graph,
    step: FloatStep,
    sequences: Sequence[Array],
    which: Sequence[int],
    watch: bool,
) -> Iterator[Rolled]:
    signature, rows, frames = graph.signatures["step"], len(which), step.frames_per_step
    runner = _interpreter(data, rows, watch)
    sources = [graph.tensors[signature.inputs[one.name]] for one in step.inputs]
    states = [(signature.inputs[s.name], signature.outputs[s.name]) for s in step.states]
    first = [
        np.repeat(to_raw(s.initial, graph.tensors[entry]), rows, axis=0)
        for s, (entry, _) in zip(step.states, states, strict=True)
    ]
    carried = first
    parts = [unpack(step.inputs, sequences[i]) for i in which]
    raw = [[to_raw(p, x) for p, x in zip(row, sources, strict=True)] for row in parts]
    x = [np.zeros((rows, *source.shape[1:]), source.numpy_dtype) for source in sources]
    lengths = [len(sequences[i]) // frames for i in which]
    for time in range(lengths[0]):
        active = sum(length > time for length in lengths)
        masked = np.zeros(active, np.bool_)
        for row in range(active):
            for k, source in enumerate(sources):
                frame = raw[row][k][time * frames : (time + 1) * frames]
                x[k][row] = frame.reshape(source.shape[1:])
            masked[row] = step.mask is not None and bool((parts[row][0][time] == step.mask).all())
        for source, values in zip(sources, x, strict=True):
            runner.set_tensor(source.index, values)
        for (target, _), value in zip(states, carried, strict=True):
            runner.set_tensor(target, value)
        runner.invoke()
        following = [
            begun if time < state.starts else runner.get_tensor(result)
            for state, begun, (_, result) in zip(step.states, first, states, strict=True)
        ]
        for old, new in zip(carried, following, strict=True):
            new[:active][masked] = old[:active][masked]
        carried = following
        yield Rolled(runner, tuple(which[:active]), time, masked)


def to_raw(values: Array, tensor: tflite.Tensor) -> npt.NDArray[np.generic]:
    """Real values as a tensor's integers; floats and tokens as they are."""
    if not tensor.scale:
        return values.astype(tensor.numpy_dtype)
    return quantize(values, tensor.scale[0], tensor.zero_point[0], tensor.dtype)


def _interpreter(data: bytes, rows: int, watch: bool) -> Any:
    # Values inside the graph are only there to read when no delegate runs it.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if watch else OpResolverType.BUILTIN
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        runner = Interpreter(
            model_content=data,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=watch,
            num_threads=1,
        )
        if rows > 1:
            for detail in runner.get_input_details():
                runner.resize_tensor_input(detail["index"], [rows, *detail["shape"][1:]])
        runner.allocate_tensors()
    return runner


def _batch_width(data: bytes, graph: tflite.Graph, count: int) -> int:
    """How many sequences can run side by side: 1 for a graph that fixes its batch to one row."""
    width = min(BATCH, count)
    if width <= 1:
        return 1
    try:
        runner = _interpreter(data, width, watch=False)
        runner.invoke()
    except (RuntimeError, ValueError):
        return 1
    ends = graph.signatures["step"].outputs.values()
    return width if all(runner.get_tensor(i).shape[0] == width for i in ends) else 1
