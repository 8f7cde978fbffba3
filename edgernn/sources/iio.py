"""Sensors of Linux' Industrial I/O: through a device's buffer, or reading its values one by one.

Interface: Documentation/ABI/testing/sysfs-bus-iio and Documentation/iio/iio_devbuf.rst of the Linux
kernel. A real value is (raw + offset) * scale, in the units that the former lists.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from edgernn.closing import Closing
from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block, listed
from edgernn.sources.iio_buffer import Buffer, text
from edgernn.sources.lines import readable

DEVICES: Path = Path("/sys/bus/iio/devices")
GONE: Final = 5.0
"""Seconds of failing reads after which a device is taken for gone."""
MODES: Final = ("auto", "buffer", "poll")


class Iio(Closing):
    """A device by its number or name: `iio:device0`, `iio:0`, `iio:lsm6dsl_accel`.

    Through the buffer, its trigger or interrupt must be set up; where there is none, values are
    read at the front end's rate, which serves up to some 100 Hz. Times are the system's.
    """

    live = True
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"columns": listed, "mode": str}

    def __init__(
        self, name: str, front_end: FrontEnd, columns: Sequence[str] = (), mode: str = "auto"
    ) -> None:
        """Find the channels: `columns`, or those that the front end names: `accel_x`.

        Raises:
            InputError: there is no such device or channel, or it does not fit the front end.
        """
        self._where = f"iio:{name}"
        if front_end.sample_dtype != "int32":
            raise InputError(f"{self._where}: is a sensor, and the model's front end takes sound")
        if mode not in MODES:
            raise InputError(f"{self._where}: mode '{mode}' is not one of {', '.join(MODES)}")
        self._folder = _device(self._where, name)
        self._channels = _channels(
            self._where, self._folder, columns or getattr(front_end, "names", ())
        )
        if len(self._channels) != front_end.channels:
            raise InputError(
                f"{self._where}: {len(self._channels)} columns are chosen, the front end takes "
                f"{front_end.channels}"
            )
        self.rate = front_end.rate
        self.counters = {"failed_reads": 0}
        self._closed = Event()
        self._buffer: Buffer | None = None
        if mode != "poll":
            self._buffer = self._buffered(required=mode == "buffer")

    def _buffered(self, required: bool) -> Buffer | None:
        """The device's buffer, started; None if it has none that can be used."""
        own = _rate(self._folder)
        try:
            buffer = Buffer(self._folder, [channel.name for channel in self._channels])
        except (OSError, ValueError) as error:
            if not required:
                return None
            told = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"{self._where}: its buffer cannot be used ({told.lower()}): set its trigger up, "
                "or choose the mode poll"
            ) from None
        if own and own < 0.9 * self.rate:
            buffer.stop()
            raise InputError(
                f"{self._where}: gives {own:g} samples a second, the model takes {self.rate:g}: "
                f"write a higher rate to {self._folder}/sampling_frequency"
            )
        if not buffer.has_times and own and abs(own - self.rate) > 0.01 * self.rate:
            buffer.stop()
            raise InputError(
                f"{self._where}: gives {own:g} samples a second without times, the model takes "
                f"{self.rate:g}: write that to {self._folder}/sampling_frequency"
            )
        return buffer

    def __iter__(self) -> Iterator[Block]:
        return self._poll() if self._buffer is None else self._stream(self._buffer)

    def _real(self, raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        offset = np.array([channel.offset for channel in self._channels])
        scale = np.array([channel.scale for channel in self._channels])
        real: np.ndarray[Any, Any] = (raw + offset) * scale
        return real

    def _stream(self, buffer: Buffer) -> Iterator[Block]:
        while not buffer.ended and readable(buffer.file.fileno(), self._closed):
            try:
                raw, times = buffer.read()
            except OSError as error:
                raise self._gone(error) from None
            if len(raw):
                yield Block(self._real(raw), times)

    def _poll(self) -> Iterator[Block]:
        period = 1 / self.rate
        due = good = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            due = max(due + period, now)  # what was missed is missed; the times tell
            try:
                raw = [float(channel.path.read_text()) for channel in self._channels]
            except (OSError, ValueError) as error:
                self.counters["failed_reads"] += 1
                if getattr(error, "errno", 0) in (errno.ENODEV, errno.ENOENT) or now > good + GONE:
                    raise self._gone(error) from None
                continue
            good = now
            stamp = np.array([time.time_ns() // 1000], np.int64)
            yield Block(self._real(np.array([raw])), stamp)

    def _gone(self, error: Exception) -> InputError:
        told = getattr(error, "strerror", None) or str(error)
        return InputError(f"{self._where}: gives no more values ({told.lower()})")

    def close(self) -> None:
        """End it, and leave the buffer as it was."""
        self._closed.set()
        if self._buffer is not None:
            self._buffer.stop()


class _Channel(NamedTuple):
    name: str
    path: Path
    offset: float
    scale: float


def _device(where: str, name: str) -> Path:
    folders = sorted(DEVICES.glob("iio:device*"))
    number = name.removeprefix("device")
    for folder in folders:
        if folder.name == f"iio:device{number}" or text(folder / "name") == name:
            return folder
    known = ", ".join(f"{f.name.removeprefix('iio:')} {text(f / 'name')}" for f in folders)
    raise InputError(f"{where}: there is no such device; devices: {known or 'none'}")


def _channels(where: str, folder: Path, names: Sequence[str]) -> list[_Channel]:
    have = [p.name[3:].rpartition("_")[0] for p in sorted(folder.glob("in_*_raw"))]
    found = []
    for name in names:
        plain = name.removeprefix("in_").removesuffix("_raw")
        if plain not in have:
            raise InputError(
                f"{where}: has no channel '{name}', it has {', '.join(have) or 'none'}: choose "
                "the columns"
            )
        offset = _shared(folder, plain, "offset", 0.0)
        scale = _shared(folder, plain, "scale", 1.0)
        found.append(_Channel(plain, folder / f"in_{plain}_raw", offset, scale))
    return found


def _shared(folder: Path, name: str, what: str, default: float) -> float:
    """A number of a channel: `in_accel_x_scale`, or one for all of its type: `in_accel_scale`."""
    kind = re.sub(r"\d+$", "", name.partition("_")[0])
    for path in (folder / f"in_{name}_{what}", folder / f"in_{kind}_{what}"):
        with suppress(ValueError):
            return float(text(path))
    return default


def _rate(folder: Path) -> float:
    """Samples a second as the device is set; 0 if it does not tell."""
    for path in (folder / "sampling_frequency", *sorted(folder.glob("in_*sampling_frequency"))):
        with suppress(ValueError):
            return float(text(path))
    return 0.0
