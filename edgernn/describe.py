"""What is inside a `.tflite`, step model or not, as plain JSON types."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from edgernn import metadata as md
from edgernn.errors import ModelFileError
from edgernn.step import find_step
from edgernn.tflite import Graph, Tensor

FOREIGN: Final = ("WHILE", "IF", "CUSTOM", "VAR_HANDLE", "CALL_ONCE")
"""Operators (by the start of their name) that no step model holds."""


def describe(graph: Graph) -> dict[str, Any]:
    """Everything there is to say about a graph; a broken contract is a finding, not an error."""
    warnings = []
    operators = Counter(op.name for op in graph.operators)
    foreign = [name for name in operators if name.startswith(FOREIGN)]
    if foreign:
        warnings.append(f"holds {', '.join(foreign)}, which small devices do not run")
    metadata = None
    contract: dict[str, Any] = {"is_step": False}
    try:
        if md.KEY in graph.metadata:
            metadata = md.from_json(graph.metadata[md.KEY])
        step = find_step(graph, (metadata or md.Metadata()).first_pass())
    except ModelFileError as error:
        contract["reason"] = str(error)
    else:
        contract = {
            "is_step": True,
            "inputs": {name: _tensor(tensor) for name, tensor in step.inputs.items()},
            "outputs": {name: _tensor(tensor) for name, tensor in step.outputs.items()},
            "states": [
                {"state": state.name, **_tensor(state.input), "initial": _initial(state.initial)}
                for state in step.states
            ],
        }
    constants = [tensor for tensor in graph.tensors if tensor.data is not None]
    return {
        "description": graph.description,
        "subgraphs": graph.subgraphs,
        "signatures": {
            signature.name: {
                "inputs": {k: _tensor(graph.tensors[i]) for k, i in signature.inputs.items()},
                "outputs": {k: _tensor(graph.tensors[i]) for k, i in signature.outputs.items()},
            }
            for signature in graph.signatures.values()
        },
        "inputs": [_tensor(graph.tensors[i]) for i in graph.inputs],
        "outputs": [_tensor(graph.tensors[i]) for i in graph.outputs],
        "step": contract,
        "operators": dict(sorted(operators.items())),
        "tensors": len(graph.tensors),
        "constants": {
            dtype: sum(t.data.nbytes for t in constants if t.data is not None and t.dtype == dtype)
            for dtype in sorted({tensor.dtype for tensor in constants})
        },
        "metadata": None if metadata is None else _metadata(metadata),
        "warnings": warnings,
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": list(tensor.scale),
        "zero_point": list(tensor.zero_point),
    }


def _initial(values: Any) -> Any:
    """One raw number if they are all the same, else the list."""
    flat = values.ravel().tolist()
    return flat[0] if len(set(flat)) == 1 else flat


def _metadata(metadata: md.Metadata) -> dict[str, Any]:
    document = asdict(metadata)
    golden = metadata.golden
    document["golden"] = None if golden is None else {
        "steps": golden.steps, "tolerance": golden.tolerance, "reference": golden.reference
    }  # fmt: skip
    return document
