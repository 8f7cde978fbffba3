"""Indexing of a Keras tensor in a functional model, such as `y[:, -1]`: the last frame."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras.src.ops.numpy import GetItem

from converters.registry import rule
from converters.rules.operations import BINARY, UNARY
from converters.step import Signal, Step

_ALL = slice(None)

_EACH_FRAME = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Subtract,
    keras.layers.TimeDistributed,
    *BINARY,
    *UNARY,
)
"""Layers and operations that give each frame what it gives alone."""


@rule(GetItem)
def get_item(operation: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """The last frame (`y[:, -1]`), features of each frame (`y[:, :, 2:5]`), or both."""
    signal = inputs[0]
    key = _without_ellipsis(_key(operation), signal.rank)
    if key[0] != _ALL:
        raise step.unsupported("indexing the batch", "index time or features, as in y[:, -1]")
    rest = key[1:]
    if signal.is_sequence and rest:
        when, rest = rest[0], rest[1:]
        if when == -1:
            signal = signal.last()
        elif when != _ALL:
            raise step.unsupported(
                f"the frames {_text(when)} of a sequence", "take the last frame (y[:, -1]) or all"
            )
    if any(not isinstance(k, (int, slice)) for k in rest):
        raise step.unsupported("indexing with anything but numbers and slices", "use Dense")
    step.note("GetItem", "STRIDED_SLICE" if rest else "the last frame")
    if not rest:
        return signal
    return replace(signal, frames=tuple(frame[(_ALL, *rest)] for frame in signal.frames))


def _key(operation: Any) -> tuple[Any, ...]:
    arguments = operation._inbound_nodes[0].arguments
    key = arguments.kwargs.get("key", arguments.args[-1])
    return key if isinstance(key, tuple) else (key,)


def _without_ellipsis(key: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    if Ellipsis not in key:
        return key
    at = key.index(Ellipsis)
    return (*key[:at], *[_ALL] * (rank - len(key) + 1), *key[at + 1 :])


def _text(key: Any) -> str:
    if not isinstance(key, slice):
        return str(key)
    return ":".join("" if n is None else str(n) for n in (key.start, key.stop))


def only_last_row_counts(layer: Any) -> bool:
    """Whether everything that is made of a layer's output takes its last frame alone."""
    nodes = layer._outbound_nodes
    return bool(nodes) and all(_takes_last(node.operation) for node in nodes)


def _takes_last(operation: Any) -> bool:
    if isinstance(operation, GetItem):
        return _key(operation)[:2] == (_ALL, -1)
    return isinstance(operation, _EACH_FRAME) and only_last_row_counts(operation)
