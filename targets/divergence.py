"""Which operator first computes something else than the reference: one step, operator by operator.

Each operator's result in turn becomes the model's prediction; that model runs the step in question
on the reference interpreter and as C, from the same states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import blob
from edgernn.errors import EdgernnError
from edgernn.model import Model, load
from edgernn.tflite import Operator
from targets import executors

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cause:
    """An operator whose result differs although the results before it are equal."""

    op: str
    index: int
    layer: str
    tensor: str
    element: int
    expected: float
    got: float

    def __str__(self) -> str:
        return (
            f"first in operator {self.index} ({self.op}) of layer '{self.layer}', "
            f"{self.tensor}[{self.element}]: {self.got:g}, not {self.expected:g}"
        )


def find_cause(
    model: Model, target: str, frame: Array, states: Sequence[Array], cc: str | None = None
) -> Cause | None:
    """The first operator that differs in this step; None if each alone is right.

    That happens when the fault is in how operators are fused or share memory.
    """
    for op, tensor, tapped in _taps(model):
        reference = executors.Interpreted(tapped, "tflm")
        reference.start(states)
        (expected,) = reference.step(frame)
        executor = executors.start(target, tapped, cc)
        try:
            packed = b"".join(np.ascontiguousarray(state).tobytes() for state in states)
            executor.restore(blob.pack(tapped.hash, packed, b""))
            (got,) = executor.step(frame)
        finally:
            executors.close(executor)
        different = np.flatnonzero(expected.reshape(-1) != got.reshape(-1))
        if len(different):
            at = int(different[0])
            name = model.graph.tensors[tensor].name
            values = (float(expected.reshape(-1)[at]), float(got.reshape(-1)[at]))
            return Cause(op.name, op.index, _layer(name), name, at, *values)
    return None


def _taps(model: Model) -> Iterator[tuple[Operator, int, Model]]:
    """For each operator's result: the model that has it as its prediction."""
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        return
    for op in model.graph.operators:
        for tensor in op.outputs:
            edited = schema.ModelT.InitFromPackedBuf(model.data, 0)
            graph = edited.subgraphs[0]
            for signature in edited.signatureDefs or []:
                states = {entry.name for entry in signature.inputs}
                for entry in signature.outputs:
                    if entry.tensorIndex == model.y.index and entry.name not in states:
                        entry.tensorIndex = tensor
            carried = [state.output.index for state in model.states]
            graph.outputs = list(dict.fromkeys([tensor, *carried]))
            edited.metadata = []
            builder = flatbuffers.Builder(len(model.data))
            builder.Finish(edited.Pack(builder), b"TFL3")
            try:
                yield op, tensor, load(bytes(builder.Output()))
            except EdgernnError:  # a tensor of a type or shape that no prediction has
                continue


def _layer(name: str) -> str:
    return name.split(";")[0].rpartition("/")[0] or name
