"""From the graph of a step to C: lowered, scheduled, placed in memory, and written out."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import numpy as np

from edgernn import metadata as md
from edgernn.tflite import Graph
from targets import emit, memory, vector
from targets.compiled import Compiled, StepInfo, counter_bytes
from targets.cores import Core
from targets.entry import Entry, describe_port, entry_of, finish
from targets.ir import TURN, Array, Buffer, Elementwise, Kernel, Loop, Step
from targets.lowering import Model, lower
from targets.lowering.base import float_literal

_KERNELS = Path(__file__).parent / "kernels"


def compile_graph(
    graph: Graph,
    data: bytes,
    chosen: Core,
    prefix: str,
    document: md.Metadata | None = None,
    marks: bool = False,
) -> Compiled:
    """Compile a graph that was read from a file of these bytes, with their metadata or another."""
    lowered = Model(graph, chosen, prefix)
    for word in ("state", "scratch", "steps_done", *_RESERVED, *emit._INDICES, TURN):
        lowered.unique(word)
    entry = entry_of(lowered, graph, document)
    lower(lowered)
    steps = finish(lowered, entry)
    return _generate(lowered, entry, steps, data, marks)


_RESERVED = """auto break case char const continue default do double else enum extern float for goto
if inline int long register restrict return short signed sizeof static struct switch typedef union
unsigned void volatile while bool true false class new delete this template namespace""".split()


def _generate(
    model: Model,
    entry: Entry,
    steps: Sequence[Step],
    data: bytes,
    marks: bool,
) -> Compiled:
    plan = memory.plan(steps)
    infos = tuple(_info(step, model.core) for step in steps)
    text = "\n".join(line for info in infos for line in info.lines)
    used = [c for c in model.constants if re.search(rf"\b{c.name}\b", text)]
    records = [r for r in model.records if re.search(rf"\b{r[1]}\b", text)]
    parameters = " ".join(r[2] for r in records)
    used += [
        c for c in model.constants if c not in used and re.search(rf"\b{c.name}\b", parameters)
    ]
    kept = [(b, signature, raw) for b, signature, _, _, raw in entry.states]
    kept += [(b, "", raw) for b, _, _, raw in entry.held]
    initials = [_initial(model, buffer, raw) for buffer, _, raw in kept]
    used += [c for _, c in initials if c is not None]
    files = _kernel_files(steps, model.core)
    notes = _notes(model, entry)
    if vector.STORE.search(text):
        files = sorted({*files, vector.HEADER, "edgernn_activation.h"})
    digest = hashlib.sha256(data).hexdigest()
    state_bytes = sum(b.bytes for b, *_ in kept) + counter_bytes(entry.metadata)
    pointers = [b for b in plan.lives if _mentions(text, b.name)]
    arguments = [b.name for b, *_ in [*entry.inputs, *entry.outputs]]
    unused = [name for name in ["state", *arguments] if not _mentions(text, name)]
    starts = {state.name: state.starts for state in entry.metadata.states}
    counted = entry.metadata.counted_steps
    if (counted or entry.held) and "state" in unused:
        unused.remove("state")
    values: dict[str, Any] = {
        "name": model.name,
        "version": version(),
        "core": model.core,
        "pad": " " * (len(model.name) + 6),
        "inputs": [b for b, *_ in entry.inputs],
        "outputs": [b for b, *_ in entry.outputs],
        "states": [
            {
                "name": b.name,
                "c_type": b.c_type,
                "elements": b.elements,
                "comment": b.comment,
                "uniform": uniform,
                "starts": starts.get(signature, 0),
            }
            for (b, signature, _), (uniform, _) in zip(kept, initials, strict=True)
        ],
        "mask": None if entry.mask is None else _mask_literal(entry.mask),
        "counted": counted,
        "warmup": entry.metadata.warmup,
        "scratch": [
            {"name": dtype, "c_type": Buffer("", dtype, n, "scratch").c_type, "elements": n}
            for dtype, n in sorted(plan.sizes.items(), key=lambda item: -np.dtype(item[0]).itemsize)
        ],
        "summary": [_summary(plan.sizes, state_bytes), *notes],
        "blob_size": 36 + state_bytes,
        "state_bytes": state_bytes,
        "headers": sorted(f for f in files if f in _PUBLIC_HEADERS),
        "key": ", ".join(f"0x{digest[i : i + 2]}" for i in range(0, 32, 2)),
        "pointers": pointers,
        "unused": unused if pointers else [*unused, "scratch"],
        "steps": infos,
        "marks": marks,
        "constants": used,
        "records": records,
        "arrays": [emit.array(c) for c in used],
    }
    contents = {
        f"{model.name}.h": emit.render("model.h.j2", **values),
        f"{model.name}.c": emit.render("model.c.j2", **values),
        f"{model.name}_weights.h": emit.render("weights.h.j2", **values),
        f"{model.name}_weights.c": emit.render("weights.c.j2", **values),
    }
    if marks:
        contents[f"{model.name}.c"] = _MARK + contents[f"{model.name}.c"]
    contents.update({f: (_KERNELS / f).read_text() for f in files})
    tables = sum(c.bytes for c in used if _TABLE.search(c.name)) + (
        514 if "edgernn_sigmoid_table.c" in files else 0
    )
    return Compiled(
        name=model.name,
        core=model.core.with_floats() if "edgernn_float.h" in files else model.core,
        files=contents,
        inputs=tuple(describe_port(b, n, t) for b, n, t in entry.inputs),
        outputs=tuple(describe_port(b, n, t) for b, n, t in entry.outputs),
        states=tuple(describe_port(b, n, t, raw) for b, n, t, _, raw in entry.states),
        held=tuple(describe_port(b, n, t, raw) for b, n, t, raw in entry.held),
        steps=infos,
        scratch=plan.sizes,
        weights_bytes=sum(c.bytes for c in used if not _TABLE.search(c.name)),
        tables_bytes=tables,
        model_hash=digest,
        metadata=entry.metadata,
        notes=notes,
    )


_PUBLIC_HEADERS = (
    "edgernn_fixedpoint.h",
    "edgernn_math.h",
    "edgernn_activation.h",
    "edgernn_batch_matmul.h",
    "edgernn_conv.h",
    "edgernn_patch.h",
    "edgernn_float.h",
    "edgernn_gather.h",
    "edgernn_mve.h",
    "edgernn_kernels.h",
    "edgernn_lookup_simd.h",
    "edgernn_simd.h",
)

_MARK = """\
#define EDGERNN_MARK_LABEL(k) __asm__ volatile("edgernn_mark_" #k ":" ::: "memory")
#define EDGERNN_MARK(k) EDGERNN_MARK_LABEL(k)
"""


_TABLE = re.compile(r"_table(_\d+)?$")


def _mask_literal(mask: Array) -> str:
    """The value of all elements of a masked frame: a mask has no normalisation before it."""
    value = mask.reshape(-1)[0]
    return float_literal(float(value)) if mask.dtype.kind == "f" else str(int(value))


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![>\w]){name}\b", text) is not None


def _kernel_files(steps: Sequence[Step], core: Core) -> list[str]:
    files = {"edgernn_blob.c", "edgernn_blob.h", "edgernn_kernels.h", "edgernn_math.h"}
    if core.simd:
        files.add("edgernn_simd.h")
    for step in steps:
        for node in step.nodes if isinstance(step, Loop) else [step]:
            files.update(node.files)
    return sorted(files)


def _initial(model: Model, buffer: Buffer, raw: Array) -> tuple[str | None, Buffer | None]:
    """A single first value as text, or a table of first values."""
    flat = raw.reshape(-1)
    if (flat == flat[0]).all():
        return (
            float_literal(float(flat[0])) if flat.dtype.kind == "f" else str(int(flat[0]))
        ), None
    name = f"{model.name}_{buffer.name}_initial"
    constant = Buffer(name, buffer.dtype, buffer.elements, "constant", buffer.comment, flat)
    return None, constant


def _info(step: Step, core: Core) -> StepInfo:
    nodes: Sequence[Kernel | Elementwise] = step.nodes if isinstance(step, Loop) else [step]
    if isinstance(step, Kernel):
        comment = f"{step.layer}: {step.note or step.op}"
    else:
        layers = list(dict.fromkeys(node.layer for node in nodes))
        ops = [name for name, _ in itertools.groupby(node.op.lower() for node in nodes)]
        comment = f"{_common(layers)}: {', '.join(ops)}"
    return StepInfo(
        comment=_shorten(comment.replace("*/", "* /")),
        ops=tuple(node.op for node in nodes),
        layers=tuple(node.layer for node in nodes),
        lines=tuple(emit.step_lines(step, core)),
    )


def _common(layers: Sequence[str]) -> str:
    """The longest common path of some layers, or the first of them."""
    common = os.path.commonprefix(list(layers))
    return common.rstrip("/_") or layers[0]


def _shorten(text: str, limit: int = 90) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _summary(scratch: dict[str, int], state_bytes: int) -> str:
    size = sum(n * np.dtype(t).itemsize for t, n in scratch.items())
    return f"State {state_bytes} bytes a stream, scratch {size} bytes."


def _notes(model: Model, entry: Entry) -> tuple[str, ...]:
    """What the user should know about the code."""
    ports = [*entry.inputs, *entry.outputs]
    floats = [name for _, name, tensor in ports if tensor.dtype == "float32"]
    if not floats or model.core.floats:
        return ()
    return (
        f"{' and '.join(floats)}: float32, converted in software on a core without an FPU; "
        "convert with io int8 or int16 to save that.",
    )


def version() -> str:
    """That of edgernn."""
    try:
        return packages.version("edgernn")
    except packages.PackageNotFoundError:
        return "(not installed)"
