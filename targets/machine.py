"""A few C files on an emulated Cortex-M or on this machine, and calls of their functions."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgernnError, InputError, MissingDependencyError
from targets import elf, toolchain
from targets.cores import Core
from targets.cores import core as core_of

Array = npt.NDArray[Any]
Argument = int | np.int64 | Array | None
"""An int is a word, an `np.int64` two of them, an array is copied in and, after the call, back."""

FLASH: Final = 0x0001_0000
RAM: Final = 0x2000_0000
STACK: Final = 0x2010_0000
STACK_BYTES: Final = 0x4000
PAGE: Final = 0x1000
_EXIT: Final = 0x3000_0000
_HEAP: Final = 0x4000_0000

_SCRIPT: Final = f"""
ENTRY(edgernn_entry)
SECTIONS {{
  . = {FLASH:#x};
  .text : {{ *(.text*) }}
  .rodata : {{ *(.rodata*) }}
  .ARM.exidx : {{ *(.ARM.exidx*) }}
  /DISCARD/ : {{ *(.ARM.attributes) *(.comment) }}
}}
"""


class GuardError(EdgernnError):
    """Generated code touched memory that is not its own: a fault of the compiler."""


class HostMachine:
    """The functions as a shared library, called through ctypes."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def call(self, function: str, *arguments: Argument) -> int:
        """Call a function that returns an int32 or nothing."""
        entry = getattr(self._library, function)
        entry.restype = ctypes.c_int32
        return int(entry(*(_as_ctypes(a) for a in arguments)))


class EmulatedMachine:
    """The functions on an emulated core; `instructions` counts those of the last call.

    Arrays are placed with unmapped memory between them: an access beyond one's end is an error.
    """

    def __init__(self, image: elf.Image, emulator: str) -> None:
        self.image = image
        self.instructions = 0
        self._unicorn = unicorn()
        self._machine = start(image, emulator)
        self._places: dict[tuple[int, int], int] = {}
        self._next = _HEAP

    def call(self, function: str, *arguments: Argument) -> int:
        """Call a function that returns an int32 or nothing."""
        machine = self._machine
        values: list[int | np.int64] = []
        for position, argument in enumerate(arguments):
            if isinstance(argument, np.ndarray):
                address = self._place(position, argument.nbytes)
                machine.mem_write(address, argument.tobytes())
                values.append(address)
            else:
                values.append(0 if argument is None else argument)
        result = invoke(machine, self.image, function, values)
        for position, argument in enumerate(arguments):
            if isinstance(argument, np.ndarray) and argument.flags.writeable:
                raw = machine.mem_read(self._place(position, argument.nbytes), argument.nbytes)
                argument[...] = np.frombuffer(raw, argument.dtype).reshape(argument.shape)
        return result

    def count(self, function: str, *arguments: Argument) -> int:
        """Call a function; the number of instructions it executed."""
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        self._machine.ctl_flush_tb()
        hook = self._machine.hook_add(self._unicorn.UC_HOOK_CODE, count)
        try:
            self.call(function, *arguments)
        finally:
            self._machine.hook_del(hook)
            self._machine.ctl_flush_tb()
        self.instructions = counted
        return counted

    def _place(self, position: int, size: int) -> int:
        """Where the array of an argument lies: at the end of its pages."""
        pages = round_up(max(size, 1))
        if (position, size) not in self._places:
            self._machine.mem_map(self._next, pages)
            self._places[position, size] = self._next + pages - _align(size)
            self._next += pages + PAGE
        return self._places[position, size]


Machine = HostMachine | EmulatedMachine


def machine(
    files: Mapping[str, str], core: str, keep: Sequence[str], cc: str | None = None
) -> Machine:
    """Compile these C files for a core (`"host"` is this machine), with their functions `keep`.

    Raises:
        InputError: they do not compile, or the core cannot be emulated.
        MissingDependencyError: the compiler or unicorn is not installed.
    """
    described = core_of(core)
    sources = [name for name in files if name.endswith(".c")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in files.items():
            (folder / name).write_text(text)
        if described.hosted:
            library = folder / "library.so"
            return HostMachine(toolchain.build_shared(folder, sources, described, library, cc))
        if not described.emulator:
            raise InputError(f"{core} cannot be emulated: choose a Cortex-M core")
        return EmulatedMachine(link_at(folder, sources, described, keep, cc), described.emulator)


def link_at(
    folder: Path,
    sources: Sequence[str],
    core: Core,
    keep: Sequence[str],
    cc: str | None = None,
    optimize: str | None = None,
) -> elf.Image:
    """Compile a folder's files and link them at fixed addresses, with nothing else."""
    script, output = folder / "link.ld", folder / "image.elf"
    script.write_text(_SCRIPT)
    objects = toolchain.build_objects(folder, sources, core, cc, optimize)
    toolchain.link(objects, script, core, output, cc, keep)
    return elf.load(output.read_bytes())


def start(image: elf.Image, emulator: str) -> Any:
    """A unicorn core with the image in its flash, and a stack."""
    uc = unicorn()
    arm = uc.arm_const
    machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
    models = {
        "cortex-m0": arm.UC_CPU_ARM_CORTEX_M0,
        "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
        "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
        "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
        "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
    }
    machine.ctl_set_cpu_model(models[emulator])
    end = max(address + size for address, _, size in image.segments)
    machine.mem_map(FLASH, round_up(end - FLASH), uc.UC_PROT_READ | uc.UC_PROT_EXEC)
    for address, content, _ in image.segments:
        machine.mem_write(address, content)
    machine.mem_map(STACK, STACK_BYTES, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
    machine.mem_map(_EXIT, PAGE)
    return machine


STACK_TOP: Final = STACK + STACK_BYTES - 128
"""Where the stack of a call begins; its further arguments lie above."""


def invoke(
    machine: Any, image: elf.Image, function: str, arguments: Sequence[int | np.int64]
) -> int:
    """Call a function by the procedure call standard (AAPCS32); returns its int32 result.

    Raises:
        GuardError: it stopped at a fault.
    """
    uc = unicorn()
    arm = uc.arm_const
    words: list[int] = []
    for argument in arguments:
        if isinstance(argument, np.int64):
            words += [0] * (len(words) % 2)
            words += [int(argument) & 0xFFFF_FFFF, int(argument) >> 32 & 0xFFFF_FFFF]
        else:
            words.append(int(argument) & 0xFFFF_FFFF)
    registers = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3]
    for register, value in zip(registers, words, strict=False):
        machine.reg_write(register, value)
    machine.mem_write(STACK_TOP, b"".join(w.to_bytes(4, "little") for w in words[4:]))
    machine.reg_write(arm.UC_ARM_REG_SP, STACK_TOP)
    machine.reg_write(arm.UC_ARM_REG_LR, _EXIT | 1)
    try:
        machine.emu_start(image.symbols[function].address | 1, _EXIT)
    except uc.UcError as error:
        pc = machine.reg_read(arm.UC_ARM_REG_PC)
        raise GuardError(f"the emulated {function} stopped at {pc:#x}: {error}") from None
    result = int(machine.reg_read(arm.UC_ARM_REG_R0))
    return result - (1 << 32) if result >> 31 else result


def round_up(size: int) -> int:
    """To whole pages."""
    return -(-size // PAGE) * PAGE


def unicorn() -> Any:
    """The emulator's module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import unicorn
        import unicorn.arm_const
    except ImportError:
        raise MissingDependencyError(
            "emulation needs unicorn: run `pip install 'edgernn[mcu]'`"
        ) from None
    return unicorn


def _align(size: int) -> int:
    return -(-size // 8) * 8


def _as_ctypes(argument: Argument) -> Any:
    if argument is None:
        return None
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise InputError("an array for C must be contiguous")
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, np.int64):
        return ctypes.c_int64(int(argument))
    return ctypes.c_int32(argument)
