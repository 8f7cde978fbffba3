"""The boundary of a step function: arguments and states, and what must end up in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgernn import metadata as md
from edgernn.errors import ModelFileError
from edgernn.masks import masked_output, raw_mask
from edgernn.step import find_step
from edgernn.tflite import Graph, Tensor
from targets import fuse, memory
from targets.compiled import Port
from targets.ir import Array, Buffer, Elementwise, Loop, Step, View
from targets.lowering import Model
from targets.lowering.base import describe


@dataclass
class Entry:
    """Buffers of the function's arguments, and the tensors that must end up in them."""

    inputs: list[tuple[Buffer, str, Tensor]] = field(default_factory=list)
    outputs: list[tuple[Buffer, str, Tensor]] = field(default_factory=list)
    states: list[tuple[Buffer, str, Tensor, Tensor, Array]] = field(default_factory=list)
    metadata: md.Metadata = field(default_factory=md.Metadata)
    mask: Array | None = None
    held: list[tuple[Buffer, str, Tensor, Array]] = field(default_factory=list)


def entry_of(model: Model, graph: Graph, document: md.Metadata | None) -> Entry:
    """Inputs, outputs and states, by the step contract where the file has a signature."""
    entry = Entry()
    if document is not None:
        entry.metadata = document
    elif md.KEY in graph.metadata:
        entry.metadata = md.from_json(graph.metadata[md.KEY])
    if graph.signatures:
        step = find_step(graph, entry.metadata)
        inputs, outputs = list(step.inputs.items()), list(step.outputs.items())
        entry.mask = raw_mask(step.inputs, entry.metadata)
        for state in step.states:
            buffer = _port(model, state.name, state.input, "state")
            entry.states.append((buffer, state.name, state.input, state.output, state.initial))
    else:
        inputs = [(f"x{i or ''}", graph.tensors[t]) for i, t in enumerate(graph.inputs)]
        outputs = [(f"y{i or ''}", graph.tensors[t]) for i, t in enumerate(graph.outputs)]
    entry.inputs = [(_port(model, name, t, "input"), name, t) for name, t in inputs]
    entry.outputs = [(_port(model, name, t, "output"), name, t) for name, t in outputs]
    if not outputs:
        raise ModelFileError("the graph has no output")
    if entry.mask is not None:
        tensors = {name: tensor for _, name, tensor in entry.outputs}
        raws = masked_output(tensors, entry.metadata)
        for (y, name, tensor), raw in zip(entry.outputs, raws, strict=True):
            held = _port(model, f"{y.name}_held", tensor, "state")
            entry.held.append((held, name, tensor, raw))
    entering = [*entry.inputs, *((b, n, t) for b, n, t, _, _ in entry.states)]
    for buffer, _, tensor in entering:
        if tensor.index in model.views or tensor.data is not None:
            raise ModelFileError(f"tensor '{tensor.name}' is more than one input")
        model.views[tensor.index] = View(buffer, tensor.shape)
    return entry


def _port(model: Model, name: str, tensor: Tensor, kind: Any) -> Buffer:
    model.check(tensor)
    return Buffer(model.unique(name), tensor.dtype, tensor.elements, kind, describe(tensor))


def finish(model: Model, entry: Entry) -> list[Step]:
    """Schedule the nodes and let states and outputs be computed where they belong."""
    wanted: list[tuple[Buffer, View]] = []
    claimed: set[Buffer] = set()
    goals = [(b, out) for b, _, _, out, _ in entry.states] + [(b, t) for b, _, t in entry.outputs]
    for target, tensor in goals:
        view = model.view(tensor.index)
        if view.buffer is target and view.whole:
            continue
        if view.buffer.kind != "scratch" or not view.whole or view.buffer in claimed:
            view = _copied(model, view, target)
        claimed.add(view.buffer)
        wanted.append((target, view))
    nodes = fuse.drop_unused(model.nodes, [view for _, view in wanted])
    steps = fuse.schedule(nodes)
    taken: set[int] = set()
    for target, view in wanted:
        if not memory.place(steps, view.buffer, target, taken):
            node = _copy_node(view, View(target, view.shape))
            steps.append(Loop(node.dims, [node]))
    return steps


def _copied(model: Model, view: View, target: Buffer) -> View:
    copy = View(model.scratch(target.dtype, target.elements, f"{target.name}_next"), view.shape)
    model.add(_copy_node(view, copy))
    return copy


def _copy_node(source: View, target: View) -> Elementwise:
    n = source.elements
    return Elementwise(
        "COPY",
        target.buffer.name,
        [source],
        [target],
        dims=(n,),
        strides=[(1,)],
        build=lambda inputs: inputs[0],
    )


def describe_port(
    buffer: Buffer, signature: str, tensor: Tensor, initial: Array | None = None
) -> Port:
    """What there is to know of a buffer of the boundary."""
    quantized = len(tensor.scale) == 1
    return Port(
        name=buffer.name,
        tensor=tensor.name,
        dtype=buffer.dtype,
        shape=tensor.shape,
        scale=tensor.scale[0] if quantized else None,
        zero_point=tensor.zero_point[0] if quantized else 0,
        signature=signature,
        initial=initial,
    )
