"""Generated C on this machine: a shared library behind ctypes."""

from __future__ import annotations

import ctypes
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, StateError
from edgernn.files import write_atomically
from edgernn.model import Model
from edgernn.native import INTERFACE
from targets import emit
from targets.compile import compile_model
from targets.compiled import Compiled, Port, state_offsets, state_struct_bytes
from targets.cores import cores
from targets.ir import C_TYPES
from targets.toolchain import build_shared

Array = npt.NDArray[np.generic]

RESTORE_ERRORS = {
    1: "the saved state is damaged",
    2: "the saved state has another format",
    3: "the saved state belongs to another model: reset the stream instead",
}


class NativeStep:
    """One stream of a compiled model: `step`, `reset`, `save`, `restore` on raw integers."""

    def __init__(self, compiled: Compiled, library: Path) -> None:
        self.compiled = compiled
        self._library = ctypes.CDLL(str(library))
        self._state = np.zeros(state_struct_bytes(compiled), np.uint8)
        self._scratch = np.zeros(compiled.scratch_bytes + 64, np.uint8)
        self._outputs = [np.empty(p.shape, p.dtype) for p in compiled.outputs]
        name = compiled.name
        self._step = self._function(f"{name}_step")
        self._fixed = (_pointer(self._state), _pointer(self._scratch))
        self._out = tuple(_pointer(y) for y in self._outputs)
        self.reset()

    def _function(self, name: str) -> Any:
        function = getattr(self._library, name)
        function.restype = ctypes.c_int if name.endswith("_restore") else None
        return function

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values; returns copies of the outputs."""
        arrays = checked_inputs(self.compiled.inputs, inputs)
        self._step(*self._fixed, *(_pointer(a) for a in arrays), *self._out)
        return tuple(y.copy() for y in self._outputs)

    def reset(self) -> None:
        """Back to the first state."""
        self._function(f"{self.compiled.name}_reset")(self._fixed[0])

    def states(self) -> tuple[Array, ...]:
        """Copies of the raw states, in the signature's order."""
        raw, result = self._state.tobytes(), []
        for port, start in zip(
            self.compiled.states, state_offsets(self.compiled.states), strict=True
        ):
            flat = np.frombuffer(raw, port.dtype, port.elements, start)
            result.append(flat.reshape(port.shape))
        return tuple(result)

    def save(self) -> bytes:
        """The state as a blob, the same as the Python runtime's."""
        blob = np.zeros(36 + self.compiled.saved_bytes, np.uint8)
        self._function(f"{self.compiled.name}_save")(self._fixed[0], _pointer(blob))
        return blob.tobytes()

    def restore(self, blob: bytes) -> None:
        """Take a saved state back.

        Raises:
            StateError: the blob is damaged or of another model; the state stays as it was.
        """
        raw = np.frombuffer(bytes(blob) or b"\0", np.uint8)
        restore = self._function(f"{self.compiled.name}_restore")
        error = restore(self._fixed[0], _pointer(raw), ctypes.c_size_t(len(blob)))
        if error:
            raise StateError(RESTORE_ERRORS.get(error, f"restore failed with {error}"))


def separate(inputs: Sequence[npt.ArrayLike]) -> Sequence[npt.ArrayLike]:
    """The arrays of a step's inputs, which may come as the fields of one."""
    names = np.asarray(inputs[0]).dtype.names if len(inputs) == 1 else None
    return inputs if names is None else [np.asarray(inputs[0])[name] for name in names]


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def checked_inputs(ports: Sequence[Port], values: Sequence[npt.ArrayLike]) -> list[Array]:
    """The inputs as contiguous arrays of exactly the types and sizes of the ports."""
    values = separate(values)
    if len(values) != len(ports):
        raise InputError(f"the step takes {len(ports)} inputs, not {len(values)}")
    arrays = []
    for port, value in zip(ports, values, strict=True):
        array = np.ascontiguousarray(value)
        if array.dtype != np.dtype(port.dtype) or array.size != port.elements:
            raise InputError(
                f"input '{port.name}' is {port.dtype} of shape {port.shape}, "
                f"not {array.dtype} of shape {array.shape}"
            )
        arrays.append(array)
    return arrays


def load_native(
    model: str | Path | bytes,
    target: str = "host",
    folder: Path | None = None,
    cc: str | None = None,
) -> NativeStep:
    """Compile a model for this machine and load it; files go to `folder` if one is given."""
    compiled = compile_model(model, target, name="model", pipeline=False)
    if folder is not None:
        return _load(compiled, folder, cc)
    with tempfile.TemporaryDirectory() as temporary:
        return _load(compiled, Path(temporary), cc)


def _load(compiled: Compiled, folder: Path, cc: str | None) -> NativeStep:
    compiled.write(folder)
    library = folder / f"lib{compiled.name}.so"
    return NativeStep(compiled, build_shared(folder, compiled.sources, compiled.core, library, cc))


def build_library(
    compiled: Compiled, folder: str | os.PathLike[str], cc: str | None = None
) -> Path:
    """Write the C files, and `libNAME.so` beside them: what `model.stream("native")` loads.

    The library appears whole or not at all.

    Raises:
        InputError: the target has no libraries, or the step more than a frame and a prediction.
        MissingDependencyError: there is no compiler; the message says how to install it.
    """
    if not compiled.core.simd:
        known = ", ".join(name for name, core in cores().items() if core.simd)
        raise InputError(f"{compiled.core.name} has no shared libraries; these have: {known}")
    if compiled.metadata.passes is not None:
        raise InputError(
            "a model that looks back from the end (Bidirectional, go_backwards) has no library of "
            "its own, but one for each pass: build_pass_libraries"
        )
    target = compiled.write(folder)
    driver = f"{compiled.name}_library.c"
    source = emit.render(
        "library.c.j2",
        name=compiled.name,
        core=compiled.core,
        digest=compiled.model_hash,
        interface=INTERFACE,
        pad=" " * len(compiled.name),
        x=_struct(compiled.inputs),
        y=_struct(compiled.outputs),
    )
    write_atomically(target / driver, source.encode())
    library = target / f"lib{compiled.name}.so"
    unfinished = target / f".{library.name}.{secrets.token_hex(4)}"
    try:
        build_shared(target, (*compiled.sources, driver), compiled.core, unfinished, cc)
        os.replace(unfinished, library)
    finally:
        unfinished.unlink(missing_ok=True)
    return library


def build_pass_libraries(
    model: Model, target: str, folder: str | os.PathLike[str], name: str, cc: str | None = None
) -> list[Path]:
    """`libNAME_pass_K.so` for each pass K of a model that looks back from the end.

    Beside the model file they are what `model.stream("native")` loads.

    Raises:
        InputError, MissingDependencyError: see `build_library`.
    """
    libraries = []
    for level, part in enumerate(model.passes):
        compiled = compile_model(part.data, target, name=f"{name}_pass_{level}", pipeline=False)
        with tempfile.TemporaryDirectory() as aside:  # the C of a pass differs from the driver's
            built = build_library(compiled, aside, cc)
            library = Path(folder) / built.name
            write_atomically(library, built.read_bytes())
        libraries.append(library)
    return libraries


def _struct(ports: Sequence[Port]) -> dict[str, Any]:
    """Where the values of each port are in a frame, as `edgernn/ports.py` lays them out."""
    dtype = np.dtype([(p.name, p.dtype, (p.elements,)) for p in ports], align=True)
    fields: Any = dtype.fields
    places = [{"type": C_TYPES[p.dtype], "offset": fields[p.name][1]} for p in ports]
    return {"size": dtype.itemsize, "fields": places}


def build_host(data: bytes, library: Path) -> None:
    """Build the library of a model for this machine; any number of processes may do so at once."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=library.parent) as folder:
        os.replace(
            build_library(compile_model(data, "host", name="model", pipeline=False), folder),
            library,
        )
