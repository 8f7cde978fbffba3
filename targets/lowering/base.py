"""The model being lowered: tensors as views, constants as buffers, nodes in order."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelFileError, UnsupportedError
from edgernn.tflite import Graph, Operator, Tensor
from targets.cores import Core
from targets.expr import Expr, number
from targets.fixedpoint import round_half_away
from targets.ir import (
    C_TYPES,
    Array,
    Buffer,
    Build,
    Elementwise,
    Kernel,
    View,
    dense_strides,
)

LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767), "int32": (-(1 << 31), (1 << 31) - 1)}

Lowering = Callable[["Model", Operator], None]
LOWERINGS: dict[str, Lowering] = {}
FLOAT_LOWERINGS: dict[str, Lowering] = {}
"""Used where an operator reads or writes float32; those above may take any type too."""


def lowers(*names: str, floats: bool = False) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of these operators, or of their float32 versions."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            (FLOAT_LOWERINGS if floats else LOWERINGS)[name] = function
        return function

    return register


@dataclass(eq=False)
class Model:
    """What the lowerings read and extend.

    `records` are parameter structs in flash: C type, name, initialiser.
    """

    graph: Graph
    core: Core
    name: str
    views: dict[int, View] = field(default_factory=dict)
    nodes: list[Kernel | Elementwise] = field(default_factory=list)
    constants: list[Buffer] = field(default_factory=list)
    widened: dict[tuple[int, int, int], View] = field(default_factory=dict)
    records: list[tuple[str, str, str]] = field(default_factory=list)
    op: Operator | None = None
    _names: set[str] = field(default_factory=set)
    _pool: dict[tuple[str, bytes], Buffer] = field(default_factory=dict)

    # Names and errors

    def unique(self, wanted: str) -> str:
        """A C identifier close to `wanted` that no other buffer has."""
        base = identifier(wanted)
        name, i = base, 2
        while name in self._names:
            name, i = f"{base}_{i}", i + 1
        self._names.add(name)
        return name

    def layer(self, op: Operator) -> str:
        """Where an operator came from: the path of its output's name."""
        return self.tensor(op.outputs[0]).name if op.outputs else ""

    def unsupported(self, why: str) -> UnsupportedError:
        """An error that names the operator being lowered, its output and its layer."""
        assert self.op is not None
        return UnsupportedError(
            f"operator {self.op.index} ({self.op.name}) of '{self.layer(self.op)}': {why}"
        )

    # Tensors

    def tensor(self, index: int) -> Tensor:
        """A tensor of the graph."""
        if index < 0:
            raise self.unsupported("an input is missing")
        return self.graph.tensors[index]

    def inputs(self, op: Operator, *counts: int) -> list[Tensor]:
        """The operator's inputs, present ones; one of `counts` must be their number."""
        if len(op.inputs) not in counts or any(i < 0 for i in op.inputs):
            raise self.unsupported(f"it has {len(op.inputs)} inputs")
        return [self.tensor(i) for i in op.inputs]

    def output(self, op: Operator) -> Tensor:
        """The only output."""
        if len(op.outputs) != 1:
            raise self.unsupported(f"it has {len(op.outputs)} outputs")
        return self.tensor(op.outputs[0])

    def quantization(self, tensor: Tensor) -> tuple[float, int]:
        """Scale and zero point of a tensor quantized as a whole."""
        if len(tensor.scale) != 1:
            raise self.unsupported(f"tensor '{tensor.name}' has {len(tensor.scale)} scales")
        if not 2.0**-100 < tensor.scale[0] < 2.0**100:
            raise self.unsupported(f"tensor '{tensor.name}' has the scale {tensor.scale[0]:g}")
        low, high = LIMITS.get(tensor.dtype, (0, 0))
        if not low <= tensor.zero_point[0] <= high:
            raise self.unsupported(f"tensor '{tensor.name}' has a zero point outside its type")
        return tensor.scale[0], tensor.zero_point[0]

    def same_type(self, *tensors: Tensor, among: Sequence[str]) -> str:
        """The common type of some tensors."""
        kinds = {t.dtype for t in tensors}
        if len(kinds) != 1 or not kinds <= set(among):
            have = ", ".join(t.dtype for t in tensors)
            raise self.unsupported(f"the types {have} are not supported together")
        return kinds.pop()

    def integers(self, tensor: Tensor) -> list[int]:
        """The values of a constant list of integers."""
        if tensor.data is None or tensor.dtype not in ("int32", "int64") or tensor.elements > 64:
            raise self.unsupported(f"'{tensor.name}' is not a short constant list of integers")
        return [int(v) for v in tensor.data.reshape(-1)]

    def view(self, index: int) -> View:
        """Where a tensor lives: a value computed before, or a constant."""
        if index in self.views:
            return self.views[index]
        tensor = self.tensor(index)
        if tensor.data is None:
            raise ModelFileError(f"tensor '{tensor.name}' is read before it is computed")
        buffer = self.constant(tensor.data, short_name(tensor.name), f"{tensor.name}")
        self.views[index] = View(buffer, tensor.shape)
        return self.views[index]

    def define(self, index: int) -> View:
        """A new scratch buffer for an output."""
        tensor = self.tensor(index)
        self.check(tensor)
        view = View(
            self.scratch(tensor.dtype, tensor.elements, short_name(tensor.name)), tensor.shape
        )
        view.buffer.comment = describe(tensor)
        self.views[index] = view
        return view

    def alias(self, index: int, view: View) -> None:
        """Let an output be a view of something computed already."""
        self.check(self.tensor(index))
        if view.shape != self.tensor(index).shape:
            raise self.unsupported(
                f"its output has shape {self.tensor(index).shape} instead of {view.shape}"
            )
        self.views[index] = view

    def check(self, tensor: Tensor) -> None:
        """Refuse a tensor that cannot be an activation of a compiled model."""
        if any(n < 0 for n in tensor.shape):
            raise UnsupportedError(
                f"tensor '{tensor.name}' has the dynamic shape {tensor.shape}: convert the model "
                "with fixed shapes"
            )
        if tensor.elements == 0:
            raise UnsupportedError(f"tensor '{tensor.name}' is empty")
        if tensor.elements > 1 << 24:
            raise UnsupportedError(f"tensor '{tensor.name}' of shape {tensor.shape} is too large")
        if tensor.dtype not in C_TYPES:
            raise UnsupportedError(
                f"tensor '{tensor.name}' has the unsupported type {tensor.dtype}"
            )
        if tensor.dtype == "float32" and not self.core.floats and tensor.index not in self.edges:
            raise UnsupportedError(
                f"tensor '{tensor.name}' is float32 and {self.core.name} has no FPU: convert with "
                "--precision int8 or int16x8"
            )

    @functools.cached_property
    def edges(self) -> frozenset[int]:
        """Float inputs and outputs of a model that computes in integers: converted, no more."""
        graph, inner = self.graph, set[int]()
        for op in graph.operators:
            if op.name != "QUANTIZE":
                inner.update(op.inputs)
            if op.name != "DEQUANTIZE":
                inner.update(op.outputs)
        return frozenset({*graph.inputs, *graph.outputs} - inner)

    def scratch(self, dtype: str, elements: int, name: str) -> Buffer:
        """A new scratch buffer."""
        return Buffer(self.unique(name), dtype, elements, "scratch")

    def constant(self, data: npt.ArrayLike, name: str, comment: str = "") -> Buffer:
        """A constant in flash; equal ones are kept once."""
        array: Array = np.ascontiguousarray(data)
        dtype = array.dtype.newbyteorder("=").name
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UnsupportedError(f"the constant '{name}' holds infinity or NaN")
        if dtype not in C_TYPES:
            raise UnsupportedError(f"the constant '{name}' has the unsupported type {dtype}")
        key = (dtype, array.tobytes())
        if key not in self._pool:
            name = self.unique(f"{self.name}_{name}")
            buffer = Buffer(name, dtype, array.size, "constant", comment, array.reshape(-1))
            self._pool[key] = buffer
            self.constants.append(buffer)
        return self._pool[key]

    # Nodes

    def add(self, node: Kernel | Elementwise) -> None:
        """Append a node."""
        self.nodes.append(node)

    def elementwise(
        self,
        op: Operator,
        inputs: Sequence[int],
        build: Build,
        files: Sequence[str] = (),
        note: str = "",
    ) -> None:
        """Append the elementwise node of an operator, with its inputs broadcast to its output."""
        output = self.output(op)
        dims, strides = self.broadcast([self.tensor(i) for i in inputs], output)
        constants = {k: self._scalar(i) for k, i in enumerate(inputs)}
        kept = [k for k in range(len(inputs)) if constants[k] is None]

        def wrapped(values: Sequence[Expr]) -> Expr:
            rest = iter(values)
            full = [constants[k] or next(rest) for k in range(len(inputs))]
            return build(full)

        views = [self.view(inputs[k]) for k in kept]
        self.add(
            Elementwise(
                op.name,
                self.layer(op),
                views,
                [self.define(op.outputs[0])],
                note=note,
                dims=dims,
                strides=[strides[k] for k in kept],
                build=wrapped,
                files=files,
            )
        )

    def _scalar(self, index: int) -> Expr | None:
        tensor = self.tensor(index)
        if tensor.data is None or tensor.elements != 1:
            return None
        value = tensor.data.reshape(-1)[0]
        if tensor.dtype == "float32" and np.isfinite(value):
            return real(float_literal(float(value)))
        return number(int(value)) if tensor.dtype in LIMITS else None

    def broadcast(
        self, tensors: Sequence[Tensor], output: Tensor
    ) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
        """The smallest iteration space over `output`, and each tensor's strides in it."""
        rank = len(output.shape)
        all_strides = []
        for tensor in tensors:
            if len(tensor.shape) > rank:
                raise self.unsupported(f"'{tensor.name}' does not broadcast to its output")
            shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
            if any(n not in (1, m) for n, m in zip(shape, output.shape, strict=True)):
                raise self.unsupported(f"'{tensor.name}' does not broadcast to its output")
            steps = dense_strides(shape)
            all_strides.append([0 if n == 1 else s for n, s in zip(shape, steps, strict=True)])
        # Merge neighbouring dimensions through which every tensor steps evenly.
        dims: list[int] = []
        merged: list[list[int]] = [[] for _ in tensors]
        for axis, n in enumerate(output.shape):
            if n == 1:
                continue
            steps_here = [s[axis] for s in all_strides]
            if dims and all(m[-1] == s * n for m, s in zip(merged, steps_here, strict=True)):
                dims[-1] *= n
                for m, s in zip(merged, steps_here, strict=True):
                    m[-1] = s
            else:
                dims.append(n)
                for m, s in zip(merged, steps_here, strict=True):
                    m.append(s)
        if not dims:
            return (1,), [(1,)] * len(tensors)
        return tuple(dims), [tuple(m) for m in merged]

    def activation_range(self, output: Tensor, activation: str) -> tuple[int, int]:
        """Limits of a fused activation, in the output's integers."""
        low, high = LIMITS[output.dtype]
        scale, zero = self.quantization(output)

        def quantized(x: float) -> int:
            return zero + round_half_away(float(np.float32(x) / np.float32(scale)))

        if activation == "NONE":
            return low, high
        if activation not in ("RELU", "RELU6", "RELU_N1_TO_1"):
            raise self.unsupported(f"the fused activation {activation} is not supported")
        bottom = quantized(-1.0 if activation == "RELU_N1_TO_1" else 0.0)
        top = {"RELU": high, "RELU6": quantized(6.0), "RELU_N1_TO_1": quantized(1.0)}[activation]
        low, high = max(low, bottom), min(high, top)
        if low > high:
            raise self.unsupported("its fused activation leaves no value")
        return low, high


def real(code: str) -> Expr:
    """A float32 value of which nothing is known."""
    return Expr(code, 0, 1)


def float_literal(value: float) -> str:
    """A float32 as C writes it."""
    text = f"{value:.9g}"
    text += "f" if any(c in text for c in ".e") else ".0f"
    return f"({text})" if value < 0 else text


def identifier(text: str) -> str:
    """A lower-case C identifier made of a name's letters and digits."""
    name = re.sub(r"[^0-9a-zA-Z]+", "_", text).strip("_").lower()[:40].strip("_")
    return name if name and not name[0].isdigit() else f"t_{name}".rstrip("_")


def short_name(tensor_name: str) -> str:
    """The telling end of a tensor's path."""
    last = tensor_name.split(";")[0]
    parts = [p for p in re.split(r"[/:]", last) if p and not p.isdigit()]
    parts = [p for p in parts if p not in ("StatefulPartitionedCall", "PartitionedCall")]
    return "_".join(parts[-2:]) or "value"


def describe(tensor: Tensor) -> str:
    """Name, shape and quantization, for a comment."""
    text = f"{tensor.name} {list(tensor.shape)} {tensor.dtype}"
    if len(tensor.scale) == 1:
        mantissa, exponent = math.frexp(tensor.scale[0])
        scale = f"2^{exponent - 1}" if mantissa == 0.5 else f"{tensor.scale[0]:.6g}"
        text += f", scale {scale}"
        if tensor.zero_point[0]:
            text += f", zero point {tensor.zero_point[0]}"
    return text.replace("*/", "* /")


def lower(model: Model) -> None:
    """Lower every operator of the graph, in order."""
    for op in model.graph.operators:
        model.op = op
        ends = (*op.inputs[:1], *op.outputs)
        floats = any(i >= 0 and model.tensor(i).dtype == "float32" for i in ends)
        function = LOWERINGS.get(op.name)
        if floats:
            function = FLOAT_LOWERINGS.get(op.name, function)
        if function is None:
            raise model.unsupported("this operator is not supported")
        if not op.outputs:
            raise model.unsupported("it has no output")
        for index in op.outputs:
            if index in model.views or model.tensor(index).data is not None:
                raise ModelFileError(f"tensor '{model.tensor(index).name}' is computed twice")
            model.check(model.tensor(index))
        for index in op.inputs:
            if index >= 0:
                model.check(model.tensor(index))
        function(model, op)
    model.op = None
