"""From a `.tflite` step model to a folder of C files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgernn import metadata as md
from edgernn.errors import InputError, ModelFileError
from edgernn.foreign import step_file
from edgernn.model import Model
from edgernn.tflite import read
from targets.compiled import Compiled
from targets.cores import core
from targets.generate import compile_graph
from targets.lowering.base import identifier
from targets.passes import compile_passes
from targets.pipeline import with_pipeline


def compile_model(
    model: str | os.PathLike[str] | bytes,
    target: str = "portable",
    out_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    *,
    marks: bool = False,
    pipeline: bool = True,
) -> Compiled:
    """Compile a `.tflite` file, or its bytes, to C for a core; write the files into `out_dir`.

    `name` begins every public identifier and file (default: the file's name). With `marks`, the
    step function has a label before each step, which costs no instruction and lets the emulator
    attribute instructions. With `pipeline`, a model that has a front end gets the whole chain from
    samples to events beside its step.

    Raises:
        EdgernnError: the file is damaged, breaks the step contract, or holds an operator, type or
            shape that cannot be compiled; the message names it.
    """
    data, stem = _load(model)
    data = step_file(data)
    chosen = core(target)
    prefix = identifier(name or stem)
    if name is not None and (prefix != name or not re.fullmatch(r"[a-z_]\w*", name)):
        raise InputError(f"'{name}' is no lower-case C identifier of at most 40 characters")
    graph = read(data)
    if md.KEY in graph.metadata and md.from_json(graph.metadata[md.KEY]).passes is not None:
        compiled = compile_passes(Model(data), chosen, prefix)
    else:
        compiled = compile_graph(graph, data, chosen, prefix, marks=marks)
    if compiled.metadata.front_end and pipeline:
        compiled = with_pipeline(compiled, Model(data))
    if out_dir is not None:
        compiled.write(out_dir)
    return compiled


def _load(model: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(model, bytes):
        return model, "model"
    path = Path(model)
    try:
        return path.read_bytes(), path.stem
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from None
