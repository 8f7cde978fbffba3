"""C for a model of several passes: each pass as compiled by itself, and a driver with the loops.

The driver is the schedule of edgernn/passes.py in C. Its code does not depend on how long a window
or a look-ahead is; only the arrays do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.errors import UnsupportedError
from edgernn.masks import masked_output, raw_mask
from edgernn.model import Model
from targets import emit
from targets.compiled import Compiled, Port, state_struct_bytes
from targets.cores import Core
from targets.generate import compile_graph, version
from targets.ir import C_TYPES
from targets.lowering.base import float_literal

_FRAME = 36
"""Bytes of a saved state beside the state itself."""


def compile_passes(model: Model, chosen: Core, prefix: str) -> Compiled:
    """Compile a model of several passes.

    Raises:
        UnsupportedError: a pass behind the first takes or gives several rows in a step.
    """
    how = model.metadata.passes
    assert how is not None
    for part in model.passes[1:]:
        if (part.metadata.frames_per_step, part.metadata.outputs_per_step) != (1, 1):
            raise UnsupportedError(
                "strides, pooling or upsampling behind a layer that looks back from the end are "
                "not compiled to C; do them before it, or run the model in Python"
            )
    first, last = model.passes[0], model.passes[-1]
    per_step = first.metadata.frames_per_step
    if how.window % per_step or how.hop % per_step:
        raise UnsupportedError(
            f"windows of {how.window} frames every {how.hop} in steps of {per_step} frames are not "
            f"compiled to C; make both multiples of {per_step}"
        )
    parts = [
        compile_graph(part.graph, part.data, chosen, f"{prefix}_pass_{level}", part.metadata)
        for level, part in enumerate(model.passes)
    ]
    passes: list[dict[str, Any]] = []
    for level, (part, compiled) in enumerate(zip(model.passes, parts, strict=True)):
        passes.append(
            {
                "name": compiled.name,
                "level": level,
                "rows": how.rows[level],
                "taken": part.x.elements,
                "taken_rows": how.rows[level - 1] if level else 0,
                "given": part.y.elements,
                "warmup": part.metadata.warmup,
            }
        )
    kept = max(how.rows[:-1])
    rows = how.window // per_step - first.metadata.warmup
    widest = max(e for p in passes for e in (p["taken"], p["given"]))
    states = _states(model, parts)
    y = compiled_port("y", last, answers(model))
    row = first.y.numpy_dtype
    scratch = (
        max(_aligned(max(c.scratch_bytes, 1)) for c in parts)
        + max(_aligned(state_struct_bytes(c)) for c in parts)
        + _aligned(((rows * kept if how.window else 0) + 2 * widest) * row.itemsize)
    )
    saved = _saved(model, parts)
    x = parts[0].inputs[0]
    values: dict[str, Any] = {
        "name": prefix,
        "version": version(),
        "core": chosen,
        "pad": " " * (len(prefix) + 6),
        "passes": passes,
        "last_pass": passes[-1],
        "masked": _masked(model),
        "window": how.window,
        "hop": how.hop,
        "lookahead": how.lookahead,
        "steps": how.window // per_step,
        "per_step": per_step,
        "frame": x.elements // per_step,
        "rows": rows,
        "kept": kept,
        "widest": widest,
        "row_type": C_TYPES[first.y.dtype],
        "x": {"c_type": C_TYPES[x.dtype], "elements": x.elements},
        "y": {"c_type": C_TYPES[y.dtype], "elements": y.elements},
        "state_bytes": sum(port.bytes for port in states),
        "scratch_bytes": scratch,
        "saved": saved,
        "key": ", ".join(f"0x{model.hash[i : i + 2]}" for i in range(0, 32, 2)),
    }
    files: dict[str, str] = {}
    for compiled in parts:
        files.update(compiled.files)
    files[f"{prefix}.h"] = emit.render("passes.h.j2", **values)
    files[f"{prefix}.c"] = emit.render("passes.c.j2", **values)
    return Compiled(
        name=prefix,
        core=next((c.core for c in parts if c.core != chosen), chosen),
        files=files,
        inputs=(replace(x, name="x"),),
        outputs=(y,),
        states=states,
        steps=tuple(step for c in parts for step in c.steps),
        scratch={"int8": scratch},
        weights_bytes=sum(c.weights_bytes for c in parts),
        tables_bytes=sum(c.tables_bytes for c in parts),
        model_hash=model.hash,
        metadata=replace(model.metadata, states=(), warmup=0),
        notes=tuple(dict.fromkeys(note for c in parts for note in c.notes)),
        saved=saved,
    )


def _masked(model: Model) -> dict[str, str] | None:
    """C's view of a masked frame's elements, and of the prediction before any other frame."""
    mask = raw_mask(model.inputs, model.metadata)
    if mask is None:
        return None
    (y,) = masked_output(model.outputs, model.metadata)
    return {"value": _literal(mask.flat[0]), "output": ", ".join(_literal(v) for v in y.flat)}


def _literal(value: Any) -> str:
    return float_literal(float(value)) if value.dtype.kind == "f" else str(int(value))


def answers(model: Model) -> int:
    """Predictions that come at once: one, or one for each row of a window."""
    how = model.metadata.passes
    if how is None or not (how.window and how.rows[-1]):
        return 1
    rows = how.window // model.metadata.frames_per_step
    return rows - sum(part.metadata.warmup for part in model.passes)


def compiled_port(name: str, model: Model, rows: int) -> Port:
    """The output of a model, so many rows of it."""
    y = model.y
    quantized = len(y.scale) == 1
    return Port(
        name=name,
        tensor=y.name,
        dtype=y.dtype,
        shape=(rows, *y.shape[1:]),
        scale=y.scale[0] if quantized else None,
        zero_point=y.zero_point[0] if quantized else 0,
        signature=name,
    )


def _states(model: Model, parts: list[Compiled]) -> tuple[Port, ...]:
    """The members of the state struct as arrays of the same size and alignment."""
    how = model.metadata.passes
    assert how is not None
    odd = range(1, len(parts), 2)
    if how.window:
        frame = model.x.elements // model.metadata.frames_per_step
        members = [_member("frames", model.x.dtype, how.window * frame)]
        counts = ["frames_kept"]
    else:
        members = [_struct(f"pass_{k}", parts[k]) for k in range(0, len(parts), 2)]
        for k in odd:
            part = model.passes[k]
            members.append(_member(f"rows_{k}", part.x.dtype, how.lookahead * part.x.elements))
        counts = [f"rows_{k}_kept" for k in odd]
    return (*members, *(_member(name, "uint32", 1) for name in [*counts, "ready"]))


def _member(name: str, dtype: str, elements: int) -> Port:
    return Port(name, name, dtype, (elements,), None, 0)


def _struct(name: str, compiled: Compiled) -> Port:
    """A nested state struct: as wide as its widest member."""
    ports = (*compiled.states, *compiled.held)
    widest = max((np.dtype(p.dtype).itemsize for p in ports), default=1)
    widest = max(widest, 4 if compiled.metadata.counted_steps else 1)
    dtype = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}[widest]
    return _member(name, dtype, state_struct_bytes(compiled) // widest)


def _saved(model: Model, parts: list[Compiled]) -> int:
    """Bytes that are saved, without the frame around them."""
    how = model.metadata.passes
    assert how is not None
    if how.window:
        frame = model.x.elements // model.metadata.frames_per_step
        return how.window * frame * model.x.numpy_dtype.itemsize + 4
    rings = sum(
        how.lookahead * p.x.elements * p.x.numpy_dtype.itemsize + 4 for p in model.passes[1::2]
    )
    return rings + sum(c.saved_bytes + _FRAME for c in parts[::2])


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
