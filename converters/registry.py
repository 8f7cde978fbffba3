"""The rules: one function per Keras layer type that says what the layer does in one step.

A rule is called as `rule(layer, inputs, step)` while the step is traced. `inputs` are `Signal`s,
one per tensor the layer is called with; it returns a `Signal`, or a list of them for a layer with
several outputs. State is read with `step.state(...)` and written with `step.carry(...)`. Register
one for a layer of your own and it converts like any other:

    @converters.rule(MyLayer)
    def my_layer(layer, inputs, step):
        return inputs[0].map(layer.call)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from converters.step import Signal, Step

Rule = Callable[[Any, Sequence["Signal"], "Step"], "Signal | list[Signal]"]
CellRule = Callable[[Any, Any, Sequence[Any]], tuple[Any, list[Any]]]

RULES: dict[type, Rule] = {}
"""Layer type to rule; a subclass uses its nearest ancestor's."""

CELLS: dict[type, CellRule] = {}
"""Cell type to formula `(cell, x, states) -> (y, states')`; other cells are traced as they are."""

REFUSED: dict[str, str] = {}
"""Class name of a layer that cannot be converted to its remedy, for the error message."""

_F = TypeVar("_F", bound=Callable[..., Any])


def rule(*layer_types: type) -> Callable[[_F], _F]:
    """Register the decorated function as the rule of these layer types."""

    def register(function: _F) -> _F:
        RULES.update(dict.fromkeys(layer_types, function))
        return function

    return register


def cell(*cell_types: type) -> Callable[[_F], _F]:
    """Register the decorated function as the formula of exactly these recurrent cell types."""

    def register(function: _F) -> _F:
        CELLS.update(dict.fromkeys(cell_types, function))
        return function

    return register


def find(layer: Any) -> Rule | None:
    """The rule of a layer: its own type's, else its nearest ancestor's, else None."""
    for ancestor in type(layer).__mro__:
        if ancestor in RULES:
            return RULES[ancestor]
    return None
