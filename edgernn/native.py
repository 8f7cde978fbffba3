"""Step models as shared libraries: generated C that runs on this machine, behind one call.

A library is found, in this order,
- in `EDGERNN_LIBRARY`, an environment variable that names a library or a folder of them;
- beside the model file, under any name that ends in `.so`;
- in the user's cache, where it is built on first use if the compiler is installed.

`edgernn compile FILE --target host|raspberry-pi-64|raspberry-pi-32` makes one for a machine that
has no compiler. A library holds a line of text with its model's hash, which is read before any of
its code is loaded: no library ever runs for another model.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib
import importlib.util
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, MissingDependencyError, ModelFileError
from edgernn.tflite import Tensor

Array = npt.NDArray[Any]

VARIABLE: Final = "EDGERNN_LIBRARY"
INTERFACE: Final = 1
"""Version of what a library exports: `edgernn_library`, `edgernn_sizes` and `edgernn_run`."""

_LINE: Final = re.compile(rb"edgernn library (\d+) for ([\w-]+), model ([0-9a-f]{64})")
_REMEDY: Final = "run `edgernn compile FILE --target TARGET` with the file of this model"
_ALIGNMENT: Final = 64


class Call(ctypes.Structure):
    """The only argument of `edgernn_run`: where everything is, and how many steps to make."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("state", "scratch", "x", "y")),
        ("count", ctypes.c_size_t),
    ]


class Library:
    """One loaded library, for any number of threads; `Runner` is what a thread needs."""

    def __init__(self, path: Path) -> None:
        """Load it; `OSError` if it is for another kind of machine."""
        # Two handles of one library: a single step is shorter than releasing Python's lock and
        # taking it again; a block releases it.
        self.step = ctypes.PyDLL(str(path)).edgernn_run
        library = ctypes.CDLL(str(path))
        self.run = library.edgernn_run
        self.step.restype = self.run.restype = None
        self.state_bytes, self.scratch_bytes = (ctypes.c_uint32 * 2).in_dll(
            library, "edgernn_sizes"
        )


class Runner:
    """A library with memory of its own: arrays to write and read, `step` and `run`."""

    def __init__(self, library: Library, x: Array, y: Array, states: Sequence[Array]) -> None:
        """`x` and `y` are memory of one frame and prediction, `states` arrays like the states."""
        memory = aligned(library.state_bytes)
        # A count of steps behind the states stands at its end: the stream does what it is for.
        memory[sum(array.nbytes for array in states) :] = 0xFF
        self.x, self.y = x, y
        self.states = tuple(
            memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            for array, start in zip(states, offsets(states), strict=True)
        )
        self._memory = memory, aligned(library.scratch_bytes)
        state, scratch = (array.ctypes.data for array in self._memory)
        self._once = Call(state, scratch, x.ctypes.data, y.ctypes.data, 1)
        self._call = Call(state, scratch)
        self._run = library.run
        self.step = functools.partial(library.step, ctypes.byref(self._once))

    def run(self, frames: Array, predictions: Array) -> None:
        """As many steps as there are frames; both arrays are contiguous."""
        self._call.x, self._call.y = frames.ctypes.data, predictions.ctypes.data
        self._call.count = len(frames)
        self._run(ctypes.byref(self._call))


def joined(tensors: Sequence[Tensor]) -> tuple[Array, list[Array]]:
    """Memory for a step's tensors, as a C struct if there are several, and a view of each."""
    if len(tensors) == 1:
        (tensor,) = tensors
        size = tensor.elements * tensor.numpy_dtype.itemsize
        memory = aligned(size).view(tensor.numpy_dtype).reshape(tensor.shape)
        return memory, [memory]
    fields = [(f"f{i}", t.numpy_dtype, t.shape) for i, t in enumerate(tensors)]
    dtype = np.dtype(fields, align=True)
    struct = aligned(dtype.itemsize).view(dtype)
    return struct, [struct[name][0] for name in dtype.names or ()]


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Zeros at an address that any vector unit likes."""
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]


def offsets(arrays: Iterable[Array]) -> list[int]:
    """Where the arrays of a C struct start."""
    result, position = [], 0
    for array in arrays:
        position = -(-position // array.itemsize) * array.itemsize
        result.append(position)
        position += array.nbytes
    return result


def library(data: bytes, path: Path | None) -> Library:
    """The library of a model of these bytes, which may have come from the file `path`.

    Raises:
        ModelFileError: the library that was named is none, or of another model or machine.
        MissingDependencyError: there is none, and nothing to build it with.
    """
    digest = hashlib.sha256(data).hexdigest()
    named = os.environ.get(VARIABLE)
    if named:
        return _named(Path(named), digest)
    beside = _beside(path)
    for candidate, model in beside.items():
        if model == digest:
            with contextlib.suppress(OSError):  # of another machine: a folder may serve several
                return Library(candidate)
    try:
        return Library(_cached(data, digest))
    except MissingDependencyError as error:
        others = [p.name for p, model in beside.items() if model not in ("", digest)]
        hint = f" ({others[0]} is of another model: {_REMEDY})" if others else ""
        message = f"there is no library of this model{hint}, and {error}"
        raise MissingDependencyError(message) from None


def is_beside(data: bytes, path: Path) -> bool:
    """Whether a library of a model of these bytes lies beside its file, for whatever machine."""
    return hashlib.sha256(data).hexdigest() in _beside(path).values()


def _beside(path: Path | None) -> dict[Path, str]:
    """The libraries beside a model file, with the model of each."""
    return {} if path is None else {p: _model(p) for p in sorted(path.parent.glob("*.so"))}


def _named(named: Path, digest: str) -> Library:
    candidates = sorted(named.glob("*.so")) if named.is_dir() else [named]
    matching = [path for path in candidates if _model(path) == digest]
    if not matching:
        what = "holds no library" if named.is_dir() else "is not the library"
        raise ModelFileError(f"{named} ({VARIABLE}) {what} of this model: {_REMEDY}")
    try:
        return Library(matching[0])
    except OSError as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelFileError(f"{matching[0]} cannot be loaded here: {reason}") from None


def _model(path: Path) -> str:
    """The hash of the model that a library was made from; empty if it is no such library."""
    try:
        found = _LINE.search(path.read_bytes())
    except OSError:
        return ""
    return found[3].decode() if found and int(found[1]) == INTERFACE else ""


def _cached(data: bytes, digest: str) -> Path:
    """The library in the user's cache, built if need be."""
    spec = importlib.util.find_spec("targets")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError('no compiler to build it: run `pip install "edgernn[mcu]"`')
    compiler = _fingerprint(Path(spec.submodule_search_locations[0]))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgernn"
    path = cache / f"{digest[:32]}-{compiler}-host.so"
    if not path.exists():
        try:
            importlib.import_module("targets.native").build_host(data, path)
        except OSError as error:
            raise InputError(
                f"cannot write to {cache}: {error.strerror}; XDG_CACHE_HOME may name another folder"
            ) from None
    return path


def _fingerprint(compiler: Path) -> str:
    """What the machine code depends on besides the model: the compiler and the processor."""
    digest = hashlib.sha256(processor())
    for path in sorted(compiler.rglob("*")):
        if path.suffix in (".py", ".c", ".h", ".j2", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def processor() -> bytes:
    """What this processor can do, since a home folder may serve machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return b""
    return b"".join(sorted({line for line in lines if line.startswith((b"flags", b"Features"))}))
