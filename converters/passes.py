"""Split a model that looks back from the end into passes, each of which runs one way over time.

A `Bidirectional` layer cannot be one step: its backward half begins at the newest frame. So the
model becomes a chain of ordinary steps. Even passes run forwards and hold all ordinary layers; odd
ones run backwards and hold backward layers, and what works on rows in backward order. What a later
pass still needs is handed over as one tensor: first the features of each frame (the rows, kept for
the whole window), then what belongs to the window as a whole, such as the last output of a forward
LSTM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from converters.rewrite import computes_mask, functional
from converters.rules.bidirectional import Backwards, Pack, Part, Unpack
from converters.step import Step
from edgernn.errors import UnsupportedError


@dataclass(frozen=True)
class Node:
    """One call of a layer, as the rewrite walks over them."""

    operation: Any
    input_tensors: list[Any]
    output_tensors: list[Any]
    level: int = 0
    is_input: bool = False


@dataclass(frozen=True)
class Made:
    """Of a tensor: the pass that makes it, whether it has a time axis, and in which order."""

    level: int
    is_sequence: bool
    newest_first: bool = False


@dataclass
class PassGraph:
    """One pass, with what `trace` looks at in a functional model. `given` is what it hands over."""

    name: str
    inputs: list[Any]
    outputs: list[Any]
    nodes: list[Node]
    variables: list[Any]
    given: list[Part] = field(default_factory=list)

    @property
    def operations(self) -> list[Any]:
        """The layers."""
        return [node.operation for node in self.nodes]

    @property
    def _nodes_by_depth(self) -> dict[int, list[Node]]:
        return {-i: [node] for i, node in enumerate(self.nodes)}


def looks_back(model: Any) -> str | None:
    """Name of the first layer that begins at the newest frame; None if none does."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Bidirectional) or getattr(layer, "go_backwards", False):
            return str(layer.name)
    for operation in getattr(model, "operations", []):
        if flips_time(operation):
            return str(operation.name)
    return None


def masking_layer(model: Any) -> str | None:
    """Name of the first layer that makes a mask; None if none does."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            return str(layer.name)
    return None


def split(model: Any) -> list[PassGraph]:
    """The passes of a model, in the order in which they run.

    Raises:
        UnsupportedError: the model has several inputs or outputs, or a layer an option that
            passes cannot keep.
    """
    graph = functional(model, Step())
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedError(
            f"the model looks back from the end and has {len(graph.inputs)} inputs and "
            f"{len(graph.outputs)} outputs; give it one of each"
        )
    nodes: list[Node] = []
    made = {id(graph.inputs[0]): Made(0, True)}
    (result,) = _inline(graph, list(graph.inputs), nodes, made)
    masking = masking_layer(model)
    if masking and any(one.newest_first for one in made.values()):
        raise UnsupportedError(
            f"layer '{masking}': a mask in a model with a sequence in backward order cannot be "
            "converted; use Bidirectional, which puts the frames back in their order"
        )
    last = made[id(result)].level
    graphs: list[PassGraph] = []
    parts: list[Part] = []
    for level in range(last + 1):
        own = [node for node in nodes if node.level == level]
        if level == 0:
            entry = graph.inputs[0]
        else:
            width = sum(part.elements for part in parts)
            entry = keras.KerasTensor((None, None, width), name="x")
            own.insert(0, Node(Unpack(parts), [entry], [p.tensor for p in parts], -1))
        exit_, given = result, []
        if level < last:
            given = _handed_on(level + 1, nodes, result, made)
            before = {id(part.tensor): part for part in parts}
            for part in given:
                part.source = before.get(id(part.tensor))
            exit_ = keras.KerasTensor((None, None, sum(p.elements for p in given)))
            own.append(Node(Pack(given), [p.tensor for p in given], [exit_], -1))
        graphs.append(PassGraph(f"pass_{level}", [entry], [exit_], own, model.variables, given))
        parts = given
    return graphs


def _handed_on(level: int, nodes: Sequence[Node], result: Any, made: dict[int, Made]) -> list[Part]:
    """What is made before a level and needed in it or later, sequences first."""
    needed = [t for n in nodes if n.level >= level for t in n.input_tensors] + [result]
    earlier = {id(t): t for t in needed if made[id(t)].level < level}
    parts = []
    for key, tensor in earlier.items():
        is_sequence = made[key].is_sequence
        shape = tensor.shape[2:] if is_sequence else tensor.shape[1:]
        parts.append(Part(tensor, tuple(int(n) for n in shape), is_sequence))
    return sorted(parts, key=lambda part: not part.is_sequence)


def _inline(graph: Any, inputs: list[Any], nodes: list[Node], made: dict[int, Made]) -> list[Any]:
    """Append a graph's nodes, those of the models in it too; returns its outputs."""
    known = {id(inner): outer for inner, outer in zip(graph.inputs, inputs, strict=True)}

    def add(operation: Any, taken: list[Any], given: list[Any], at: int, flips: bool) -> None:
        nodes.append(Node(operation, taken, given, at))
        keeps_time = getattr(operation, "return_sequences", True)
        if isinstance(operation, Backwards):
            keeps_time = operation.layer.return_sequences
        timed = keeps_time and any(made[id(t)].is_sequence for t in taken)
        backwards = _newest_first(operation, taken, made) != flips
        for tensor in given:
            sequence = timed and len(tensor.shape) > 2
            made[id(tensor)] = Made(at, sequence, sequence and backwards)

    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input or computes_mask(node):
                continue
            layer = node.operation
            taken = [known[id(t)] for t in node.input_tensors if t.dtype != "bool"]
            given = [keras.KerasTensor(t.shape, t.dtype) for t in node.output_tensors]
            known.update(zip(map(id, node.output_tensors), given, strict=True))
            lowest = max(made[id(t)].level for t in taken)
            both_ways = isinstance(layer, keras.layers.Bidirectional)
            if len(taken) > 1 and (both_ways or isinstance(layer, keras.layers.RNN)):
                # States of another one are there when that has seen the whole window.
                lowest = max(lowest, 1 + max(made[id(t)].level for t in taken[1:]))
            # Even passes run over frames in their order, odd ones from the newest on.
            backwards = _newest_first(layer, taken, made)
            level = lowest + (lowest + backwards) % 2
            opposite = lowest + (lowest + (not backwards)) % 2
            if isinstance(layer, (keras.Sequential, keras.models.Model)):
                results = _inline(functional(layer, Step()), taken, nodes, made)
                known.update(zip(map(id, node.output_tensors), results, strict=True))
            elif both_ways:
                _both_ways(layer, taken, given, level, add)
            elif getattr(layer, "go_backwards", False):
                add(Backwards(layer), taken, given, opposite, True)
            elif flips_time(layer):
                add(keras.layers.Identity(name=layer.name), taken, given, opposite, True)
            else:
                add(layer, taken, given, level, False)
    return [known[id(t)] for t in graph.outputs]


def flips_time(operation: Any) -> bool:
    """Whether an operation is `keras.ops.flip(x, axis=1)`, which turns the order of the frames."""
    return type(operation).__name__ == "Flip" and operation.axis in (1, (1,), [1])


def _newest_first(operation: Any, taken: Sequence[Any], made: dict[int, Made]) -> bool:
    """Whether an operation gets its frames in backward order."""
    orders = {made[id(t)].newest_first for t in taken if made[id(t)].is_sequence}
    if len(orders) > 1:
        raise UnsupportedError(
            f"layer '{operation.name}': sequences in forward and in backward order cannot be "
            "joined; turn one of them with keras.ops.flip(x, axis=1), or use Bidirectional"
        )
    return orders == {True}


_MERGES = {
    "concat": keras.layers.Concatenate,
    "sum": keras.layers.Add,
    "mul": keras.layers.Multiply,
    "ave": keras.layers.Average,
}


def _both_ways(layer: Any, taken: list[Any], given: list[Any], level: int, add: Any) -> None:
    """A Bidirectional layer: its forward half, its backward half one pass later, their merge."""
    x, *begin = taken  # the first states of the forward half, then those of the backward half
    middle = len(begin) // 2
    shape = x.shape[:2] if layer.return_sequences else x.shape[:1]
    halves = [
        keras.KerasTensor((*shape, *half.cell.output_size))
        if isinstance(half.cell.output_size, tuple)
        else keras.KerasTensor((*shape, half.cell.output_size))
        for half in (layer.forward_layer, layer.backward_layer)
    ]
    answers = 2 if layer.merge_mode is None else 1
    states = given[answers:]  # those of the forward half, then those of the backward half
    ours, theirs = states[: len(states) // 2], states[len(states) // 2 :]
    if layer.merge_mode is None:
        halves = given[:2]
    add(layer.forward_layer, [x, *begin[:middle]], [halves[0], *ours], level, False)
    backward = Backwards(layer.backward_layer)
    add(backward, [x, *begin[middle:]], [halves[1], *theirs], level + 1, False)
    if layer.merge_mode is not None:
        merge = _MERGES[layer.merge_mode](name=layer.name)
        add(merge, halves, given[:1], level + 2, False)
