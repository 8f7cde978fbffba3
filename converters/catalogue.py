"""Every layer of Keras, supported or refused, as the table in docs/layers.md.

python -m converters.catalogue > docs/layers.md
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import keras

import converters.rules
from converters.registry import REFUSED, RULES

_ABSTRACT = {"Layer", "Wrapper"}

_SCHEDULES = ("converters/passes.py", "converters/windowed.py", "targets/passes.py")
"""What splits a model into passes, runs them, and compiles them."""


def layers() -> dict[str, type]:
    """The layer classes of `keras.layers`, under the name that each has itself."""
    public = (getattr(keras.layers, name) for name in dir(keras.layers))
    classes = [c for c in public if isinstance(c, type) and issubclass(c, keras.layers.Layer)]
    return {c.__name__: c for c in sorted(classes, key=lambda c: c.__name__)}


def rule_module(layer: type) -> str | None:
    """The module whose rule converts a layer class; None if nothing does."""
    if layer.__name__ in REFUSED and layer not in RULES:
        return None
    found = next((RULES[a] for a in layer.__mro__ if a in RULES), None)
    return None if found is None else found.__module__


def is_cell(layer: type) -> bool:
    """Whether the class is a recurrent cell, which only ever stands in an RNN layer."""
    return layer.__name__.endswith(("Cell", "Cells"))


def options() -> Iterator[tuple[str, str, str]]:
    """What rules refuse of a layer they support: module, option, remedy, as their code says it."""
    folder = Path(inspect.getfile(converters.rules)).parent
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="unsupported"), args=[what, remedy]):
                    yield path.stem, _text(what), _text(remedy)


def schedules() -> Iterator[tuple[str, str, str]]:
    """What is refused of a whole model, as `options` tells it of layers."""
    for path in _SCHEDULES:
        for node in ast.walk(ast.parse((Path(__file__).parents[1] / path).read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id="UnsupportedError"), args=[message])):
                    what, separator, remedy = _text(message).partition("; ")
                    if separator:
                        yield path, what, remedy


def _text(node: ast.expr) -> str:
    """A string or f-string of the source, its values as `...`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(v) if isinstance(v, ast.Constant) else "…" for v in node.values)
    return "see the message"


def markdown() -> str:
    """The whole document."""
    supported = [n for n, c in layers().items() if rule_module(c) or is_cell(c)]
    lines = [
        "# Layers",
        "",
        "Written by `python -m converters.catalogue` from the registry of rules; a test keeps it",
        "true.",
        "",
        "## Supported",
        "",
        "| layer | rule |",
        "| --- | --- |",
    ]
    for name in supported:
        module = rule_module(layers()[name]) or "converters.rules.recurrent"
        lines.append(f"| {name} | `{module.replace('.', '/')}.py` |")
    lines += [
        "",
        "## Options that are refused",
        "",
        "| in | what | instead |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {module} | {what} | {remedy} |" for module, what, remedy in options()]
    lines += [
        "",
        "## Models that look back from the end",
        "",
        "| in | what | instead |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{path}` | {what} | {remedy} |" for path, what, remedy in schedules()]
    lines += ["", "## Refused", "", "| layer | instead |", "| --- | --- |"]
    refused = {n: REFUSED[n] for n in layers() if n in REFUSED and n not in supported}
    lines += [f"| {name} | {remedy} |" for name, remedy in refused.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
