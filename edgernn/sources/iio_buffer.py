"""The buffer of a Linux IIO device: samples of the channels that are switched on, packed.

Interface: Documentation/iio/iio_devbuf.rst of the Linux kernel.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

NODES: Path = Path("/dev")
LENGTH: Final = 256
"""Samples that the kernel keeps for a slow reader."""


class Buffer:
    """A device's buffer: packed samples of the channels that are switched on."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Switch the channels and the buffer on.

        Raises:
            OSError: it has none, or it cannot be switched on.
            ValueError: the layout of a channel is not known.
        """
        self._before: dict[Path, str] = {}
        self._stopped = self.ended = False
        elements = folder / "scan_elements"
        enabled = folder / "buffer" / "enable"
        if enabled.read_text().strip() == "1":
            raise OSError(errno.EBUSY, "Used by another program")
        try:
            switches = sorted(elements.glob("in_*_en"))
            wanted = [elements / f"in_{name}_en" for name in (*names, "timestamp")]
            for switch in switches:
                self._write(switch, "1" if switch in wanted else "0")
            if missing := [s for s in wanted[:-1] if s not in switches]:
                raise FileNotFoundError(errno.ENOENT, f"no {missing[0].name}")
            self.has_times = wanted[-1] in switches
            present = wanted if self.has_times else wanted[:-1]
            self._layout(elements, [s.name[3:-3] for s in present])
            self._write(folder / "buffer" / "length", str(LENGTH))
            self._write(enabled, "1")
            self.file = open(  # noqa: SIM115 (a reader in another thread may still need it)
                NODES / folder.name, "rb", buffering=0, opener=_without_waiting
            )
        except BaseException:
            self.stop()
            raise
        self._names, self._rest = list(names), b""

    def _write(self, path: Path, value: str) -> None:
        self._before.setdefault(path, path.read_text().strip())
        path.write_text(value)

    def _layout(self, elements: Path, names: Sequence[str]) -> None:
        """Samples are packed in the order of their index, each aligned to its own size."""
        indices = {name: int(text(elements / f"in_{name}_index")) for name in names}
        types, offsets, self._shifts = [], [], {}
        end = widest = 0
        for name in sorted(names, key=indices.__getitem__):
            kind = text(elements / f"in_{name}_type")
            found = re.fullmatch(r"([bl]e):([su])(\d+)/(8|16|32|64)>>(\d+)", kind)
            if not found:
                raise ValueError(f"channel {name} of type {kind or 'none'}")
            order, sign, bits, storage, shift = found.groups()
            size = int(storage) // 8
            self._shifts[name] = (sign == "s", int(bits), int(storage), int(shift))
            types.append(f"{'>' if order == 'be' else '<'}u{size}")
            end = -(-end // size) * size
            offsets.append(end)
            end, widest = end + size, max(widest, size)
        ordered = sorted(names, key=indices.__getitem__)
        self._dtype = np.dtype(
            {
                "names": ordered,
                "formats": types,
                "offsets": offsets,
                "itemsize": -(-end // widest) * widest,
            }
        )

    def read(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        """What is there: raw values `(n, channels)` and times; sets `ended` at the end."""
        more = self.file.read(LENGTH * self._dtype.itemsize)
        self.ended = more == b""
        data = self._rest + (more or b"")
        whole = len(data) // self._dtype.itemsize * self._dtype.itemsize
        self._rest = data[whole:]
        rows = np.frombuffer(data[:whole], self._dtype)
        raw = np.stack([self._values(rows, name) for name in self._names], axis=1)
        if not self.has_times:
            return raw, None
        return raw, self._values(rows, "timestamp") // 1000

    def _values(self, rows: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        signed, bits, storage, shift = self._shifts[name]
        stored = rows[name].astype(np.uint64) << np.uint64(64 - storage)
        used = stored << np.uint64(storage - bits - shift)
        if signed:
            return used.view(np.int64) >> (64 - bits)
        return (used >> np.uint64(64 - bits)).astype(np.int64)

    def stop(self) -> None:
        """Switch off what was switched on, in the opposite order."""
        if self._stopped:
            return
        self._stopped = True
        for path, value in reversed(self._before.items()):
            with suppress(OSError):
                path.write_text(value)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def text(path: Path) -> str:
    """What a file of sysfs holds; nothing if it is not there."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
