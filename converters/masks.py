"""Masks on their way through the layers, as Keras hands them on.

A stream makes no step for a masked frame: states and outputs stay as they are. That is what Keras
gives if every state is one that heeds the mask, and every output comes from such a state. Out of a
whole window (`Step.whole`) masked frames are taken: the rows of the others are those of Keras if
every state heeds the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from converters.step import HELD, MASKED, UNMASKED, Signal, Step
from edgernn.errors import UnsupportedError


def after(layer: Any, inputs: Sequence[Signal], step: Step) -> str:
    """The mask of what a layer gives, which is also that of the states it has.

    Raises:
        UnsupportedError: the layer would take masked frames for real ones.
    """
    found = {signal.mask for signal in inputs}
    if found == {UNMASKED}:
        return UNMASKED
    if isinstance(layer, keras.layers.RNN):
        if layer.zero_output_for_mask and not step.whole:
            raise step.unsupported("zero_output_for_mask=True", "leave it False")
        return HELD
    timed = any(signal.is_sequence for signal in inputs)
    if timed and isinstance(layer, keras.layers.Layer) and not layer.supports_masking:
        raise step.unsupported(
            f"a mask before {type(layer).__name__}, which does not heed it",
            "leave the mask out and feed only real frames",
        )
    return HELD if found == {HELD} else MASKED


def mark(
    result: Signal | list[Signal], mask: str, inputs: Sequence[Signal]
) -> Signal | list[Signal]:
    """The result of a rule with its mask, unless the rule has set one, and whether it is static."""
    told = {signal.static for signal in inputs}
    static = None if told == {False} else told == {True}  # None: what the rule has set
    if isinstance(result, list):
        return [_marked(signal, mask, static) for signal in result]
    return _marked(result, mask, static)


def _marked(signal: Signal, mask: str, static: bool | None) -> Signal:
    return replace(
        signal,
        mask=signal.mask if mask == UNMASKED else mask,
        static=signal.static if static is None else static,
    )


def check(results: Sequence[Signal], step: Step) -> None:
    """Refuse a masked model of which a masked frame would change something.

    Raises:
        UnsupportedError: names the layer, or says that it is the output.
    """
    if step.mask is None and not step.behind_mask:
        return
    remedy = "mask all branches, or leave the mask out and feed only real frames"
    if step.unmasked:
        raise UnsupportedError(
            f"layer '{step.unmasked[0]}' remembers frames that are masked for others: {remedy}"
        )
    if not step.whole and any(signal.mask != HELD for signal in results):
        raise UnsupportedError(
            f"an output follows masked frames, without a recurrent layer between: {remedy}"
        )
    if any(signal.warmup for signal in results):
        raise UnsupportedError("a mask in a model that needs frames before its first output")
