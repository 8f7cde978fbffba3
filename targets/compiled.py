"""What was compiled: the C files, the ports of the step function, its steps and memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgernn import metadata as md
from edgernn.errors import InputError
from targets.cores import Core
from targets.ir import Array

_COUNTER = 4
"""Bytes of the count of steps, a `uint32_t`."""


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
    held: tuple[Port, ...] = ()
    saved: int | None = None

    @property
    def saved_bytes(self) -> int:
        """Bytes of state in a saved blob: all of it, or as many as `saved` says."""
        return self.state_bytes if self.saved is None else self.saved

    @property
    def state_bytes(self) -> int:
        """Bytes of one stream's state, the count of its first steps and `held` among them."""
        ports = (*self.states, *self.held)
        return sum(port.bytes for port in ports) + counter_bytes(self.metadata)

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


def counter_bytes(metadata: md.Metadata) -> int:
    """Bytes of the count of steps behind the states, where there is one."""
    return 4 if metadata.counted_steps else 0


def state_offsets(states: Sequence[Port]) -> list[int]:
    """Where each array of the state struct starts, by the rules of C."""
    offsets, position = [], 0
    for port in states:
        size = np.dtype(port.dtype).itemsize
        position = -(-position // size) * size
        offsets.append(position)
        position += port.bytes
    return offsets


def state_struct_bytes(compiled: Compiled) -> int:
    """Size of the state struct: its arrays, the count of steps if there is one, and padding."""
    ports, widest = (*compiled.states, *compiled.held), 1
    end = state_offsets(ports)[-1] + ports[-1].bytes if ports else 1
    if ports:
        widest = max(np.dtype(port.dtype).itemsize for port in ports)
    if compiled.metadata.counted_steps:
        widest = max(widest, _COUNTER)
        end = -(-end // _COUNTER) * _COUNTER + _COUNTER
    return -(-end // widest) * widest
