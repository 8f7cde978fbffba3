"""What a lowered model is made of: buffers, views of them, and nodes that read and write views.

A view is always dense, so slices, splits and reshapes that keep elements contiguous cost nothing.
Nodes are of two kinds: a `Kernel` calls C functions on whole views; an `Elementwise` computes one
element from elements, and the compiler fuses chains of them into one loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from targets.expr import Expr

Array = npt.NDArray[np.generic]

Kind = Literal["input", "output", "state", "scratch", "constant", "cursor"]

TURN = "t"
"""The variable that counts the turns of a `Repeat`, which its steps may read."""

C_TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "bool": "uint8_t",
    "float32": "float",
}


@dataclass(eq=False)
class Buffer:
    """A named array. `data` is a constant's content; `offset` is set by the memory plan.

    A `local` buffer is a variable of one loop and has no memory; one with a `home` lives in that
    state or output; one that is `padded` is read a little past its end and must not. A cursor is a
    pointer into another buffer, which moves on with every turn of a `Repeat`.
    """

    name: str
    dtype: str
    elements: int
    kind: Kind
    comment: str = ""
    data: Array | None = None
    offset: int = 0
    local: bool = False
    home: Buffer | None = None
    padded: bool = False

    @property
    def c_type(self) -> str:
        """The C type of an element."""
        return C_TYPES[self.dtype]

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class View:
    """`shape` elements of a buffer, in C order, from element `offset` on."""

    buffer: Buffer
    shape: tuple[int, ...]
    offset: int = 0

    @property
    def dtype(self) -> str:
        """The type of an element."""
        return self.buffer.dtype

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether the view is all of its buffer."""
        return self.offset == 0 and self.elements == self.buffer.elements

    def overlaps(self, other: View) -> bool:
        """Whether the two share an element."""
        return (
            self.buffer is other.buffer
            and self.offset < other.offset + other.elements
            and other.offset < self.offset + self.elements
        )


@dataclass(eq=False)
class Node:
    """Common to both kinds. `op` is the operator's schema name, `layer` where it came from."""

    op: str
    layer: str
    inputs: list[View]
    outputs: list[View]
    note: str = ""


Reference = Callable[[View], str]
"""Gives the C expression of a pointer to a view's first element."""


@dataclass(eq=False)
class Kernel(Node):
    """A call. `files` names the kernels it needs; `temporaries` live during the call only."""

    files: Sequence[str] = ()
    call: Callable[[Kernel, Reference], list[str]] = field(default=lambda node, reference: [])
    temporaries: list[View] = field(default_factory=list)


Build = Callable[[Sequence[Expr]], Expr]


@dataclass(eq=False)
class Elementwise(Node):
    """One output element from one element of each input.

    `dims` is the iteration space; `strides` has, for each input, the step in elements along each
    dimension (0: broadcast). The output is dense over `dims`. `build` gives the value.
    """

    dims: tuple[int, ...] = ()
    strides: list[tuple[int, ...]] = field(default_factory=list)
    build: Build = field(default=lambda inputs: inputs[0])
    files: Sequence[str] = ()

    def dense(self, i: int) -> bool:
        """Whether input `i` is read in the order in which the output is written."""
        return self.strides[i] == dense_strides(self.dims)


def dense_strides(dims: Sequence[int]) -> tuple[int, ...]:
    """Steps in elements of a dense array, along each of its dimensions."""
    steps = [1] if dims else []
    for n in reversed(dims[1:]):
        steps.append(steps[-1] * n)
    return tuple(reversed(steps))


@dataclass(eq=False)
class Loop:
    """Elementwise nodes over one iteration space, fused."""

    dims: tuple[int, ...]
    nodes: list[Elementwise]

    @property
    def inputs(self) -> list[View]:
        """Every view that a node of the loop reads."""
        return [view for node in self.nodes for view in node.inputs]

    @property
    def outputs(self) -> list[View]:
        """Every view that a node of the loop defines."""
        return [view for node in self.nodes for view in node.outputs]


@dataclass(eq=False)
class Repeat(Kernel):
    """Steps that run `count` times in order, as one node.

    Each cursor begins at its view and moves on by its own length. What the steps read and write
    elsewhere is among `inputs`, `outputs` and `temporaries`.
    """

    count: int = 1
    steps: list[Step] = field(default_factory=list)
    cursors: list[tuple[Buffer, View]] = field(default_factory=list)


Step = Kernel | Loop
