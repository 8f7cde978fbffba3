"""Functions that no quantized operator says: marked while the step is traced.

A mark is a single operator that stands for the whole function. `expand` puts the function's own
formula in its place, which gives the float step; `converters/tables.py` puts a lookup table there
when the step is quantized, once calibration has told what the function sees.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from converters import flatfile
from converters.quiet import quiet

Function = Callable[[Any], Any]

_MARK: Final = float(1 << 20)
"""LEAKY_RELU with this slope and more stands for a function: nobody's own has such a one, and the
stock converter neither rewrites nor fuses it."""

_MARKED: ContextVar[list[Sampled] | None] = ContextVar("marked", default=None)


@dataclass(frozen=True)
class Sampled:
    """An elementwise function of a float32 tensor, to be sampled into a table.

    A table is exact around one place where the function jumps or bends; one that jumps twice is
    better said as the sum of two.
    """

    function: Function

    def __call__(self, x: Any) -> Any:
        """The function, or its mark inside of `marking`."""
        marked = _MARKED.get()
        if marked is None:
            return self.function(x)
        marked.append(self)
        return tf.nn.leaky_relu(x, alpha=_MARK + len(marked) - 1)


@dataclass(frozen=True)
class Site:
    """Where a sampled function stands in the float step: the tensors it reads and writes."""

    source: int
    target: int
    function: Sampled


@contextmanager
def marking() -> Iterator[list[Sampled]]:
    """Let sampled functions leave marks in what is traced inside; gives those that did."""
    marked: list[Sampled] = []
    token = _MARKED.set(marked)
    try:
        yield marked
    finally:
        _MARKED.reset(token)


def expand(data: bytes, marked: list[Sampled]) -> tuple[bytes, tuple[Site, ...]]:
    """The step with every mark replaced by its function's formula, and where they stand."""
    if not marked:
        return data, ()
    model = flatfile.unpack(data)
    graph = model.subgraphs[0]
    operators: list[Any] = []
    sites = []
    formulas: dict[tuple[int, tuple[int, ...]], bytes] = {}
    for op in graph.operators:
        number = _number(op)
        if number is None:
            operators.append(op)
            continue
        shape = tuple(int(n) for n in graph.tensors[op.inputs[0]].shape)
        if (number, shape) not in formulas:
            formulas[number, shape] = converted(marked[number].function, shape)
        source, target = int(op.inputs[0]), int(op.outputs[0])
        operators += _inlined(model, formulas[number, shape], source, target)
        sites.append(Site(source, target, marked[number]))
    graph.operators = operators
    return flatfile.pack(model), tuple(sites)


def _number(op: Any) -> int | None:
    """Which function a mark stands for; None for any other operator."""
    alpha = getattr(op.builtinOptions, "alpha", 0.0)
    is_mark = isinstance(op.builtinOptions, schema.LeakyReluOptionsT) and alpha >= _MARK
    return int(alpha - _MARK) if is_mark else None


def converted(function: Function, shape: tuple[int, ...]) -> bytes:
    """The function of one tensor of this shape as a `.tflite`."""
    with quiet():
        holder = tf.Module()
        holder.function = tf.function(
            function, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [holder.function.get_concrete_function()], holder
        )
        return bytes(converter.convert())


def _inlined(model: Any, formula: bytes, source: int, target: int) -> list[Any]:
    """The operators of a formula between two tensors of the model, its tensors appended."""
    graph, other = model.subgraphs[0], flatfile.unpack(formula)
    inner = other.subgraphs[0]
    place = {int(inner.inputs[0]): source, int(inner.outputs[0]): target, -1: -1}
    for index, tensor in enumerate(inner.tensors):
        if index in place:
            continue
        added = copy.copy(tensor)
        added.name = graph.tensors[target].name + f"_{len(graph.tensors)}".encode()
        content = other.buffers[tensor.buffer]
        added.buffer = 0
        if content.data is not None and len(content.data):
            added.buffer = len(model.buffers)
            model.buffers.append(content)
        place[index] = len(graph.tensors)
        graph.tensors.append(added)
    for op in inner.operators:
        code = other.operatorCodes[op.opcodeIndex]
        if code.builtinCode == schema.BuiltinOperator.SELECT:  # TFLM has the other one only
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SELECT_V2
            code.version = 1
            op.builtinOptionsType = schema.BuiltinOptions.SelectV2Options
            op.builtinOptions = schema.SelectV2OptionsT()
        op.opcodeIndex = _code(model, code)
        op.inputs = [place[int(i)] for i in op.inputs]
        op.outputs = [place[int(i)] for i in op.outputs]
    return list(inner.operators)


def _code(model: Any, wanted: Any) -> int:
    """Index of the same operator code, added if the model does not have it yet."""
    for i, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.version) == (wanted.builtinCode, wanted.version):
            return i
    model.operatorCodes.append(wanted)
    return len(model.operatorCodes) - 1
