"""Choose each tensor's quantization range from a sample of its values.

The range is the one with the least squared error over the sample, where the error of one value
counts at most as much as losing a typical large value (the 99th percentile) altogether. So a range
widens for a tail that matters and not for a lone spike, however high it is. (Plain mean squared
error, as in Migacz, "8-bit inference with TensorRT", 2017, and Banner et al., NeurIPS 2019, lets
one spike in 100,000 frames set the range.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from converters.calibration import Sample
from converters.step import ABSENT
from converters.tables import PLACE_NAME
from edgernn import tflite

FloatArray = npt.NDArray[np.floating]

FIXED: Final = {"LOGISTIC": (0.0, 1.0), "SOFTMAX": (0.0, 1.0), "TANH": (-1.0, 1.0)}
"""Operators whose kernels fix the range of their output."""

SAME_SCALE: Final = {
    "RESHAPE", "SPLIT", "STRIDED_SLICE", "SLICE", "TRANSPOSE", "GATHER", "PACK", "UNPACK",
    "CONCATENATION", "MAXIMUM", "SQUEEZE", "EXPAND_DIMS", "AVERAGE_POOL_2D", "MAX_POOL_2D",
}  # fmt: skip
"""Operators that only move or select values, so that input and output share one scale."""

GOLDEN: Final = (5**0.5 - 1) / 2
"""Unit of the scales of what is added to a 16-bit state. Between two power-of-two scales the kernel
rounds a few bits away, halves always up: a constant push, which a long memory adds up. With this
ratio the bits lost are spread as evenly as can be, and the push is gone."""

REACH: Final = 10.0
"""How far below the largest score of a row softmax looks: TFLM's 16-bit kernel ends there, and 8
bits of weight some way before."""

_BINS: Final = 2048


@dataclass(frozen=True)
class Range:
    """Smallest and largest real value a tensor can hold."""

    low: float
    high: float


def choose(
    graph: tflite.Graph,
    sample: Sample,
    ties: Sequence[tuple[int, int]],
    bits: dict[int, int],
    given: Mapping[int, Range] | None = None,
) -> dict[int, Range]:
    """The range of every sampled tensor.

    Args:
        graph: the float step.
        sample: values by tensor index.
        ties: pairs of tensors that must share one range (a state's input and output).
        bits: bits of each tensor, 8 or 16; 16-bit ranges are symmetric with a power-of-two scale.
        given: ranges that are decided already.
    """
    fixed = {
        output: FIXED[op.name]
        for op in graph.operators
        if op.name in FIXED
        for output in op.outputs
    }
    increments = _increments(graph, ties)
    scores = _masked_scores(graph, sample)
    ranges = {}
    for group in _groups(graph, sample, ties):
        decided = next((given[i] for i in group if given and i in given), None)
        pinned = next((fixed[i] for i in group if i in fixed), None)
        masked = next((scores[i] for i in group if i in scores), None)
        values = np.concatenate([sample.values[i] for i in group]) if masked is None else masked
        for index in group:
            width = bits.get(index, 8)
            if decided is not None:
                ranges[index] = decided
            elif pinned is not None:
                ranges[index] = _fixed_range(*pinned, width)
            elif width == 16:
                unit = GOLDEN if increments & set(group) else 1.0
                ranges[index] = power_of_two_range(values, unit)
            else:
                ranges[index] = asymmetric_range(values)
            if masked is not None:
                ranges[index] = _down_to(float(masked.min()), ranges[index], width)
    return ranges


def _masked_scores(graph: tflite.Graph, sample: Sample) -> dict[int, FloatArray]:
    """Scores of attention behind the mask that `ABSENT` fills, without what it would do to a range.

    A masked score lies `REACH` below the largest of its row, and so does one that is lower still.
    """
    found: dict[int, FloatArray] = {}
    for op in graph.operators:
        if op.name != "SOFTMAX" or op.inputs[0] not in sample.values:
            continue
        values = sample.values[op.inputs[0]]
        if values.min(initial=0.0) < ABSENT / 2:
            rows = values.reshape(-1, graph.tensors[op.inputs[0]].shape[-1])
            found[op.inputs[0]] = np.maximum(rows, rows.max(axis=1, keepdims=True) - REACH).ravel()
    return found


def _down_to(low: float, found: Range, bits: int) -> Range:
    """The range, with `low` in it: what is masked weighs nothing only if it can be said."""
    if bits == 8:
        return Range(min(found.low, low), found.high)
    while found.low > low:
        found = Range(2 * found.low, 2 * found.high)
    return found


def _gate_sums(graph: tflite.Graph) -> list[tuple[int, int]]:
    """Ties of what a gate adds up to the sum that its sigmoid or tanh reads.

    On one scale the addition is an addition of integers, where otherwise a kernel rescales both
    operands and the result, once for each unit of each gate. A table's place counts as a tanh.
    """
    producers = {o: op.name for op in graph.operators for o in op.outputs}
    readers: dict[int, set[str]] = {}
    for op in graph.operators:
        for i in op.inputs:
            readers.setdefault(i, set()).add(op.name)
    return [
        (i, op.outputs[0])
        for op in graph.operators
        if op.name == "ADD"
        and readers.get(op.outputs[0], set()) <= {"LOGISTIC", "TANH", PLACE_NAME}
        for i in op.inputs
        if producers.get(i) in ("FULLY_CONNECTED", "MUL", "ADD")
    ]


def _increments(graph: tflite.Graph, ties: Sequence[tuple[int, int]]) -> set[int]:
    """What is added to a state, or to what is left of it, to give the next one."""
    states = {end for tie in ties for end in tie}
    return {
        i
        for op in graph.operators
        if op.name in ("ADD", "SUB") and op.outputs[0] in states
        for i in op.inputs
        if i not in states
    }


def _groups(
    graph: tflite.Graph, sample: Sample, ties: Sequence[tuple[int, int]]
) -> list[list[int]]:
    """Sets of tensors that must share one range, by union-find."""
    parent = {i: i for i in sample.values}

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    moves = [
        (i, op.outputs[0])
        for op in graph.operators
        if op.name in SAME_SCALE
        for i in (*op.inputs, *op.outputs[1:])
    ]
    for a, b in [*ties, *moves, *_gate_sums(graph)]:
        if a in parent and b in parent:
            parent[root(a)] = root(b)
    groups: dict[int, list[int]] = {}
    for i in parent:
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def _fixed_range(low: float, high: float, bits: int) -> Range:
    """The range that gives exactly the scale which the kernel demands."""
    if bits == 16:
        return Range(-32767 / 32768, 32767 / 32768)
    # int8: LOGISTIC and SOFTMAX 1/256 from -128, TANH 1/128 around 0.
    step = (high - low) / 256
    return Range(low, low + 255 * step)


def _histogram(values: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Bin centres and weights over the whole range, and the loss cap (99th percentile of |x|).

    Bins narrow towards zero, so that a spike does not swallow everything else into one of them.
    """
    magnitudes = np.abs(values)
    largest = float(magnitudes.max())
    cap = float(np.quantile(magnitudes, 0.99)) or largest
    smallest = cap * 1e-4
    width = np.log(largest / smallest) / (_BINS - 1)
    bins = np.log(np.maximum(magnitudes, smallest) / smallest) / width
    bins = np.rint(bins).astype(np.int64) + _BINS * (values < 0)
    counts = np.bincount(bins, minlength=2 * _BINS)
    centres = smallest * np.exp(width * np.arange(_BINS))
    used = counts > 0
    return np.concatenate([centres, -centres])[used], counts[used] / values.size, cap


def _loss(
    centres: FloatArray, weights: FloatArray, cap: float, low: float, high: float, levels: int
) -> float:
    step = (high - low) / levels
    over = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
    error = np.minimum(over**2, cap**2) + min(step**2 / 12, cap**2)
    return float(np.sum(weights * error))


def asymmetric_range(values: FloatArray) -> Range:
    """The best range for 8 bits, zero included."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return Range(-1.0, 1.0)  # always zero: any scale will do
    centres, weights, cap = _histogram(values)
    lows, highs = _bounds(-values), _bounds(values)
    candidates = [(-a, b) for a in lows for b in highs]
    best = min(candidates, key=lambda r: (_loss(centres, weights, cap, r[0], r[1], 255), r))
    return Range(*best)


def _bounds(values: FloatArray) -> list[float]:
    """Candidates for the upper bound: shares of nearly the largest value, then to the spikes."""
    positive = values[values > 0]
    if not positive.size:
        return [0.0]
    nearly, largest = (float(q) for q in np.quantile(positive, [0.9999, 1.0]))
    return [
        *(nearly * np.linspace(0.4, 1.0, 11)).tolist(),
        *np.geomspace(nearly, largest, 6).tolist()[1:],
    ]


def power_of_two_range(values: FloatArray, unit: float = 1.0) -> Range:
    """The best symmetric range for 16 bits whose scale is exactly `unit` times a power of two."""
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return Range(-32767 / 32768, 32767 / 32768)
    centres, weights, cap = _histogram(values)
    # A value of exactly 2^k rounds to the last level of the range 2^k; it need not double it.
    top = int(np.ceil(np.log2(largest / unit * (1 - 2.0**-16))))
    exponents = range(top, top - 24, -1)
    best = min(
        exponents,
        key=lambda k: (_loss(centres, weights, cap, -unit * 2.0**k, unit * 2.0**k, 65535), -k),
    )
    limit = 32767 * unit * 2.0 ** (best - 15)
    return Range(-limit, limit)
