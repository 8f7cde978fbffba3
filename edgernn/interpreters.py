"""TFLite interpreters behind one small interface: input arrays, output arrays, `invoke()`.

Whoever runs a step writes the input arrays, calls `invoke`, and reads the output arrays. The arrays
live as long as the interpreter and never move, so nothing is allocated per step. A new backend
is one function that makes such an `Interpreter`, and one line in `BACKENDS`.

The backend "native" is no interpreter: it runs the model's own machine code (`edgernn/native.py`).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgernnError, MissingDependencyError, ModelFileError
from edgernn.tflite import Graph, Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Interpreter:
    """One loaded graph: arrays to write, arrays to read, and the call between them.

    `run`, where there is one, makes a step for each frame of a block and writes the predictions
    into another; the states stay in their arrays, which are then the same before and after.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    invoke: Callable[[], object]
    run: Callable[[Array, Array], object] | None = None


@dataclass(frozen=True)
class Program:
    """What a backend is given: the file, and the tensors the caller wants in its order.

    `frames` of the inputs and `predictions` of the outputs are no states; they come first.
    """

    data: bytes
    graph: Graph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    path: Path | None = None
    frames: int = 1
    predictions: int = 1


@dataclass(frozen=True)
class Backend:
    """Where a backend's module is, how it is installed, and what makes an interpreter of it."""

    module: str
    package: str
    create: Callable[[Any, Program], Interpreter]


def _lite(module: Any, program: Program) -> Interpreter:
    """LiteRT and its older names, which share one API."""
    # XNNPACK, the default delegate, is kept: measured on a GRU(64) step it takes a third of the
    # built-in kernels' time in int8 (2.9 against 9.9 us) and half in float32.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf.lite announces its move to LiteRT each time
        interpreter = module.Interpreter(model_content=program.data, num_threads=1)
    interpreter.allocate_tensors()
    if any(op.name.startswith(_MOVING) for op in program.graph.operators):
        return _lite_copying(interpreter, program)
    # The public `invoke` refuses to run while someone holds a view of the tensors, because a
    # resize could free them. Nothing is resized here, so the call behind it is safe.
    inner = interpreter._interpreter
    inputs = [interpreter.tensor(tensor.index)() for tensor in program.inputs]
    for array in inputs:
        array[...] = 0
    inner.Invoke()  # the first call may still prepare memory: the views are taken after it
    return Interpreter(
        inputs=tuple(interpreter.tensor(tensor.index)() for tensor in program.inputs),
        outputs=tuple(interpreter.tensor(tensor.index)() for tensor in program.outputs),
        invoke=inner.Invoke,
    )


# Ops whose results have sizes known only at run time: the tensors behind them may move.
_MOVING: Final = ("WHILE", "IF", "CALL_ONCE", "CUSTOM")


def _lite_copying(interpreter: Any, program: Program) -> Interpreter:
    return _copying(
        program,
        [tensor.index for tensor in program.inputs],
        [tensor.index for tensor in program.outputs],
        interpreter.set_tensor,
        interpreter.invoke,
        interpreter.get_tensor,
    )


def _micro(module: Any, program: Program) -> Interpreter:
    """TensorFlow Lite Micro's reference kernels; tensors are named by position, not by index."""
    # The arena is sized by the model, with a floor that holds the bookkeeping of a tiny one.
    arena = max(10 * len(program.data), 1 << 18)
    interpreter = module.Interpreter.from_bytes(program.data, arena_size=arena)
    return _copying(
        program,
        [program.graph.inputs.index(tensor.index) for tensor in program.inputs],
        [program.graph.outputs.index(tensor.index) for tensor in program.outputs],
        lambda position, array: interpreter.set_input(array, position),
        interpreter.invoke,
        interpreter.get_output,
    )


def _native(module: Any, program: Program) -> Interpreter:
    """Generated C, where a state has one place."""
    x, xs = module.joined(program.inputs[: program.frames])
    y, ys = module.joined(program.outputs[: program.predictions])
    kept = program.inputs[program.frames :]
    states = [np.empty(tensor.shape, tensor.numpy_dtype) for tensor in kept]
    runner = module.Runner(module.library(program.data, program.path), x, y, states)
    return Interpreter((*xs, *runner.states), (*ys, *runner.states), runner.step, runner.run)


def _copying(
    program: Program,
    inputs: list[int],
    outputs: list[int],
    set_tensor: Callable[[int, Array], object],
    invoke: Callable[[], object],
    get_tensor: Callable[[int], Array],
) -> Interpreter:
    """An interpreter that does not share its memory: arrays of our own, copied around a call."""
    sources = tuple(np.zeros(tensor.shape, tensor.numpy_dtype) for tensor in program.inputs)
    targets = tuple(np.zeros(tensor.shape, tensor.numpy_dtype) for tensor in program.outputs)

    def run() -> None:
        for index, array in zip(inputs, sources, strict=True):
            set_tensor(index, array)
        invoke()
        for index, array in zip(outputs, targets, strict=True):
            array[...] = get_tensor(index)

    return Interpreter(sources, targets, run)


BACKENDS: Final[dict[str, Backend]] = {
    "litert": Backend("ai_edge_litert.interpreter", "ai-edge-litert", _lite),
    "tflite-runtime": Backend("tflite_runtime.interpreter", "tflite-runtime", _lite),
    "tensorflow": Backend("tensorflow:lite", "tensorflow", _lite),
    "tflm": Backend("tflite_micro:runtime", "tflite-micro", _micro),
    "native": Backend("edgernn.native", "edgernn", _native),
}
"""In order of preference: `"auto"` takes the first interpreter that can be imported."""


def choose(backend: str = "auto", graph: Graph | None = None) -> str:
    """The name of the backend that `backend` stands for, for a graph or for any.

    Raises:
        MissingDependencyError: there is no such backend, or its package cannot be imported.
    """
    micro = graph is not None and _needs_micro(graph)
    if backend != "auto":
        _module(backend)
        return backend
    for name in BACKENDS:
        if name == "native":  # may have to build first, and so is never a surprise
            continue
        if micro and BACKENDS[name].create is _lite:
            continue
        try:
            _module(name)
        except MissingDependencyError:
            continue
        return name
    if micro:
        raise MissingDependencyError(
            f"only TensorFlow Lite Micro has an int16 {_FUSED}: run `pip install tflite-micro`, or "
            "take the backend 'native'"
        )
    raise MissingDependencyError(
        "no TFLite interpreter is installed: run `pip install ai-edge-litert` "
        "(on 32-bit Raspberry Pi OS: `pip install tflite-runtime`)"
    )


_FUSED: Final = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def _needs_micro(graph: Graph) -> bool:
    """Whether there is an operator that LiteRT and its older names have no kernel for."""
    fused = (op.inputs[0] for op in graph.operators if op.name == _FUSED and op.inputs)
    return any(graph.tensors[x].dtype == "int16" for x in fused)


def create(backend: str, program: Program) -> Interpreter:
    """Load `program` into the named backend (not `"auto"`).

    Raises:
        MissingDependencyError: the backend is unknown or not installed.
        ModelFileError: the interpreter refuses the model; the message holds its reason.
    """
    module = _module(backend)
    try:
        interpreter = BACKENDS[backend].create(module, program)
    except EdgernnError:
        raise
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{backend} cannot run this model: {reason}") from error
    for tensor, array in zip(program.outputs, interpreter.outputs, strict=True):
        if array.shape != tensor.shape:
            raise ModelFileError(
                f"tensor '{tensor.name}' is {tensor.shape} in the file and {array.shape} in fact"
            )
    return interpreter


def _module(name: str) -> Any:
    if name not in BACKENDS:
        known = ", ".join(["auto", *BACKENDS])
        raise MissingDependencyError(f"there is no backend '{name}': choose one of {known}")
    path, _, attribute = BACKENDS[name].module.partition(":")
    try:
        module = importlib.import_module(path)
        return getattr(module, attribute) if attribute else module
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"backend '{name}' is not available ({' '.join(str(error).split())[:120]}): "
            f"run `pip install {BACKENDS[name].package}`"
        ) from None
