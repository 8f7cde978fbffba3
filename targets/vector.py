"""Elementwise loops for cores with Helium: four elements a turn, in GNU C's vector arithmetic.

The values are the expressions of the scalar loop: operators work on vectors as they are, and
`edgernn_mve.h` has a version of every function of `edgernn_math.h`. A loop that holds anything
else stays scalar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from targets.expr import Expr, bare, plain
from targets.ir import Buffer, Elementwise, Loop, View
from targets.lowering.base import LIMITS

HEADER = "edgernn_mve.h"

LANES = 4

STORE = re.compile(r"\bvstr[bhw]q_(p_)?s32\(")
"""What every vectorised loop has."""

_LETTERS = {"int8": "b", "int16": "h", "int32": "w"}

_FUNCTIONS = """at_least at_most clamp min max saturate_8 saturate_16 rounding_shift
rounding_shift_by mul_high high_mul rescale lookup_s8 sigmoid_s16 sigmoid_any_s16 tanh_s16
tanh_any_s16""".split()

_PLAIN = re.compile(r"[\w\s()+\-*,]|>>")

Place = Callable[[View, Sequence[int], Sequence[int]], str]
"""Gives the C expression of an element, from a view, the dimensions and its strides."""


class _ScalarError(Exception):
    """The loop cannot be vectorised."""


def lines(loop: Loop, place: Place, index: str, comment: Callable[[Elementwise], str]) -> list[str]:
    """The statements of a loop's body, four elements a turn along its last dimension.

    Empty if the loop must stay scalar. `place` names elements, `index` the last dimension.
    """
    if loop.dims[-1] < LANES:
        return []
    try:
        return _Body(loop, place, index, comment).lines()
    except _ScalarError:
        return []


class _Body:
    def __init__(
        self, loop: Loop, place: Place, index: str, comment: Callable[[Elementwise], str]
    ) -> None:
        self.loop, self.place, self.index, self.comment = loop, place, index, comment
        self.predicated = loop.dims[-1] % LANES != 0
        self.values: dict[tuple[Buffer, int], Expr] = {}
        self.loaded: dict[str, str] = {}
        self.names: set[str] = set()
        self.loads: list[tuple[str, str]] = []
        self.body: list[tuple[str, str]] = []
        self.stores: list[str] = []

    def lines(self) -> list[str]:
        """Loads, then values, then stores, so that a value may replace what it came from."""
        for node in self.loop.nodes:
            self._node(node)
        kept: list[str] = []
        for name, line in reversed([*self.loads, *self.body]):
            if any(re.search(rf"\b{name}\b", text) for text in [*kept, *self.stores]):
                kept.append(line)
        count = f"{self.loop.dims[-1]}u - (uint32_t){self.index}"
        first = [f"const mve_pred16_t lanes = vctp32q({count});"]
        return [*(first if self.predicated else []), *kept[::-1], *self.stores]

    def _node(self, node: Elementwise) -> None:
        inputs = [self._input(node, k) for k in range(len(node.inputs))]
        value = plain(node.build(inputs))
        (out,) = node.outputs
        if value not in inputs and value.constant is None:
            name = self._name(out.buffer.name + ("" if out.buffer.local else "_i"))
            code = self._vector(bare(value.code))
            self.body.append((name, f"const int32x4_t {name} = {code};{self.comment(node)}"))
            value = Expr(name, value.low, value.high)
        self.values[(out.buffer, out.offset)] = value
        if not out.buffer.local:
            self._store(out, value)

    def _vector(self, code: str) -> str:
        """The code of a vector; a value that depends on no element is the same in all lanes."""
        if self.names.isdisjoint(re.findall(r"\w+", code)):
            return f"vdupq_n_s32({code})"
        return _translated(code)

    def _name(self, wanted: str) -> str:
        while wanted in self.names:
            wanted += "_"
        self.names.add(wanted)
        return wanted

    def _input(self, node: Elementwise, k: int) -> Expr:
        view = node.inputs[k]
        made = self.values.get((view.buffer, view.offset))
        if made is not None and node.dense(k):
            return made
        if view.buffer.dtype not in _LETTERS or node.strides[k][-1] not in (0, 1):
            raise _ScalarError
        element = self.place(view, node.dims, node.strides[k])
        if element not in self.loaded:
            name = self._name(f"{view.buffer.name}_i")
            self.loaded[element] = name
            code = f"const int32x4_t {name} = {self._load(node, k, element)};"
            self.loads.append((name, code))
        return Expr(self.loaded[element], *LIMITS[view.buffer.dtype])

    def _load(self, node: Elementwise, k: int, element: str) -> str:
        if node.strides[k][-1] == 0:
            return f"vdupq_n_s32({element})"
        letter = _LETTERS[node.inputs[k].buffer.dtype]
        if self.predicated:
            return f"vldr{letter}q_z_s32(&{element}, lanes)"
        return f"vldr{letter}q_s32(&{element})"

    def _store(self, out: View, value: Expr) -> None:
        if out.buffer.dtype not in _LETTERS:
            raise _ScalarError
        steps = [1]
        for n in reversed(self.loop.dims[1:]):
            steps.append(steps[-1] * n)
        element = self.place(out, self.loop.dims, steps[::-1])
        code = f"vdupq_n_s32({value.code})" if value.constant is not None else value.code
        letter = _LETTERS[out.buffer.dtype]
        if self.predicated:
            self.stores.append(f"vstr{letter}q_p_s32(&{element}, {code}, lanes);")
        else:
            self.stores.append(f"vstr{letter}q_s32(&{element}, {code});")


def _translated(code: str) -> str:
    """A scalar expression as one of vectors."""
    names = re.findall(r"\bedgernn_(\w+)\(", code)
    if not all(name in _FUNCTIONS for name in names) or _PLAIN.sub("", code):
        raise _ScalarError
    if re.search(r"\((u?int\d+_t|float)\)", code):
        raise _ScalarError
    return re.sub(r"\bedgernn_(?=\w+\()", "edgernn_mve_", code)
