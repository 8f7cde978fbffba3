"""The whole chain in C: what `edgernn/pipeline.py` does, as `NAME_pipeline_t`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn import frontends
from edgernn.errors import UnsupportedError
from edgernn.frontends import FrontEnd
from edgernn.frontends.quantizer import FrameQuantizer, frame_quantizer
from edgernn.model import Model
from edgernn.pipeline import detector_of
from targets import emit
from targets.compiled import Compiled, Port
from targets.generate import version
from targets.ir import C_TYPES, Buffer

_KERNELS: Final = Path(__file__).parent / "kernels"


def with_pipeline(compiled: Compiled, model: Model) -> Compiled:
    """The compiled step with `NAME_pipeline.h` and `NAME_pipeline.c` beside it.

    Raises:
        InputError: the front end or the detector does not fit the model.
        UnsupportedError: the chain has a part that has no C.
    """
    if model.passes:
        raise UnsupportedError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no pipeline in "
            "C: compile it without its front end, with `edgernn configure FILE --no-front-end`"
        )
    front_end = frontends.read(model.metadata.front_end)
    quantizer = frame_quantizer(model, front_end)
    detector = detector_of(model, front_end)
    name = compiled.name
    stages = {"front_end": _module("targets.frontends", front_end.kind).generate(front_end, name)}
    if detector is not None:
        y = compiled.outputs[0]
        outputs = y.elements // model.metadata.outputs_per_step
        generate = _module("targets.detectors", detector.kind).generate
        stages["detector"] = generate(detector, name, y.dtype, outputs)
    made = list(stages.values())
    files = {name for stage in made for name in stage.files}
    files |= {"edgernn_frame_quantize.h", f"edgernn_frame_quantize_{_suffix(quantizer)}.c"}
    if detector is not None:
        files.add("edgernn_event.h")
    values = {**_values(compiled, model, front_end, quantizer), "detector": None, **stages}
    values["paired"] = detector is not None and detector.kind == "anomaly"
    public = {name for name in files if name.endswith(".h")} - {"edgernn_frame_quantize.h"}
    values["headers"] = sorted(public)
    ram = compiled.state_bytes + compiled.scratch_bytes + sum(stage.ram for stage in made)
    values["summary"] = f"About {ram:,} bytes a stream, all of the caller's memory."
    contents = {
        **compiled.files,
        **{file: (_KERNELS / file).read_text() for file in sorted(files)},
        f"{name}_pipeline.h": emit.render("pipeline.h.j2", **values),
        f"{name}_pipeline.c": emit.render("pipeline.c.j2", **values),
    }
    return replace(compiled, files=contents)


def _module(package: str, kind: str) -> Any:
    """The module that makes a part of this kind."""
    name = f"{package}.{kind}"
    if importlib.util.find_spec(name) is None:
        raise UnsupportedError(
            f"the front end '{kind}' has no C, it runs from Python only: use one of kind 'audio'"
        )
    return importlib.import_module(name)


def _values(
    compiled: Compiled, model: Model, front_end: FrontEnd, quantizer: FrameQuantizer
) -> dict[str, Any]:
    document = model.metadata
    return {
        "name": compiled.name,
        "version": version(),
        "core": compiled.core,
        "pad": " " * (len(compiled.name) + 10),
        "x": _field(compiled.inputs[0]),
        "outputs": [_field(port) for port in compiled.outputs],
        "features": len(quantizer.multiplier),
        "channels": front_end.channels,
        "sample_type": C_TYPES[front_end.sample_dtype],
        "bits": quantizer.dtype.removeprefix("int"),
        "quantizer": quantizer,
        "arrays": _arrays(quantizer),
        "per_step": document.frames_per_step,
        "rows": document.outputs_per_step,
        "counted": document.counted_steps,
    }


def _field(port: Port) -> dict[str, Any]:
    return {"name": port.name, "c_type": C_TYPES[port.dtype], "elements": port.elements}


def _arrays(quantizer: FrameQuantizer) -> list[str]:
    tables: Sequence[tuple[str, str, tuple[int, ...]]] = (
        ("quantizer_multiplier", "int32", quantizer.multiplier),
        ("quantizer_offset", "int64", quantizer.offset),
    )
    return [
        "static " + emit.array(Buffer(name, dtype, len(t), "constant", "", np.array(t, dtype)))
        for name, dtype, t in tables
    ]


def _suffix(quantizer: FrameQuantizer) -> str:
    return f"s{quantizer.dtype.removeprefix('int')}"
