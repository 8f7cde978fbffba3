"""Quantize the float step with ai-edge-quantizer, on ranges that edgernn chose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ai_edge_quantizer import qtyping, quantizer, recipe_manager

from converters import ranges
from converters.calibration import Sample
from converters.flatfile import drop_edge_quantize, free_int16_scales, widen_by_cast
from converters.quiet import quiet
from converters.tables import PLACE_NAME, collapse, fill
from converters.trace import FloatStep
from edgernn import tflite

Precision = Literal["int8", "int16x8"]

_BITS = {"int8": 8, "int16x8": 16}

_NARROW = {
    # tflite-runtime 2.14 has no 16-bit RSQRT; the rule refines what the 8-bit one gives.
    "RSQRT": qtyping.TFLOperationName.RSQRT,
    # TFLM has no 16-bit GATHER; a table of weights is 8 bits wide anyway.
    "GATHER": qtyping.TFLOperationName.GATHER,
}
"""Operators that stay 8 bits wide in every model."""


@dataclass(frozen=True)
class Scheme:
    """How to quantize: bits of the activations, weights per tensor or channel, wide states.

    `wide_states` names states that stay int16 in an int8 model, together with the elementwise
    operators that lead from the state's input to its output. `frame` is the range of `x`, where
    something else than the sample decides it.
    """

    precision: Precision
    per_tensor: bool = False
    wide_states: tuple[str, ...] = ()
    frame: ranges.Range | None = None


def quantize(step: FloatStep, sample: Sample, scheme: Scheme) -> bytes:
    """The quantized step as `.tflite` bytes."""
    collapsed = collapse(step.data, step.sites)
    graph = tflite.read(collapsed)
    signature = graph.signatures["step"]
    wide = wide_operators(graph, scheme.wide_states)
    bits = dict.fromkeys(sample.values, _BITS[scheme.precision])
    for op in graph.operators:
        if op.name in _NARROW:
            bits[op.outputs[0]] = 8
    for op in wide:
        bits.update(dict.fromkeys((*op.inputs, *op.outputs), 16))
    ties = [(signature.inputs[s.name], signature.outputs[s.name]) for s in step.states]
    given = {} if scheme.frame is None else {signature.inputs["x"]: scheme.frame}
    chosen = ranges.choose(graph, sample, ties, bits, given)
    statistics = {
        graph.tensors[i].name: {"min": [[r.low]], "max": [[r.high]]} for i, r in chosen.items()
    }
    names = [graph.tensors[op.outputs[0]].name for op in wide]
    with quiet():
        worker = quantizer.Quantizer(bytearray(collapsed), _recipe(scheme, names))
        data = bytes(worker.quantize(statistics).quantized_model)
    functions = {graph.tensors[site.target].name: site.function for site in step.sites}
    data = fill(free_int16_scales(data), functions)
    return widen_by_cast(drop_edge_quantize(data, scheme.wide_states))


def _recipe(scheme: Scheme, wide_outputs: list[str]) -> Any:
    granularity = qtyping.QuantGranularity
    manager = recipe_manager.RecipeManager()
    weights = granularity.TENSORWISE if scheme.per_tensor else granularity.CHANNELWISE
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    manager.add_static_config(".*", everything, _BITS[scheme.precision], 8, weights)
    for operator in _NARROW.values():
        manager.add_static_config(".*", operator, 8, 8, weights)
    for name in wide_outputs:
        manager.add_static_config(f"^{re.escape(name)};?$", everything, 16, 8, weights)
    return manager.get_quantization_recipe()


def can_be_wide(graph: tflite.Graph, state: str) -> bool:
    """Whether nothing but the operators that would be widened reads the state."""
    signature = graph.signatures["step"]
    ends = {signature.inputs[state], signature.outputs[state]}
    wide = {op.index for op in wide_operators(graph, (state,))}
    readers = {op.index for op in graph.operators if ends & set(op.inputs)}
    return bool(wide) and readers <= wide


def wide_operators(graph: tflite.Graph, states: tuple[str, ...]) -> list[tflite.Operator]:
    """The operators that must be 16 bits wide for these states to be: those between the state's
    input and output, those that feed them, and the activation that reads the result."""
    signature = graph.signatures["step"]
    producers = {o: op for op in graph.operators for o in op.outputs}
    found: dict[int, tflite.Operator] = {}
    for state in states:
        source, target = signature.inputs[state], signature.outputs[state]
        frontier = [target]
        while frontier:
            op = producers.get(frontier.pop())
            if op is None or op.name not in ("ADD", "SUB", "MUL"):
                continue
            found[op.index] = op
            if op.name != "MUL":
                frontier += [i for i in op.inputs if i != source]
        found.update(
            (op.index, op)
            for op in graph.operators
            if op.name in ("TANH", PLACE_NAME) and target in op.inputs
        )
    return list(found.values())
