"""Walk a Keras model in call order and apply each layer's rule: the streaming rewrite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from converters import masks
from converters.registry import REFUSED, RULES, find
from converters.step import Signal, Step


def apply(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal | list[Signal]:
    """What a layer, or a model used as one, gives for these inputs in one step.

    Raises:
        UnsupportedError: a layer has no rule, or its rule refuses an option of it.
    """
    with step.layer(layer.name):
        if isinstance(layer, (keras.Sequential, keras.models.Model)) and find(layer) is None:
            return walk(functional(layer, step), inputs, step)
        _refuse(layer, step)
        found = find(layer)
        if found is None:
            kind = type(layer).__name__
            what = "layer" if isinstance(layer, keras.layers.Layer) else "operation"
            remedy = f"replace it, or register a rule for it with @converters.rule({kind})"
            raise step.unsupported(f"a {kind} {what}", remedy)
        step.input_mask = mask = masks.after(layer, inputs, step)
        result = found(layer, inputs, step)
        return masks.mark(result, mask, inputs)


def _refuse(layer: Any, step: Step) -> None:
    kind = type(layer).__name__
    if kind in REFUSED and type(layer) not in RULES:
        raise step.unsupported(f"a {kind} layer", REFUSED[kind])


def functional(model: Any, step: Step) -> Any:
    """The graph of a Sequential or functional model."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    if model is None or not hasattr(model, "_nodes_by_depth"):
        raise step.unsupported(
            "a model without a graph of layers (a subclassed or unbuilt model)",
            "build it with keras.Sequential or keras.Input and keras.Model",
        )
    return model


def computes_mask(node: Any) -> bool:
    """Whether a node only makes Keras' own mask tensors, which the rules do not need."""
    return all(tensor.dtype == "bool" for tensor in node.output_tensors)


def walk(
    model: Any, inputs: Sequence[Signal], step: Step, skip: frozenset[str] = frozenset()
) -> Signal | list[Signal]:
    """Run the graph of a functional model on signals; layers named in `skip` pass their input on.

    Raises:
        UnsupportedError: see `apply`.
    """
    for operation in model.operations:  # before the walk meets what such a layer brings along
        with step.layer(operation.name):
            _refuse(operation, step)
    signals: dict[int, Signal] = {
        id(tensor): signal for tensor, signal in zip(model.inputs, inputs, strict=True)
    }
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input or computes_mask(node):
                continue
            taken = [signals[id(t)] for t in node.input_tensors if t.dtype != "bool"]
            if node.operation.name in skip:
                given: Signal | list[Signal] = taken[0]
            else:
                given = apply(node.operation, taken, step)
            outputs = given if isinstance(given, list) else [given]
            signals.update(
                (id(tensor), signal)
                for tensor, signal in zip(node.output_tensors, outputs, strict=True)
            )
    results = [signals[id(t)] for t in model.outputs]
    return results if len(results) > 1 else results[0]
