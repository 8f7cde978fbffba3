"""From a `.tflite` step model to a folder of C files."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import numpy as np

from edgernn import metadata as md
from edgernn.errors import InputError, ModelFileError
from edgernn.step import SIGNATURE, find_step
from edgernn.tflite import Graph, Tensor, read
from targets import emit, fuse, memory, vector
from targets.cores import Core, core
from targets.ir import Array, Buffer, Elementwise, Kernel, Loop, Step, View
from targets.lowering import Model, lower
from targets.lowering.base import describe, float_literal, identifier

_KERNELS = Path(__file__).parent / "kernels"


@dataclass(frozen=True)
class StepInfo:
    """One call or loop of the step function: what it does and which operators it came from."""

    comment: str
    ops: tuple[str, ...]
    layers: tuple[str, ...]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """An array that crosses the step function's boundary, in the order of its arguments."""

    name: str
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int
    signature: str = ""
    initial: Array | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Compiled:
    """What was generated: file contents, the step function's ports, its steps and memory.

    `scratch` is elements by type; `state_bytes`, `scratch_bytes`, `weights_bytes` and
    `tables_bytes` are sizes (weights are what the layers' parameters take in flash, tables what
    their activations look up). `notes` are sentences that the user should read.
    """

    name: str
    core: Core
    files: dict[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[Port, ...]
    steps: tuple[StepInfo, ...]
    scratch: dict[str, int]
    weights_bytes: int
    tables_bytes: int
    model_hash: str
    metadata: md.Metadata = field(default_factory=md.Metadata)
    notes: tuple[str, ...] = ()

    @property
    def state_bytes(self) -> int:
        """Bytes of one stream's state."""
        return sum(port.bytes for port in self.states)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch."""
        return sum(n * np.dtype(t).itemsize for t, n in self.scratch.items())

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the C files to compile."""
        return tuple(name for name in self.files if name.endswith(".c"))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the files into a folder, each one whole or not at all."""
        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name, text in self.files.items():
                _write(target / name, text)
        except OSError as error:
            raise InputError(f"cannot write to {target}: {error.strerror}") from None
        return target


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
        stream.write(text)
    os.chmod(stream.name, 0o644)
    os.replace(stream.name, path)


def compile_model(
    model: str | os.PathLike[str] | bytes,
    target: str = "portable",
    out_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    *,
    marks: bool = False,
) -> Compiled:
    """Compile a `.tflite` file, or its bytes, to C for a core; write the files into `out_dir`.

    `name` begins every public identifier and file (default: the file's name). With `marks`, the
    step function has a label before each step, which costs no instruction and lets the emulator
    attribute instructions.

    Raises:
        EdgernnError: the file is damaged, breaks the step contract, or holds an operator, type or
            shape that cannot be compiled; the message names it.
    """
    data, stem = _load(model)
    chosen = core(target)
    prefix = identifier(name or stem)
    if name is not None and (prefix != name or not re.fullmatch(r"[a-z_]\w*", name)):
        raise InputError(f"'{name}' is no lower-case C identifier of at most 40 characters")
    compiled = compile_graph(read(data), data, chosen, prefix, marks)
    if out_dir is not None:
        compiled.write(out_dir)
    return compiled


def compile_graph(
    graph: Graph, data: bytes, chosen: Core, prefix: str, marks: bool = False
) -> Compiled:
    """Compile a graph that was read from a file of these bytes."""
    lowered = Model(graph, chosen, prefix)
    for word in ("state", "scratch", *_RESERVED, *emit._INDICES):
        lowered.unique(word)
    entry = _entry(lowered, graph)
    lower(lowered)
    steps = _finish(lowered, entry)
    return _generate(lowered, entry, steps, data, marks)


_RESERVED = """auto break case char const continue default do double else enum extern float for goto
if inline int long register restrict return short signed sizeof static struct switch typedef union
unsigned void volatile while bool true false class new delete this template namespace""".split()


def _load(model: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(model, bytes):
        return model, "model"
    path = Path(model)
    try:
        return path.read_bytes(), path.stem
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from None


@dataclass
class _Entry:
    """Buffers of the function's arguments, and the tensors that must end up in them."""

    inputs: list[tuple[Buffer, str, Tensor]] = field(default_factory=list)
    outputs: list[tuple[Buffer, str, Tensor]] = field(default_factory=list)
    states: list[tuple[Buffer, str, Tensor, Tensor, Array]] = field(default_factory=list)
    metadata: md.Metadata = field(default_factory=md.Metadata)


def _entry(model: Model, graph: Graph) -> _Entry:
    """Inputs, outputs and states, by the step contract where the file has a signature."""
    entry = _Entry()
    if md.KEY in graph.metadata:
        entry.metadata = md.from_json(graph.metadata[md.KEY])
    if graph.signatures:
        step = find_step(graph, entry.metadata)
        signature = graph.signatures.get(SIGNATURE) or next(iter(graph.signatures.values()))
        carried = set(signature.inputs) & set(signature.outputs)
        x = next(k for k in signature.inputs if k not in carried)
        y = next(k for k in signature.outputs if k not in carried)
        inputs, outputs = [(x, step.x)], [(y, step.y)]
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
    entering = [*entry.inputs, *((b, n, t) for b, n, t, _, _ in entry.states)]
    for buffer, _, tensor in entering:
        if tensor.index in model.views or tensor.data is not None:
            raise ModelFileError(f"tensor '{tensor.name}' is more than one input")
        model.views[tensor.index] = View(buffer, tensor.shape)
    return entry


def _port(model: Model, name: str, tensor: Tensor, kind: Any) -> Buffer:
    model.check(tensor)
    return Buffer(model.unique(name), tensor.dtype, tensor.elements, kind, describe(tensor))


def _finish(model: Model, entry: _Entry) -> list[Step]:
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


def _generate(
    model: Model,
    entry: _Entry,
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
    initials = [_initial(model, buffer, raw) for buffer, _, _, _, raw in entry.states]
    used += [c for _, c in initials if c is not None]
    files = _kernel_files(steps, model.core)
    notes = _notes(model, entry)
    if vector.STORE.search(text):
        files = sorted({*files, vector.HEADER, "edgernn_activation.h"})
    digest = hashlib.sha256(data).hexdigest()
    state_bytes = sum(b.bytes for b, *_ in entry.states)
    pointers = [b for b in plan.lives if _mentions(text, b.name)]
    arguments = [b.name for b, *_ in [*entry.inputs, *entry.outputs]]
    unused = [name for name in ["state", *arguments] if not _mentions(text, name)]
    values: dict[str, Any] = {
        "name": model.name,
        "version": _version(),
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
            }
            for (b, *_), (uniform, _) in zip(entry.states, initials, strict=True)
        ],
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
        inputs=tuple(_describe_port(b, n, t) for b, n, t in entry.inputs),
        outputs=tuple(_describe_port(b, n, t) for b, n, t in entry.outputs),
        states=tuple(_describe_port(b, n, t, raw) for b, n, t, _, raw in entry.states),
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
    "edgernn_conv.h",
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
        comment = f"{_common(layers)}: {', '.join(node.op.lower() for node in nodes)}"
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


def _notes(model: Model, entry: _Entry) -> tuple[str, ...]:
    """What the user should know about the code."""
    ports = [*entry.inputs, *entry.outputs]
    floats = [name for _, name, tensor in ports if tensor.dtype == "float32"]
    if not floats or model.core.floats:
        return ()
    return (
        f"{' and '.join(floats)}: float32, converted in software on a core without an FPU; "
        "convert with io int8 or int16 to save that.",
    )


def _describe_port(
    buffer: Buffer, signature: str, tensor: Tensor, initial: Array | None = None
) -> Port:
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


def _version() -> str:
    try:
        return packages.version("edgernn")
    except packages.PackageNotFoundError:
        return "(not installed)"
