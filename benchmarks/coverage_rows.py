"""Rows of benchmarks/coverage.py, and a few words to write models with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

L = keras.layers

FEATURES, UNITS, STEPS, TOKENS = 5, 6, 24, 20


@dataclass(frozen=True)
class Case:
    """One row: how to make the model, and how it is converted.

    `refused` is a pattern of the message for a model that cannot stream. With `stock`, the stock
    converter makes a file for so many frames of it, and edgernn takes that.
    """

    group: str
    make: Callable[[], Any]
    options: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    stock: int = 0


CASES: dict[str, Case] = {}


def case(
    group: str,
    name: str,
    make: Callable[[], Any],
    refused: str = "",
    stock: int = 0,
    **options: Any,
) -> None:
    """Add a row."""
    assert name not in CASES, name
    CASES[name] = Case(group, make, options, refused, stock)


def stack(*makers: Callable[[], Any], steps: int | None = None, **given: Any) -> Callable[[], Any]:
    """A Sequential model of layers on frames of `FEATURES`, of `steps` frames if that is fixed."""
    shape = given.pop("shape", (steps, FEATURES))
    return lambda: keras.Sequential([keras.Input(shape, **given), *[make() for make in makers]])


def graph(
    build: Callable[..., Any], *shapes: tuple[int | None, ...], names: Sequence[str] = ()
) -> Callable[[], Any]:
    """A functional model: `build` gets one tensor a shape and gives the outputs."""

    def make() -> Any:
        inputs = [
            keras.Input(shape, name=name)
            for shape, name in itertools.zip_longest(shapes or [(None, FEATURES)], names)
        ]
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], build(*inputs))

    return make


def rnn(kind: str, **options: Any) -> Callable[[], Any]:
    """A recurrent layer that gives every frame, unless told otherwise."""
    return lambda: getattr(L, kind)(UNITS, **{"return_sequences": True, **options})


def dense(units: int = 3, **options: Any) -> Callable[[], Any]:
    """A Dense layer."""
    return of("Dense", units, **options)


def of(kind: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    """Any layer."""
    return lambda: getattr(L, kind)(*arguments, **options)


def both(inner: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    """A layer in both directions."""
    return lambda: L.Bidirectional(inner(), **options)


def last(kind: str, **options: Any) -> Callable[[], Any]:
    """A recurrent layer that gives the last frame."""
    return rnn(kind, return_sequences=False, **options)
