"""UF2: an image in blocks of 512 bytes that each say where 256 of its bytes go.

The format is Microsoft's (https://github.com/microsoft/uf2): a bootloader takes each block by
itself, in any order, wherever on its drive the file lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from edgernn.errors import InputError
from targets.boards import Board

_MAGIC: Final = (0x0A324655, 0x9E5D5157)
_END: Final = 0x0AB16F30
_HAS_FAMILY: Final = 0x2000
_HEADER: Final = struct.Struct("<8I")
_BLOCK: Final = 512
PAGE: Final = 256


def encode(parts: Iterable[tuple[int, bytes]], board: Board) -> bytes:
    """The file of an image whose parts are (address, content); gaps within a page become zeros.

    Raises:
        InputError: a part is not in the board's flash, or there is none.
    """
    pages: dict[int, bytearray] = {}
    flash = range(board.flash_origin, board.flash_origin + board.flash_bytes)
    for address, content in parts:
        if content and (address not in flash or address + len(content) - 1 not in flash):
            raise InputError(
                f"the image has {len(content):,} bytes at {address:#x}, which is not in the flash "
                f"of {board.name}: was it built for this board?"
            )
        for at in range(address, address + len(content)):
            page = pages.setdefault(at & -PAGE, bytearray(PAGE))
            page[at % PAGE] = content[at - address]
    if not pages:
        raise InputError(f"the image has nothing for the flash of {board.name}")
    blocks = []
    for number, (address, page) in enumerate(sorted(pages.items())):
        numbers = (*_MAGIC, _HAS_FAMILY, address, PAGE, number, len(pages), board.uf2_family)
        block = (_HEADER.pack(*numbers) + page).ljust(_BLOCK - 4, b"\0")
        blocks.append(block + struct.pack("<I", _END))
    return b"".join(blocks)
