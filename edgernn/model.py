"""A step model: the bytes of a `.tflite`, what they mean, and streams of it."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgernn import metadata as md
from edgernn import tflite
from edgernn.errors import ModelFileError
from edgernn.files import read_file, write_atomically
from edgernn.step import State, find_step, frame_shape

if TYPE_CHECKING:
    from edgernn.engine import Engine
    from edgernn.stream import Stream


class Model:
    """A loaded step model. Immutable but for `report`; share it between threads freely.

    `x` and `y` are the frame's and the prediction's tensors, `states` the carried ones in the
    signature's order, `hash` the SHA-256 of the file in hex, `path` where it was loaded from.
    `report` is what the converter
    found, for a model that was just converted; it is not part of the file.
    """

    def __init__(self, data: bytes, path: Path | None = None) -> None:
        """Read the bytes of a `.tflite` file, whose `path` only says where its library may be.

        Raises:
            ModelFileError: they are damaged, or no step model.
        """
        self.data, self.path = data, path
        self.graph = tflite.read(data)
        document = self.graph.metadata.get(md.KEY)
        self.metadata = md.Metadata() if document is None else md.from_json(document)
        step = find_step(self.graph, self.metadata)
        self.x, self.y = step.x, step.y
        self.states: tuple[State, ...] = step.states
        self.hash = hashlib.sha256(data).hexdigest()
        self.report: dict[str, Any] | None = None
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame, without batch and time."""
        return frame_shape(self.x, self.metadata.frames_per_step)

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
        from edgernn.stream import Stream

        return Stream(self, self._engine(backend))

    def _engine(self, backend: str) -> Engine:
        from edgernn.engine import Engine
        from edgernn.interpreters import choose

        name = choose(backend)
        with self._lock:
            if name not in self._engines:
                self._engines[name] = Engine(self, name)
            return self._engines[name]

    def __repr__(self) -> str:
        states = ", ".join(f"{s.name}{list(s.input.shape)}" for s in self.states) or "none"
        return (
            f"<Model {self.hash[:8]}: {self.x.dtype} frame {list(self.frame_shape)}, "
            f"{self.y.dtype} prediction {list(self.y.shape[1:])}, states: {states}>"
        )


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
