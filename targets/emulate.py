"""Generated C on an emulated Cortex-M: exact instruction counts, stack use, guarded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, StateError
from targets import elf
from targets.compiled import Compiled, Port, state_offsets, state_struct_bytes
from targets.machine import (
    FLASH,
    PAGE,
    RAM,
    STACK,
    STACK_BYTES,
    STACK_TOP,
    GuardError,
    invoke,
    link_at,
    round_up,
    start,
    unicorn,
)
from targets.native import RESTORE_ERRORS, checked_inputs
from targets.stack import worst_stack
from targets.tracing import Profile, attribute

Array = npt.NDArray[np.generic]

_PAINT = 0xA5


@dataclass(frozen=True)
class Sizes:
    """Bytes in flash by use, as linked."""

    code: int
    constants: int


class Emulator:
    """One stream of a compiled model on an emulated core; the verbs of `NativeStep`."""

    def __init__(
        self,
        compiled: Compiled,
        cc: str | None = None,
        optimize: str | None = None,
        core: str | None = None,
    ) -> None:
        self.compiled = compiled
        name = core or compiled.core.emulator
        if not name:
            raise InputError(f"{compiled.core.name} cannot be emulated: choose a Cortex-M core")
        self.image = link(compiled, cc, optimize)
        self._unicorn = unicorn()
        self._machine = start(self.image, name)
        self._layout()
        self.reset()

    def _layout(self) -> None:
        """Place state, scratch, inputs and outputs with unmapped gaps between them."""
        compiled = self.compiled
        sizes = [
            ("state", state_struct_bytes(compiled)),
            ("scratch", max(compiled.scratch_bytes, 1)),
            *((p.name, p.bytes) for p in (*compiled.inputs, *compiled.outputs)),
        ]
        self.regions: dict[str, tuple[int, int]] = {}
        address = RAM
        for name, size in sizes:
            self._machine.mem_map(address, round_up(size))
            self.regions[name] = (address, size)
            address += round_up(size) + PAGE
        self._machine.mem_map(address, round_up(36 + compiled.saved_bytes))
        self._blob = address

    def _call(self, verb: str, arguments: Sequence[int]) -> int:
        """Call one of the model's functions; returns its result."""
        return invoke(self._machine, self.image, f"{self.compiled.name}_{verb}", arguments)

    def reset(self) -> None:
        """Back to the first state."""
        self._call("reset", [self.regions["state"][0]])

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values."""
        self._feed(inputs)
        self._call("step", [address for address, _ in self.regions.values()])
        return tuple(self._read(p) for p in self.compiled.outputs)

    def _feed(self, inputs: Sequence[npt.ArrayLike]) -> None:
        arrays = checked_inputs(self.compiled.inputs, inputs)
        for port, array in zip(self.compiled.inputs, arrays, strict=True):
            self._machine.mem_write(self.regions[port.name][0], array.tobytes())

    def _read(self, port: Port) -> Array:
        address, size = self.regions[port.name]
        raw = bytes(self._machine.mem_read(address, size))
        return np.frombuffer(raw, port.dtype).reshape(port.shape)

    def states(self) -> tuple[Array, ...]:
        """Copies of the raw states."""
        address, size = self.regions["state"]
        raw = bytes(self._machine.mem_read(address, size))
        states = self.compiled.states
        return tuple(
            np.frombuffer(raw, p.dtype, p.elements, start).reshape(p.shape)
            for p, start in zip(states, state_offsets(states), strict=True)
        )

    def save(self) -> bytes:
        """The state as a blob."""
        self._call("save", [self.regions["state"][0], self._blob])
        return bytes(self._machine.mem_read(self._blob, 36 + self.compiled.saved_bytes))

    def restore(self, saved: bytes) -> None:
        """Take a saved state back.

        Raises:
            StateError: the blob is damaged or of another model; the state stays as it was.
        """
        if len(saved) > 36 + self.compiled.saved_bytes:
            raise StateError(RESTORE_ERRORS[1])
        self._machine.mem_write(self._blob, bytes(saved))
        error = self._call("restore", [self.regions["state"][0], self._blob, len(saved)])
        if error:
            raise StateError(RESTORE_ERRORS.get(error, f"restore failed with {error}"))

    def trace(self, *inputs: npt.ArrayLike) -> list[int]:
        """Run one step; the address of every instruction it executed, in order."""
        self._feed(inputs)
        addresses: list[int] = []
        self._hooked(self._unicorn.UC_HOOK_CODE, lambda machine, at, *_: addresses.append(at))
        return addresses

    def profile(self, *inputs: npt.ArrayLike) -> Profile:
        """Run one step and count its instructions, exactly."""
        return attribute(self.trace(*inputs), self.image, self.compiled)

    def _hooked(self, kind: int, callback: Any) -> None:
        """One step with a hook; code translated without it must be translated again."""
        self._machine.ctl_flush_tb()
        hook = self._machine.hook_add(kind, callback)
        try:
            self._call("step", [address for address, _ in self.regions.values()])
        finally:
            self._machine.hook_del(hook)
            self._machine.ctl_flush_tb()

    def guarded_step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step in which every access outside the step's own memory is an error.

        Raises:
            GuardError: an access was outside; the message says where.
        """
        self._feed(inputs)
        uc = self._unicorn
        end = max(address + size for address, _, size in self.image.segments)
        stack = (STACK, STACK + STACK_BYTES)
        inputs_names = {p.name for p in self.compiled.inputs}
        spans = {k: (a, a + n) for k, (a, n) in self.regions.items()}
        readable = [(FLASH, end), stack, *spans.values()]
        writable = [stack, *(span for k, span in spans.items() if k not in inputs_names)]
        faults: list[str] = []

        def check(machine: Any, access: int, address: int, size: int, *_: Any) -> None:
            write = access == uc.UC_MEM_WRITE
            allowed = writable if write else readable
            if not any(low <= address and address + size <= high for low, high in allowed):
                pc = machine.reg_read(uc.arm_const.UC_ARM_REG_PC)
                kind = "write" if write else "read"
                faults.append(f"{kind} of {size} bytes at {address:#x} from {pc:#x}")

        self._hooked(uc.UC_HOOK_MEM_READ | uc.UC_HOOK_MEM_WRITE, check)
        if faults:
            raise GuardError(f"the step touched memory that is not its own: {faults[0]}")
        return tuple(self._read(p) for p in self.compiled.outputs)

    def stack(self, *inputs: npt.ArrayLike) -> int:
        """Bytes of stack that one step uses, measured."""
        self._feed(inputs)
        top = STACK_TOP
        self._machine.mem_write(STACK, bytes([_PAINT]) * (top - STACK))
        self._call("step", [address for address, _ in self.regions.values()])
        raw = bytes(self._machine.mem_read(STACK, top - STACK))
        return len(raw) - (len(raw) - len(raw.lstrip(bytes([_PAINT]))))

    @property
    def worst_stack(self) -> int:
        """Bytes of stack that no step can exceed, whatever its inputs, from the linked code."""
        return worst_stack(self.image, f"{self.compiled.name}_step")

    @property
    def sizes(self) -> Sizes:
        """Flash of the linked image."""
        constants = self.image.sections.get(".rodata", 0)
        return Sizes(self.image.sections.get(".text", 0), constants)


def link(compiled: Compiled, cc: str | None = None, optimize: str | None = None) -> elf.Image:
    """Compile and link a model for its core, at fixed addresses and with nothing else."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = compiled.write(temporary)
        keep = [f"{compiled.name}_{verb}" for verb in ("reset", "step", "save", "restore")]
        return link_at(folder, compiled.sources, compiled.core, keep, cc, optimize)
