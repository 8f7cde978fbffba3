"""A step model: the bytes of a `.tflite`, what they mean, and streams of it."""

from __future__ import annotations

import hashlib
import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgernn import metadata as md
from edgernn import tflite
from edgernn.errors import ModelFileError
from edgernn.files import read_file, write_atomically
from edgernn.foreign import step_file
from edgernn.ports import ports
from edgernn.step import State, find_step
from edgernn.tflite import Tensor

if TYPE_CHECKING:
    from edgernn.engine import Engine
    from edgernn.pipeline import Pipeline, Watcher
    from edgernn.stream import Stream


class Model:
    """A loaded step model. Immutable but for `report`; share it between threads freely.

    `inputs` and `outputs` are the tensors of the frame and the prediction by name, `x` and `y` the
    only (or first) ones of them, `states` the carried ones in the signature's order, `hash` the
    SHA-256 of the file in hex, `path` where it was loaded from. `frames` and `predictions` say how
    a block of either looks. `report` is what the converter found, for a model that was just
    converted; it is not part of the file.
    """

    def __init__(self, data: bytes, path: Path | None = None, alone: bool = False) -> None:
        """Read the bytes of a `.tflite` file, whose `path` only says where its library may be.

        With `alone`, the model is the first pass of the file, whatever else it holds.

        Raises:
            ModelFileError: they are damaged, or no step model.
        """
        data = step_file(data)
        self.data, self.path = data, path
        self.graph = tflite.read(data)
        document = self.graph.metadata.get(md.KEY)
        self.metadata = md.Metadata() if document is None else md.from_json(document)
        own = self.metadata.first_pass()
        if alone:
            self.metadata, self.data = own, _first_pass(data)
        step = find_step(self.graph, own)
        self.inputs, self.outputs = step.inputs, step.outputs
        self.frames = ports(step.inputs, self.metadata.frames_per_step)
        self.predictions = ports(step.outputs, self.metadata.outputs_per_step)
        self.states: tuple[State, ...] = step.states
        self.hash = hashlib.sha256(self.data).hexdigest()
        self.passes: tuple[Model, ...] = ()
        if self.metadata.passes is not None:
            self.passes = _read_passes(self)
            self.outputs = self.passes[-1].outputs
            self.predictions = self.passes[-1].predictions
        self.report: dict[str, Any] | None = None
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    @property
    def x(self) -> Tensor:
        """The first input's tensor."""
        return next(iter(self.inputs.values()))

    @property
    def y(self) -> Tensor:
        """The first output's tensor."""
        return next(iter(self.outputs.values()))

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame, without batch and time; of several inputs, `()`."""
        return self.frames.shape

    @property
    def prediction_shape(self) -> tuple[int, ...]:
        """Shape of one prediction, without batch and time; of several outputs, `()`."""
        return self.predictions.shape

    @property
    def gives_blocks(self) -> bool:
        """Whether one frame brings any number of predictions, and not always one."""
        document = self.metadata
        if self.passes:
            return True
        return (document.frames_per_step, document.outputs_per_step, document.warmup) != (1, 1, 0)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs, or nothing."""
        return self.metadata.labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the `.tflite` file: whole or, if that fails, not at all."""
        write_atomically(Path(path), self.data)

    def stream(self, backend: str = "auto") -> Stream:
        """A new stream at its initial state; streams share the weights and nothing else.

        `backend` is an interpreter, `"auto"` for the best one installed, or `"native"` for the
        model's own machine code, which `edgernn/native.py` finds or builds.

        Raises:
            MissingDependencyError: the backend is unknown or not installed.
            ModelFileError: the interpreter refuses the model.
        """
        from edgernn.passes import PassStream
        from edgernn.stream import Stream

        return (PassStream if self.passes else Stream)(self, self._engine(backend))

    def pipeline(self, backend: str = "auto", watch: Watcher | None = None) -> Pipeline:
        """The chain from samples to events that the metadata describes; see edgernn/pipeline.py.

        `watch` is called with the predictions of every push.

        Raises:
            InputError: the model has no front end, or its parts do not fit each other.
        """
        from edgernn.pipeline import Pipeline

        return Pipeline(self, backend, watch)

    def _engine(self, backend: str) -> Engine:
        from edgernn.engine import Engine
        from edgernn.interpreters import choose

        name = choose(backend, self.graph)
        with self._lock:
            if name not in self._engines:
                self._engines[name] = Engine(self, name)
            return self._engines[name]

    def __repr__(self) -> str:
        states = ", ".join(f"{s.name}{list(s.input.shape)}" for s in self.states) or "none"
        inputs = ", ".join(f"{t.dtype} {k}{list(t.shape[1:])}" for k, t in self.inputs.items())
        outputs = ", ".join(f"{t.dtype} {k}{list(t.shape[1:])}" for k, t in self.outputs.items())
        return f"<Model {self.hash[:8]}: {inputs} -> {outputs}, states: {states}>"


def _first_pass(data: bytes) -> bytes:
    """The file with its document under another name: whoever compiles it sees a single step."""
    name = len(md.KEY).to_bytes(4, "little") + md.KEY.encode() + b"\0"
    return data.replace(name, name.lower())


def _read_passes(model: Model) -> tuple[Model, ...]:
    """The passes of a model, which hand their outputs on as they are."""
    assert model.metadata.passes is not None
    rows = model.metadata.passes.rows
    passes = [Model(model.data, model.path, alone=True)]
    for level in range(1, len(rows)):
        data = model.graph.metadata.get(md.pass_key(level))
        if data is None:
            raise ModelFileError(f"the file lacks pass {level} of {len(rows)}")
        passes.append(Model(data, model.path))
    for level, (before, after) in enumerate(pairwise(passes)):
        y, x = before.y, after.x
        same = np.allclose(y.scale, x.scale, rtol=1e-5, atol=0) if y.scale else not x.scale
        alike = (y.dtype, y.zero_point, y.shape[-1]) == (x.dtype, x.zero_point, x.shape[-1])
        if not (same and alike and rows[level] <= y.shape[-1]):
            raise ModelFileError(f"pass {level + 1} cannot take what pass {level} gives")
    document = model.metadata
    if document.mask is not None:
        if not document.passes or not document.passes.window:
            raise ModelFileError("the metadata has a mask for passes that look ahead")
        if len(document.masked_output) != passes[-1].y.elements:
            raise ModelFileError("the metadata's masked output is not one prediction")
    return tuple(passes)


def load(path: str | os.PathLike[str] | bytes) -> Model:
    """Load a `.tflite` step model from a file or from its bytes.

    Raises:
        ModelFileError: the file cannot be read, is damaged, or is no step model.
    """
    if isinstance(path, bytes):
        return Model(path)
    data = read_file(path)
    try:
        return Model(data, Path(path))
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from None
