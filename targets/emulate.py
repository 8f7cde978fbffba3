"""Generated C on an emulated Cortex-M: exact instruction counts, stack use, guarded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgernnError, InputError, MissingDependencyError, StateError
from targets import elf, toolchain
from targets.compile import Compiled, Port
from targets.native import RESTORE_ERRORS, checked_inputs, state_offsets
from targets.stack import worst_stack
from targets.toolchain import build_objects
from targets.tracing import Profile, attribute

Array = npt.NDArray[np.generic]

_FLASH, _RAM, _STACK, _EXIT = 0x0001_0000, 0x2000_0000, 0x2010_0000, 0x3000_0000
_STACK_SIZE = 0x4000
_PAGE = 0x1000
_PAINT = 0xA5

_SCRIPT = f"""
ENTRY(edgernn_entry)
SECTIONS {{
  . = {_FLASH:#x};
  .text : {{ *(.text*) }}
  .rodata : {{ *(.rodata*) }}
  .ARM.exidx : {{ *(.ARM.exidx*) }}
  /DISCARD/ : {{ *(.ARM.attributes) *(.comment) }}
}}
"""


@dataclass(frozen=True)
class Sizes:
    """Bytes in flash by use, as linked."""

    code: int
    constants: int


class GuardError(EdgernnError):
    """Generated code touched memory that is not its own: a fault of the compiler."""


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
        self._unicorn = _unicorn()
        self._machine = self._start(name)
        self._layout()
        self.reset()

    def _start(self, name: str) -> Any:
        uc = self._unicorn
        arm = uc.arm_const
        machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        models = {
            "cortex-m0": arm.UC_CPU_ARM_CORTEX_M0,
            "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
            "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
        }
        machine.ctl_set_cpu_model(models[name])
        end = max(address + size for address, _, size in self.image.segments)
        machine.mem_map(_FLASH, _round(end - _FLASH), uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        for address, content, _ in self.image.segments:
            machine.mem_write(address, content)
        machine.mem_map(_STACK, _STACK_SIZE, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        machine.mem_map(_EXIT, _PAGE)
        return machine

    def _layout(self) -> None:
        """Place state, scratch, inputs and outputs with unmapped gaps between them."""
        compiled = self.compiled
        sizes = [
            ("state", max(_struct(compiled.states), 1)),
            ("scratch", max(compiled.scratch_bytes, 1)),
            *((p.name, p.bytes) for p in (*compiled.inputs, *compiled.outputs)),
        ]
        self.regions: dict[str, tuple[int, int]] = {}
        address = _RAM
        for name, size in sizes:
            self._machine.mem_map(address, _round(size))
            self.regions[name] = (address, size)
            address += _round(size) + _PAGE
        self._machine.mem_map(address, _round(36 + compiled.state_bytes))
        self._blob = address

    def _call(self, name: str, arguments: Sequence[int]) -> int:
        """Call a C function by the procedure call standard; returns its result."""
        arm, machine = self._unicorn.arm_const, self._machine
        top = _STACK + _STACK_SIZE - 64
        registers = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3]
        for register, value in zip(registers, arguments, strict=False):
            machine.reg_write(register, value)
        for i, value in enumerate(arguments[4:]):
            machine.mem_write(top + 4 * i, int(value).to_bytes(4, "little"))
        machine.reg_write(arm.UC_ARM_REG_SP, top)
        machine.reg_write(arm.UC_ARM_REG_LR, _EXIT | 1)
        start = self.image.symbols[f"{self.compiled.name}_{name}"].address
        try:
            machine.emu_start(start | 1, _EXIT)
        except self._unicorn.UcError as error:
            pc = machine.reg_read(arm.UC_ARM_REG_PC)
            raise GuardError(f"the emulated {name} stopped at {pc:#x}: {error}") from None
        return int(machine.reg_read(arm.UC_ARM_REG_R0))

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
        return bytes(self._machine.mem_read(self._blob, 36 + self.compiled.state_bytes))

    def restore(self, saved: bytes) -> None:
        """Take a saved state back.

        Raises:
            StateError: the blob is damaged or of another model; the state stays as it was.
        """
        if len(saved) > 36 + self.compiled.state_bytes:
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
        stack = (_STACK, _STACK + _STACK_SIZE)
        inputs_names = {p.name for p in self.compiled.inputs}
        spans = {k: (a, a + n) for k, (a, n) in self.regions.items()}
        readable = [(_FLASH, end), stack, *spans.values()]
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
        top = _STACK + _STACK_SIZE - 64
        self._machine.mem_write(_STACK, bytes([_PAINT]) * (top - _STACK))
        self._call("step", [address for address, _ in self.regions.values()])
        raw = bytes(self._machine.mem_read(_STACK, top - _STACK))
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
        script, output = folder / "link.ld", folder / "image.elf"
        script.write_text(_SCRIPT)
        keep = [f"{compiled.name}_{verb}" for verb in ("reset", "step", "save", "restore")]
        objects = build_objects(folder, compiled.sources, compiled.core, cc, optimize)
        toolchain.link(objects, script, compiled.core, output, cc, keep)
        return elf.load(output.read_bytes())


def _struct(ports: Sequence[Port]) -> int:
    if not ports:
        return 1
    end = state_offsets(ports)[-1] + ports[-1].bytes
    widest = max(np.dtype(p.dtype).itemsize for p in ports)
    return -(-end // widest) * widest


def _round(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _unicorn() -> Any:
    try:
        import unicorn
        import unicorn.arm_const
    except ImportError:
        raise MissingDependencyError(
            "emulation needs unicorn: run `pip install 'edgernn[mcu]'`"
        ) from None
    return unicorn
