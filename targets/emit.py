"""Lowered steps as C text: the loops, the declarations and the constants."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.errors import MissingDependencyError
from targets import vector
from targets.cores import Core
from targets.expr import Expr, bare, plain
from targets.ir import (
    TURN,
    Array,
    Buffer,
    Elementwise,
    Kernel,
    Loop,
    Reference,
    Repeat,
    Step,
    View,
)
from targets.lowering.base import LIMITS, float_literal

_INDICES = "ijklmn"

_WIDTH = 100


_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, folder: Path = _TEMPLATES, **values: Any) -> str:
    """Fill one of the templates in a folder."""
    return str(_environment(folder).get_template(template).render(**values))


@functools.cache
def _environment(folder: Path) -> Any:
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError(
            "compiling needs Jinja2: run `pip install 'edgernn[mcu]'`"
        ) from None
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def reference(view: View) -> str:
    """A pointer to a view's first element, in the step function."""
    buffer = view.buffer.home or view.buffer
    base = f"state->{buffer.name}" if buffer.kind == "state" else buffer.name
    return f"{base} + {view.offset}" if view.offset else base


def step_lines(step: Step, core: Core) -> list[str]:
    """The statements of one step; with MVE, loops work on vectors where they can."""
    if isinstance(step, Repeat):
        return _repeat_lines(step, core)
    if isinstance(step, Kernel):
        pointer: Reference = reference
        return step.call(step, pointer)
    last = _INDICES[len(step.dims) - 1]
    body = vector.lines(step, _element, last, _comment) if core.mve else []
    if body:
        return _nest(step, body, f"{last} += {vector.LANES}")
    return _loop_lines(step, core.simd)


def _repeat_lines(step: Repeat, core: Core) -> list[str]:
    """Cursors as pointers, and one loop around the lines of all steps."""
    first, turn, last = [], [f"for (int {TURN} = 0; {TURN} < {step.count}; {TURN}++) {{"], []
    for cursor, view in step.cursors:
        const = "const " if view in step.inputs else ""
        first.append(f"{const}{cursor.c_type} *{cursor.name} = {reference(view)};")
        last.append(f"  {cursor.name} += {cursor.elements};")
    for inner in step.steps:
        turn += ["  " + line for line in step_lines(inner, core)]
    return [*first, "EDGERNN_ROLLED", *turn, *last, "}"]


def _loop_lines(loop: Loop, simd: bool) -> list[str]:
    """One loop nest; loads come before stores, so that a value may replace what it came from."""
    body, stores = _loop_body(loop)
    return _nest(loop, [*body, *stores], f"{_INDICES[len(loop.dims) - 1]}++", simd)


def _nest(loop: Loop, body: Sequence[str], advance: str, simd: bool = False) -> list[str]:
    """The loops around a body; with `simd`, C compilers are told that turns are independent."""
    lines = []
    for depth, count in enumerate(loop.dims):
        i = _INDICES[depth]
        innermost = depth == len(loop.dims) - 1
        if simd and innermost:
            sizes = [np.dtype(v.buffer.dtype).itemsize for v in loop.inputs + loop.outputs]
            lines.append("  " * depth + f"EDGERNN_INDEPENDENT({min(*sizes, 4)})")
        step = advance if innermost else f"{i}++"
        lines.append("  " * depth + f"for (int {i} = 0; {i} < {count}; {step}) {{")
    indent = "  " * len(loop.dims)
    lines += [indent + line for line in body]
    lines += ["  " * depth + "}" for depth in reversed(range(len(loop.dims)))]
    return lines


def _loop_body(loop: Loop) -> tuple[list[str], list[str]]:
    values: dict[tuple[Buffer, int], Expr] = {}
    locals_: set[str] = set()
    lines: list[tuple[str, str]] = []
    stores: list[str] = []
    for node in loop.nodes:
        inputs = [_input(node, k, values) for k in range(len(node.inputs))]
        value = plain(node.build(inputs))
        (out,) = node.outputs
        is_stored = not out.buffer.local
        if value not in inputs and value.constant is None:
            name = out.buffer.name + ("_i" if is_stored else "")
            while name in locals_:
                name += "_"
            locals_.add(name)
            c_type = "float" if out.buffer.dtype == "float32" else "int32_t"
            lines.append((name, f"const {c_type} {name} = {bare(value.code)};{_comment(node)}"))
            value = Expr(name, value.low, value.high)
        values[(out.buffer, out.offset)] = value
        if is_stored:
            target = _element(out, loop.dims, _dense(loop.dims))
            cast = "" if out.buffer.c_type == "float" else f"({out.buffer.c_type})"
            stores.append(f"{target} = {cast}{value.code};")
    return _read(lines, stores), stores


def _read(lines: list[tuple[str, str]], stores: list[str]) -> list[str]:
    """The definitions that something reads; others only lead to values known to be constant."""
    kept: list[str] = []
    for name, line in reversed(lines):
        if any(re.search(rf"\b{name}\b", text) for text in [*kept, *stores]):
            kept.append(line)
    return kept[::-1]


def _comment(node: Elementwise) -> str:
    return f" /* {node.note} */" if node.note else ""


def _input(node: Elementwise, k: int, values: dict[tuple[Buffer, int], Expr]) -> Expr:
    view = node.inputs[k]
    made = values.get((view.buffer, view.offset))
    if made is not None and node.dense(k):
        return made
    low, high = LIMITS.get(view.buffer.dtype, (0, 255))
    return Expr(_element(view, node.dims, node.strides[k]), low, high)


def _element(view: View, dims: Sequence[int], strides: Sequence[int]) -> str:
    return f"{reference(View(view.buffer, view.shape))}[{_index(dims, strides, view.offset)}]"


def _dense(dims: Sequence[int]) -> tuple[int, ...]:
    steps = [1]
    for n in reversed(dims[1:]):
        steps.append(steps[-1] * n)
    return tuple(reversed(steps))


def _index(dims: Sequence[int], strides: Sequence[int], offset: int) -> str:
    terms = [
        _INDICES[d] if s == 1 else f"{_INDICES[d]} * {s}"
        for d, (n, s) in enumerate(zip(dims, strides, strict=True))
        if s and n > 1
    ]
    if offset or not terms:
        terms.append(str(offset))
    return " + ".join(terms)


def array(buffer: Buffer) -> str:
    """A constant's definition in the weights file."""
    assert buffer.data is not None
    lines = [f"/* {buffer.comment} */"] if buffer.comment else []
    lines.append(f"const {buffer.c_type} {buffer.name}[{buffer.elements}] = {{")
    lines += _numbers(buffer.data)
    return "\n".join([*lines, "};"])


def _numbers(data: Array) -> list[str]:
    if data.dtype.kind == "f":
        words = [float_literal(float(v)) for v in data.astype(np.float32)]
    else:
        hexadecimal = data.dtype == np.uint32
        words = [f"0x{int(v):08x}" if hexadecimal else _integer(int(v)) for v in data]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return [*lines, line]


def _integer(value: int) -> str:
    if value == -(1 << 31):
        return "-2147483647 - 1"
    if not -(1 << 31) < value < 1 << 31:
        return f"INT64_C({value})" if value != -(1 << 63) else "INT64_MIN"
    return str(value)
