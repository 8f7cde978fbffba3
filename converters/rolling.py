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

from converters.quiet import quiet
from edgernn import tflite
from edgernn.metadata import quantize

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

BATCH = 64
"""Most sequences run side by side."""


@dataclass(frozen=True)
class Rolled:
    """One step of a batch: rows `0 … active-1` are sequences `which`, at step `time` of each."""

    runner: Any
    which: tuple[int, ...]
    time: int

    def rows(self, tensor: int) -> npt.NDArray[np.generic]:
        """The tensor's values for the sequences still running."""
        values: npt.NDArray[np.generic] = self.runner.get_tensor(tensor)[: len(self.which)]
        return values


def outputs(
    data: bytes, initial: dict[str, Array], sequences: Sequence[Array], frames: int = 1
) -> list[Array]:
    """The step's `y` in real units for each sequence, `(steps, *outputs)`, from the first state."""
    graph = tflite.read(data)
    y = graph.tensors[graph.signatures["step"].outputs["y"]]
    results = [np.empty((len(s) // frames, *y.shape[1:]), np.float32) for s in sequences]
    for step in roll(data, initial, sequences, frames):
        for sequence, row in zip(step.which, step.rows(y.index), strict=True):
            results[sequence][step.time] = row
    return [dequantize(r, y) for r in results]


def dequantize(values: npt.NDArray[Any], tensor: tflite.Tensor) -> Array:
    """A tensor's integers as real values; floats as they are."""
    if not tensor.scale:
        return values.astype(np.float32)
    real: Array = (
        (values - np.float32(tensor.zero_point[0])) * np.float32(tensor.scale[0])
    ).astype(np.float32)
    return real


def roll(
    data: bytes,
    initial: dict[str, Array],
    sequences: Sequence[Array],
    frames: int = 1,
    watch: bool = False,
) -> Iterator[Rolled]:
    """Yield every step of every batch.

    Args:
        data: a step file.
        initial: first value of each state in real units, `(1, *features)`.
        sequences: normalised sequences `(T, *features)`; each starts from the first state.
        frames: input frames in one step; an incomplete last step is left out.
        watch: keep the values of every tensor readable (slower).
    """
    graph = tflite.read(data)
    longest_first = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    width = _batch_width(data, graph, len(sequences))
    for start in range(0, len(sequences), width):
        which = longest_first[start : start + width]
        yield from _roll_batch(data, graph, initial, sequences, which, frames, watch)


def _roll_batch(
    data: bytes,
    graph: tflite.Graph,
    initial: dict[str, Array],
    sequences: Sequence[Array],
    which: Sequence[int],
    frames: int,
    watch: bool,
) -> Iterator[Rolled]:
    signature, rows = graph.signatures["step"], len(which)
    runner = _interpreter(data, rows, watch)
    source = graph.tensors[signature.inputs["x"]]
    states = [(signature.inputs[name], signature.outputs[name]) for name in initial]
    carried = [
        np.repeat(to_raw(value, graph.tensors[signature.inputs[name]]), rows, axis=0)
        for name, value in initial.items()
    ]
    raw = [to_raw(sequences[i], source) for i in which]
    x = np.zeros((rows, *source.shape[1:]), source.numpy_dtype)
    for time in range(len(raw[0]) // frames):
        active = sum(len(r) // frames > time for r in raw)
        for row in range(active):
            x[row] = raw[row][time * frames : (time + 1) * frames].reshape(x.shape[1:])
        runner.set_tensor(source.index, x)
        for (target, _), value in zip(states, carried, strict=True):
            runner.set_tensor(target, value)
        runner.invoke()
        carried = [runner.get_tensor(result) for _, result in states]
        yield Rolled(runner, tuple(which[:active]), time)


def to_raw(values: Array, tensor: tflite.Tensor) -> npt.NDArray[np.generic]:
    """Real values as a tensor's integers; for a float tensor as they are."""
    if not tensor.scale:
        return values.astype(np.float32)
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
