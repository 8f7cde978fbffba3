"""Layers that run backwards in time, and what stands between two passes; see converters/passes.py.

Here are the operations that a pass has beside layers of Keras: a recurrent layer that is fed the
newest frame first, and the packing and unpacking of what one pass hands to the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.rings import same_time
from converters.rules.recurrent import recur
from converters.step import UNMASKED, Signal, Step

HANDED_ON = 0.9375
"""Part of the gain of whatever is handed over. It is not 1, so that a multiplication stands on
either side, and the scale of the hand-over ties no other tensors."""


@dataclass
class Part:
    """A tensor handed over between passes.

    It is multiplied by `gain` on the way, so that all parts fill one range. `source` is the part as
    the pass that hands it over was given it itself, if it was. `mask` is as in `Signal`.
    """

    tensor: Any
    features: tuple[int, ...]
    is_sequence: bool
    gain: float = HANDED_ON
    mask: str = UNMASKED
    source: "Part | None" = None

    @property
    def elements(self) -> int:
        """Elements of one row."""
        return math.prod(self.features)


class Backwards:
    """A recurrent layer that is fed the newest frame first; `layer` is the Keras layer."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.name = layer, layer.name


class Unpack:
    """From what the pass before handed over to its parts."""

    name = "unpack"

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts


class Pack:
    """From its parts to what the next pass takes."""

    name = "pack"

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts


@rule(keras.layers.Bidirectional)
def bidirectional(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Only in passes: of a sequence without an end there is no backward half."""
    raise step.unsupported(
        "a Bidirectional layer of an endless sequence",
        "give the model's Input a fixed length, or convert with --window T or --lookahead N",
    )


@rule(Backwards)
def backwards(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal | list[Signal]:
    """A recurrent layer whose pass already runs backwards."""
    return recur(layer.layer, inputs, step)


@rule(Unpack)
def unpack(layer: Any, inputs: Sequence[Signal], step: Step) -> list[Signal] | Signal:
    """Slices of what was handed over, times what their gains took away."""
    signals, start = [], 0
    for part in layer.parts:
        end, gain, features = start + part.elements, 1.0 / part.gain, part.features
        frames = []
        for frame in inputs[0].frames:
            whole = len(layer.parts) == 1
            y = frame if whole else frame[:, start:end]
            y = tf.multiply(y, gain, name="unscaled")
            frames.append(y if len(features) == 1 else tf.reshape(y, (-1, *features)))
        kept = frames if part.is_sequence else frames[-1:]
        step.behind_mask |= part.mask != UNMASKED
        static = step.whole and not part.is_sequence
        signals.append(Signal(tuple(kept), part.is_sequence, mask=part.mask, static=static))
        start = end
    return signals if len(signals) > 1 else signals[0]


@rule(Pack)
def pack(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """All parts side by side, each brought to the range of a tanh by its gain."""
    signals = list(inputs)
    which = [i for i, part in enumerate(layer.parts) if part.is_sequence]
    if which:
        rows_of = same_time([signals[i] for i in which], step)
        signals = [*rows_of, *signals[len(which) :]]  # sequences come first
    if any(len(signal.frames) > 1 for signal in signals):
        raise step.unsupported(
            "several frames a step before a backward layer", "use the same strides on all branches"
        )
    rows = []
    for part, signal in zip(layer.parts, signals, strict=True):
        part.mask = signal.mask
        y = tf.reshape(signal.frames[0], (-1, part.elements))
        rows.append(tf.multiply(y, part.gain, name="scaled"))
    y = rows[0] if len(rows) == 1 else tf.concat(rows, axis=1)
    warmup = max(signal.warmup for signal in signals)
    latency = max(signal.latency for signal in signals)
    return Signal((y,), bool(which), warmup, latency)
