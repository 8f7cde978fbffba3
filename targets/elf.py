"""Just enough of the ELF format to load a 32-bit little-endian image and find its symbols."""

from __future__ import annotations

import bisect
import struct
from dataclasses import dataclass

from edgernn.errors import InputError


@dataclass(frozen=True)
class Symbol:
    """A name in the image: address (bit 0 of Thumb functions cleared) and size in bytes."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Image:
    """Segments to load as (address, content, size in memory), symbols, and sizes by section.

    `code` is where code lies, as (address, size); `kinds` says from which addresses on it is
    instructions (True) and where constants between them (False). `loaded` is what a flash is given,
    as (address there, content).
    """

    segments: tuple[tuple[int, bytes, int], ...]
    symbols: dict[str, Symbol]
    sections: dict[str, int]
    code: tuple[tuple[int, int], ...]
    kinds: tuple[tuple[int, bool], ...] = ()
    loaded: tuple[tuple[int, bytes], ...] = ()

    def read(self, address: int, size: int) -> bytes:
        """Bytes of a segment."""
        for start, content, _ in self.segments:
            if start <= address and address + size <= start + len(content):
                return content[address - start : address - start + size]
        raise InputError(f"the image has no {size} bytes at {address:#x}")

    def is_data(self, address: int) -> bool:
        """Whether constants lie at an address of code."""
        at = bisect.bisect_right(self.kinds, (address, True)) - 1
        return at >= 0 and not self.kinds[at][1]


def load(data: bytes) -> Image:
    """Parse an executable."""
    if data[:6] != b"\x7fELF\x01\x01":
        raise InputError("not a 32-bit little-endian ELF file")
    phoff, shoff = struct.unpack_from("<II", data, 28)
    phsize, phnum, shsize, shnum, names = struct.unpack_from("<HHHHH", data, 42)
    segments, loaded = [], []
    for i in range(phnum):
        kind, offset, address, place, size, memory = struct.unpack_from(
            "<6I", data, phoff + i * phsize
        )
        if kind == 1 and memory:
            segments.append((address, data[offset : offset + size], memory))
            loaded.append((place, data[offset : offset + size]))
    headers = [struct.unpack_from("<10I", data, shoff + i * shsize) for i in range(shnum)]
    strings = headers[names][4]
    sections, symbols, code = {}, {}, []
    kinds: dict[int, bool] = {}
    for name, kind, flags, address, offset, size, link, *_ in headers:
        title = _text(data, strings + name)
        if flags & 2:
            sections[title] = size
        if flags & 4:
            code.append((address, size))
        if kind == 2:
            for at in range(offset, offset + size, 16):
                symbol = _symbol(data, at, headers[link][4])
                symbols[symbol.name] = symbol
                if symbol.name[:2] in ("$t", "$d"):
                    kinds[symbol.address] = symbol.name[1] == "t"
    spans = tuple(sorted(kinds.items()))
    return Image(tuple(segments), symbols, sections, tuple(code), spans, tuple(loaded))


def _symbol(data: bytes, at: int, strings: int) -> Symbol:
    name, value, size, info, _, _ = struct.unpack_from("<IIIBBH", data, at)
    return Symbol(_text(data, strings + name), value & ~1, size, info & 15 == 2)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
