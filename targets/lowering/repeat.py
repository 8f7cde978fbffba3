"""Nodes that run again and again, as one node: frames of a window, positions of a filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgernn.tflite import Operator
from targets import fuse
from targets.ir import Buffer, Repeat, View
from targets.lowering.base import Model


@contextmanager
def repeated(
    model: Model,
    op: Operator,
    count: int,
    inputs: list[View],
    outputs: list[View],
    cursors: Sequence[tuple[Buffer, View]],
    note: str,
) -> Iterator[None]:
    """What is appended inside runs `count` times; cursors, inputs and outputs as of a `Repeat`."""
    nodes, widened = model.nodes, model.widened
    model.nodes, model.widened = [], {}
    try:
        yield
    finally:
        inner, model.nodes, model.widened = model.nodes, nodes, widened
    views = [view for node in inner for view in (*node.inputs, *node.outputs)]
    model.add(
        Repeat(
            op.name,
            model.layer(op),
            inputs,
            outputs,
            note=note,
            files=sorted({"edgernn_math.h", *(file for node in inner for file in node.files)}),
            temporaries=[view for view in views if view.buffer.kind == "scratch"],
            count=count,
            steps=fuse.schedule(inner),
            cursors=list(cursors),
        )
    )
