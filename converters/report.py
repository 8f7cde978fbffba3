"""What the user is told of a conversion, as plain JSON types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from converters.precision import Candidate
from converters.trace import FloatStep
from edgernn.model import Model


def report(
    model: Model,
    step: FloatStep,
    chosen: Candidate,
    tried: Sequence[Candidate],
    reason: str,
    exactness: float | None,
) -> dict[str, Any]:
    """What the user is told: layers, states, operators, bytes, errors."""
    operators = Counter(op.name for op in model.graph.operators)
    weights = sum(t.data.nbytes for t in model.graph.tensors if t.data is not None)
    golden = model.metadata.golden
    return {
        "precision": chosen.name,
        "reason": reason,
        "labels": list(model.labels),
        "layers": [
            {"layer": path, "type": kind, "became": became} for path, kind, became in step.layers
        ],
        "inputs": [asdict(one) for one in model.metadata.inputs],
        "outputs": [asdict(one) for one in model.metadata.outputs],
        "mask": step.mask,
        "pads_end": step.looks_ahead and not step.sequence_output,
        "frames_per_step": step.frames_per_step,
        "outputs_per_step": step.outputs_per_step,
        "warmup": step.warmup,
        "latency": step.latency,
        "states": [
            {
                "name": state.name,
                "shape": list(state.input.shape),
                "dtype": state.input.dtype,
                "scale": state.input.scale[0] if state.input.scale else None,
                "zero_point": state.input.zero_point[0] if state.input.scale else None,
            }
            for state in model.states
        ],
        "operators": dict(sorted(operators.items())),
        "bytes": {"file": len(model.data), "weights": weights, "float_file": len(step.data)},
        "float_vs_keras": exactness,
        "errors": chosen.errors.to_dict(),
        "drift": chosen.drift,
        "tried": [candidate.to_dict() for candidate in tried],
        "reference": golden.reference if golden else None,
    }
