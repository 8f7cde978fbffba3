"""An estimate of cycles from executed instructions, by class.

What Arm's manuals give for each class of instruction on Cortex-M0, M3 and M4, applied to the very
instructions that ran. Cortex-M33, M7 and M55 have no such published table: the M4's is used, so
that their dual issue is not modelled and the estimate is on the high side. No core's estimate
knows of flash wait states, caches, bus contention or interrupts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from targets.elf import Image


class Kind(Enum):
    """Classes of instructions that take their own time."""

    LOAD = "load"
    STORE = "store"
    MULTIPLE = "load or store of several registers"
    MULTIPLY_ADD = "multiply and add"
    LONG_MULTIPLY = "64-bit multiply"
    DIVIDE = "divide"
    VECTOR = "vector or floating point"
    BRANCH = "branch"
    OTHER = "other"


@dataclass(frozen=True)
class Costs:
    """Cycles by class. `repeated_load` is a load right behind a load or store, which overlaps;
    several registers take one cycle more than there are; `taken` is what a branch adds."""

    load: int = 2
    repeated_load: int = 1
    store: int = 1
    multiply_add: int = 1
    long_multiply: int = 1
    divide: int = 7
    vector: int = 2
    taken: int = 2


_M4 = Costs()
COSTS = {
    "cortex-m0": Costs(repeated_load=2, store=2),
    "cortex-m3": replace(_M4, multiply_add=2, long_multiply=4),
    "cortex-m4": _M4,
    "cortex-m7": _M4,
    "cortex-m33": _M4,
    "cortex-m55": _M4,
}

MODEL = (
    "estimated from the executed instructions by class (loads, stores, multiplies, taken "
    "branches); no wait states, caches or dual issue"
)
"""What the estimate is, for whoever reads a number of it."""


def estimate(trace: Sequence[int], image: Image, core: str) -> int | None:
    """Estimated cycles of a trace; None for a core without a table."""
    costs = COSTS.get(core)
    if costs is None:
        return None
    known: dict[int, tuple[Kind, int, int]] = {}
    cycles, overlaps = 0, False
    for i, address in enumerate(trace):
        if address not in known:
            known[address] = _decode_at(image, address)
        kind, registers, size = known[address]
        if kind is Kind.LOAD:
            cycles += costs.repeated_load if overlaps else costs.load
        elif kind is Kind.MULTIPLE:
            cycles += 1 + registers
        else:
            cycles += _COST_OF[kind](costs) if kind in _COST_OF else 1
        overlaps = kind in (Kind.LOAD, Kind.STORE)
        if kind in _JUMPS and i + 1 < len(trace) and trace[i + 1] != address + size:
            cycles += costs.taken
    return cycles


# A gap behind another kind is an instruction that its condition skipped.
_JUMPS = (Kind.BRANCH, Kind.LOAD, Kind.MULTIPLE)

_COST_OF: dict[Kind, Callable[[Costs], int]] = {
    Kind.STORE: lambda costs: costs.store,
    Kind.MULTIPLY_ADD: lambda costs: costs.multiply_add,
    Kind.LONG_MULTIPLY: lambda costs: costs.long_multiply,
    Kind.DIVIDE: lambda costs: costs.divide,
    Kind.VECTOR: lambda costs: costs.vector,
}


def _decode_at(image: Image, address: int) -> tuple[Kind, int, int]:
    first = int.from_bytes(image.read(address, 2), "little")
    wide = first >> 11 in _WIDE
    return decode(first, int.from_bytes(image.read(address + 2, 2), "little") if wide else 0)


_WIDE = (0b11101, 0b11110, 0b11111)
"""First five bits of an instruction of four bytes."""


def decode(first: int, second: int) -> tuple[Kind, int, int]:
    """Class, number of registers moved (of `MULTIPLE`) and size of a Thumb instruction."""
    if first >> 11 in _WIDE:
        return (*_decode_wide(first, second), 4)
    return (*_decode_narrow(first), 2)


def _decode_narrow(word: int) -> tuple[Kind, int]:
    if word & 0xF600 == 0xB400:  # push, pop
        return Kind.MULTIPLE, (word & 0x1FF).bit_count()
    if word & 0xF000 == 0xC000:  # stm, ldm
        return Kind.MULTIPLE, (word & 0xFF).bit_count()
    if word & 0xF000 == 0xD000 or word & 0xF800 == 0xE000 or word & 0xFF00 == 0x4700:
        return Kind.BRANCH, 0
    if word & 0xF500 == 0xB100:  # compare with zero and branch
        return Kind.BRANCH, 0
    if word & 0xF800 == 0x4800:  # ldr from the literal pool
        return Kind.LOAD, 1
    if word & 0xF000 == 0x5000:  # register offset: str, strh, strb, then loads
        return (Kind.STORE if word & 0x0E00 < 0x0600 else Kind.LOAD), 1
    if word >> 12 in (6, 7, 8, 9):
        return (Kind.LOAD if word & 0x0800 else Kind.STORE), 1
    return Kind.OTHER, 0


def _decode_wide(first: int, second: int) -> tuple[Kind, int]:
    if first & 0xEC00 == 0xEC00:
        return Kind.VECTOR, 0
    if first & 0xFE40 == 0xE800:  # ldm, stm
        return Kind.MULTIPLE, second.bit_count()
    if first & 0xFE40 == 0xE840:  # ldrd, strd, table branches
        return Kind.MULTIPLE, 2
    if first & 0xFE00 == 0xF800:
        return (Kind.LOAD if first & 0x0010 else Kind.STORE), 1
    if first & 0xFF80 == 0xFB00:
        return (Kind.OTHER if second >> 12 == 0xF else Kind.MULTIPLY_ADD), 0
    if first & 0xFF80 == 0xFB80:
        divides = first & 0x0050 == 0x0010
        return (Kind.DIVIDE if divides else Kind.LONG_MULTIPLY), 0
    if first & 0xF800 == 0xF000 and second & 0x8000:  # branches, loop instructions, barriers
        return Kind.BRANCH, 0
    return Kind.OTHER, 0
