"""A model for TensorFlow Lite Micro: the file as an array, its operators, and where its state is.

The rest of the project (front end, detector, self-test, program) is the C of every other format:
the interpreter stands behind the same `NAME_step`, and the state is in `NAME_state_t` as ever.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from edgernn.errors import MissingDependencyError, ModelFileError, UnsupportedError
from edgernn.step import find_step
from edgernn.tflite import read
from targets.emit import array, render
from targets.exports.project import _COMMON, Project
from targets.ir import C_TYPES, Array, Buffer

MARGIN: Final = 1024
"""Bytes that the arena has more than was measured: for kernels that need scratch of their own."""

_SPELLED: Final = {"2D": "2D", "LSTM": "LSTM", "MATMUL": "MatMul", "V2": "V2", "TO": "To"}

_RESOLVABLE: Final = frozenset(
    """Abs Add AddN ArgMax ArgMin AveragePool2D BatchMatMul BroadcastTo Cast Concatenation Conv2D
    Cos DepthwiseConv2D Dequantize Div Elu Equal Exp ExpandDims Fill Floor FullyConnected Gather
    GatherNd Greater GreaterEqual HardSwish L2Normalization LeakyRelu Less LessEqual Log LogicalAnd
    LogicalNot LogicalOr Logistic Maximum MaxPool2D Mean Minimum Mul Neg NotEqual Pack Pad PadV2
    Prelu Quantize Relu Relu6 Reshape Round Rsqrt SelectV2 Shape Sin Slice Softmax Split SplitV
    Sqrt Square SquaredDifference Squeeze StridedSlice Sub Sum Tanh Transpose TransposeConv
    UnidirectionalSequenceLSTM Unpack ZerosLike""".split()
)
"""What `MicroMutableOpResolver` has an `Add…` for."""


def library(project: Project) -> dict[str, str]:
    """The C around the step; without the step, its weights and its kernels."""
    name = project.name
    values = {**project.values, "tolerance": project.values["interpreted"]}
    everything = {
        **project.library,
        f"{name}.h": _without_scratch(project.library[f"{name}.h"], name),
        f"{name}_selftest.c": render("selftest.c.j2", _COMMON, **values),
    }
    own = {f"{name}.c", f"{name}_weights.c", f"{name}_weights.h"}
    others = {file: text for file, text in everything.items() if file not in own}
    first = [file for file in others if file.startswith(f"{name}_")]
    return _needed([f"{name}.h", "edgernn_blob.c", "edgernn_blob.h", *first], others)


def _without_scratch(header: str, name: str) -> str:
    """The interpreter has its own memory."""
    fields = rf"typedef struct \{{[^}}]*\}} {name}_scratch_t;"
    return re.sub(fields, f"typedef struct {{\n  uint8_t unused;\n}} {name}_scratch_t;", header)


def _needed(first: list[str], files: Mapping[str, str]) -> dict[str, str]:
    """The files that some files name, in turn: a file of kernels is named after its function."""
    kept = dict.fromkeys(first)
    for file in kept.copy():
        _follow(file, kept, files)
    return {file: files[file] for file in kept}


def _follow(file: str, kept: dict[str, None], files: Mapping[str, str]) -> None:
    words = set(re.findall(r"\w+", files[file]))
    for other in files:
        if other not in kept and other.rsplit(".", 1)[0] in words:
            kept[other] = None
            _follow(other, kept, files)


def more(project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """The array, the operators, the arena, and where each state is.

    Raises:
        UnsupportedError: the model has masks, or an operator that TFLM has not.
        MissingDependencyError: `tflite-micro`, in which the arena is measured, is not installed.
    """
    model, compiled = project.model, project.compiled
    if model.metadata.mask is not None:
        raise UnsupportedError(
            "a model with masks has no export for TensorFlow Lite Micro: take another "
            "format, whose C knows them"
        )
    graph = read(model.data)
    step = find_step(graph, model.metadata)
    starts = {state.name: state.starts for state in model.metadata.states}
    tensors = {state.name: state for state in step.states}
    states = []
    for port in compiled.states:
        ends = tensors[port.signature]
        assert port.initial is not None
        initial = np.ascontiguousarray(port.initial, port.dtype).ravel()
        states.append(
            {
                "name": port.name,
                "input": graph.inputs.index(ends.input.index),
                "output": graph.outputs.index(ends.output.index),
                "starts": starts.get(port.signature, 0),
                "array": "static "
                + array(
                    Buffer(
                        f"{port.name}_initial", port.dtype, initial.size, "constant", "", initial
                    )
                ),
            }
        )
    (x,), (y,) = step.inputs.values(), step.outputs.values()
    measured = arena_bytes(model.data)
    values = {
        "ops": sorted({_added(op.name) for op in graph.operators}),
        "states": states,
        "saved": compiled.state_bytes,
        "x_index": graph.inputs.index(x.index),
        "y_index": graph.outputs.index(y.index),
        "measured": measured,
        "margin": MARGIN,
        "arena": -(-(measured + MARGIN) // 16) * 16,
        "warmup": model.metadata.warmup,
        "bytes": len(model.data),
        "digest": [f"0x{project.key[i : i + 2]}" for i in range(0, 32, 2)],
        "data": _rows(model.data),
        "x_type": C_TYPES[x.dtype],
    }
    return values, {}


def _static(name: str, dtype: str, data: Array) -> str:
    return "static " + array(Buffer(name, dtype, data.size, "constant", "", data))


def _rows(data: bytes, width: int = 16) -> list[str]:
    rows = (data[start : start + width] for start in range(0, len(data), width))
    return [" ".join(f"0x{byte:02x}," for byte in row) for row in rows]


def _added(op: str) -> str:
    """What the resolver calls an operator."""
    parts = (_SPELLED.get(part, part.capitalize()) for part in op.split("_"))
    name = "".join(parts)
    if name not in _RESOLVABLE:
        raise UnsupportedError(
            f"TensorFlow Lite Micro has no operator {op}: take another format, whose C has it"
        )
    return name


def arena_bytes(data: bytes) -> int:
    """Bytes of the smallest arena in which the wheel's reference kernels run a model, to 16 bytes.

    That is more than TFLM calls used: its planner needs room while it allocates.

    Raises:
        MissingDependencyError: `tflite-micro` is not installed.
        ModelFileError: it refuses the model.
    """
    try:
        from tflite_micro import runtime
    except ImportError:
        raise MissingDependencyError(
            "the arena is measured in TensorFlow Lite Micro: run `pip install tflite-micro` "
            "(Linux, x86-64)"
        ) from None

    def runs(size: int) -> bool:
        try:
            runtime.Interpreter.from_bytes(data, arena_size=size).invoke()
        except RuntimeError:
            return False
        return True

    low, high = 0, 1 << 16
    with _silent():
        while not runs(high):
            low, high = high, 2 * high
            if high > max(64 * len(data), 1 << 24):
                raise ModelFileError("TensorFlow Lite Micro refuses the model")
        while high - low > 16:
            middle = (low + high) // 32 * 16
            low, high = (low, middle) if runs(middle) else (middle, high)
    return high


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing of what C++ code prints to the standard error is seen."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
