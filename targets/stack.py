"""The most stack a function of a linked Thumb image can ever use, read from its instructions.

Every function's frame is bounded by the sum of all that its instructions take from the stack
pointer, whatever compiler or inline assembly wrote them, and calls by the deepest callee. So the
number may be a little above the truth, and is never below it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgernn.errors import EdgernnError
from targets.elf import Image

_SP = 13


@dataclass
class _Function:
    """Bytes taken from the stack, and where the calls go (with tail calls apart)."""

    frame: int = 0
    calls: set[int] = field(default_factory=set)


def worst_stack(image: Image, name: str) -> int:
    """Bytes of stack below its caller's that a call of the function `name` can use.

    Raises:
        EdgernnError: no bound exists: recursion, a call through a pointer, a variable frame.
    """
    code = _Code(image)
    return _deepest(code, image.symbols[name].address, ())


def _deepest(code: _Code, address: int, path: tuple[int, ...]) -> int:
    if address in path:
        raise EdgernnError(f"the function at {address:#x} calls itself: its stack has no bound")
    function = code.function(address)
    below = [_deepest(code, target, (*path, address)) for target in function.calls]
    return function.frame + max(below, default=0)


class _Code:
    """The functions of an image, decoded when asked for."""

    def __init__(self, image: Image) -> None:
        self.image = image
        functions = [s for s in image.symbols.values() if s.is_function]
        self.starts = sorted({s.address for s in functions})
        self.sizes = {s.address: s.size for s in functions if s.size}
        self.ends = sorted({address + size for address, size in image.code})
        self.decoded: dict[int, _Function] = {}

    def function(self, address: int) -> _Function:
        """The function that starts at an address."""
        if address not in self.decoded:
            self.decoded[address] = self._decode(address)
        return self.decoded[address]

    def _owner(self, address: int) -> int:
        return self.starts[bisect.bisect_right(self.starts, address) - 1]

    def _end(self, start: int) -> int:
        if start in self.sizes:
            return start + self.sizes[start]
        at = bisect.bisect_right(self.starts, start)
        limit = self.ends[bisect.bisect_right(self.ends, start)]
        return min(self.starts[at], limit) if at < len(self.starts) else limit

    def _decode(self, start: int) -> _Function:
        function = _Function()
        literals: dict[int, int] = {}
        for at, first, second in self._instructions(start, self._end(start)):
            if second is None:
                function.frame += self._narrow(at, first, literals)
                target = _narrow_branch(at, first)
            else:
                function.frame += _wide(at, first, second)
                target = _wide_branch(at, first, second)
            itself = second is not None and second & 0xD000 == 0xD000 and target == start
            if target is not None and (self._owner(target) != start or itself):
                function.calls.add(self._owner(target))
        return function

    def _instructions(self, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
        at = start
        while at < end:
            if self.image.is_data(at):
                at += 2
                continue
            first = self._half(at)
            if first >> 11 >= 0b11101:
                yield at, first, self._half(at + 2)
                at += 4
            else:
                yield at, first, None
                at += 2

    def _half(self, address: int) -> int:
        return int.from_bytes(self.image.read(address, 2), "little")

    def _narrow(self, at: int, word: int, literals: dict[int, int]) -> int:
        """Bytes that a 16-bit instruction takes from the stack."""
        if word & 0xFE00 == 0xB400:  # push
            return 4 * (word & 0x1FF).bit_count()
        if word & 0xFF80 == 0xB080:  # sub sp, #
            return 4 * (word & 0x7F)
        if word & 0xF800 == 0x4800:  # ldr r, [pc, #]
            place = ((at + 4) & ~3) + 4 * (word & 0xFF)
            literals[word >> 8 & 7] = int.from_bytes(
                self.image.read(place, 4), "little", signed=True
            )
        if word & 0xFF87 == 0x4485:  # add sp, r: a large frame on Cortex-M0, or its end
            value = literals.get(word >> 3 & 15)
            if value is None:
                raise EdgernnError(f"the frame of the code at {at:#x} has a variable size")
            return max(0, -value)
        if word & 0xFF87 == 0x4780:
            raise EdgernnError(f"the code at {at:#x} calls through a pointer")
        return 0


def _wide(at: int, first: int, second: int) -> int:
    """Bytes that a 32-bit instruction takes from the stack."""
    if first == 0xE92D:  # push
        return 4 * second.bit_count()
    if first == 0xF84D and second & 0xF00 == 0xD00:  # str r, [sp, #-]!
        return second & 0xFF
    if first in (0xE96D, 0xED2D):  # strd r, r, [sp, #-]! and vpush
        return 4 * (second & 0xFF)
    destination = second >> 8 & 15
    if first & 0xFBEF == 0xF1AD and destination == _SP:  # sub sp, sp, # with a rotated byte
        return _rotated((first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF)
    if first & 0xFBFF == 0xF2AD and destination == _SP:  # sub sp, sp, # with 12 bits
        return (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first & 0xFFEF == 0xEBAD and destination == _SP:
        raise EdgernnError(f"the frame of the code at {at:#x} has a variable size")
    return 0


def _rotated(code: int) -> int:
    """An immediate of 12 bits as Thumb-2 expands it."""
    byte, mode = code & 0xFF, code >> 8
    if mode < 4:
        return (byte, byte << 16 | byte, byte << 24 | byte << 8, byte * 0x01010101)[mode]
    value, turns = 0x80 | code & 0x7F, code >> 7
    return (value >> turns | value << (32 - turns)) & 0xFFFFFFFF


def _narrow_branch(at: int, word: int) -> int | None:
    if word & 0xF800 == 0xE000:
        return at + 4 + 2 * _signed(word & 0x7FF, 11)
    if word & 0xF000 == 0xD000 and word >> 8 & 15 < 14:
        return at + 4 + 2 * _signed(word & 0xFF, 8)
    return None


def _wide_branch(at: int, first: int, second: int) -> int | None:
    """Where bl and b.w go; a conditional b.w stays in its function or is a tail call too."""
    if first & 0xF800 != 0xF000 or not second & 0x8000:
        return None
    if second & 0x5000 == 0x4000:  # wls, le: loops of Armv8.1-M, which stay in their function
        return None
    j1, j2, sign = second >> 13 & 1, second >> 11 & 1, first >> 10 & 1
    if second & 0x1000:  # bl, b.w
        i1, i2 = 1 - (j1 ^ sign), 1 - (j2 ^ sign)
        offset = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
        return at + 4 + _signed(offset, 25)
    if first >> 6 & 15 < 14:  # b<c>.w
        offset = sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3F) << 12 | (second & 0x7FF) << 1
        return at + 4 + _signed(offset, 21)
    return None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
