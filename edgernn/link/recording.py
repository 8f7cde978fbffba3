"""A device's sensor into labelled recordings: `FOLDER/LABEL/GROUP_TAKE.wav` or `.csv`."""

from __future__ import annotations

import csv
import io
import os
import secrets
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.link.device import Device
from edgernn.link.messages import Data, Hello, LinkError, Wanted

Array = npt.NDArray[Any]

_PATIENCE: Final = 3.0
"""Seconds without a sample after which the device counts as silent."""
_MOST_TAKES: Final = 100_000


def capture(device: Device, seconds: float, tell: Callable[[int], None]) -> Array:
    """Raw samples `(n, channels)` of so many seconds, without a gap; `tell` gets their count.

    Raises:
        InputError: the device has no sensor.
        LinkError: it falls silent, or samples were lost because the line or the device is too slow.
    """
    hello = device.hello
    if hello.sample is None or not hello.sensor:
        what = "takes frames, not samples" if hello.sample is None else "has no sensor"
        raise InputError(f"{hello.name} on {hello.board} {what}: there is nothing to record")
    wanted = max(1, round(seconds * hello.rate))
    parts: list[Array] = []
    count = lost = 0
    device.start(Wanted.DATA)
    try:
        while count < wanted:
            before = count
            for content in device.listen(_PATIENCE):
                if not isinstance(content, Data):
                    continue
                part = hello.sample.parse(content.raw)
                lost = content.first - count
                parts.append(part)
                count += len(part)
                tell(min(count, wanted))
                if count >= wanted or lost:
                    break
            if lost:
                raise LinkError(_too_slow(hello, lost))
            if count == before:
                raise LinkError(f"no samples from {hello.name} for {_PATIENCE:.0f} seconds")
    finally:
        device.stop()
    return np.concatenate(parts)[:wanted]


def _too_slow(hello: Hello, lost: int) -> str:
    assert hello.sample is not None
    # A frame has 11 bytes of its own and a number of the first sample, a byte 10 bits.
    hop = max(1.0, hello.rate / (hello.frame_rate or hello.rate))
    baud = 10 * hello.rate * (hello.sample.nbytes + 16 / hop)
    return (
        f"{abs(lost):,} samples were lost, and nothing was written: {hello.rate:g} samples a "
        f"second need a line of at least {baud:,.0f} baud"
    )


def write_take(
    hello: Hello,
    samples: Array,
    folder: Path,
    label: str,
    group: str,
    times: npt.NDArray[np.int64] | None = None,
) -> Path:
    """Write a recording as the next take of its label and group, and return where it is.

    `times` are microseconds of each sample, where the device has a clock of its own.

    Raises:
        InputError: the label or the group is no name, or the folder cannot be written.
    """
    checked_name("label", label)
    checked_name("group", group)
    sound = hello.sample is not None and hello.sample.dtype == "int16" and hello.sample.size == 1
    data = _wav(hello, samples) if sound else _csv(hello, samples, times)
    target = folder / label
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _next(target, group, ".wav" if sound else ".csv", data)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None


def checked_name(what: str, name: str) -> None:
    """Raise `InputError` if a label or a group cannot be part of a file's name.

    The group ends at the first `_` of it.
    """
    bad = "/\\_" if what == "group" else "/\\"
    if not name or name[0] == "." or any(c in bad or not c.isprintable() for c in name):
        raise InputError(f"--{what} {name!r}: must be a name without {' '.join(bad)}")


def _next(folder: Path, group: str, suffix: str, data: bytes) -> Path:
    """A file that was not there, whole or not at all, also if two record at once."""
    temporary = folder / f".{group}{secrets.token_hex(4)}"
    try:
        temporary.write_bytes(data)
        for take in range(1, _MOST_TAKES):
            path = folder / f"{group}_{take:03d}{suffix}"
            try:
                os.link(temporary, path)  # unlike a rename, it never replaces
            except FileExistsError:
                continue
            return path
    finally:
        temporary.unlink(missing_ok=True)
    raise InputError(f"{folder}: has {_MOST_TAKES:,} takes of '{group}' already")


def _wav(hello: Hello, samples: Array) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(round(hello.rate))
        file.writeframes(samples.astype("<i2").tobytes())
    return memory.getvalue()


def _csv(hello: Hello, samples: Array, times: npt.NDArray[np.int64] | None) -> bytes:
    """Real values with their times, which give back the same raw samples."""
    assert hello.sample is not None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = hello.columns or tuple(f"channel_{i}" for i in range(hello.sample.size))
    writer.writerow(["time_us", *columns])
    if times is None:
        times = np.rint(np.arange(len(samples)) * 1e6 / hello.rate).astype(np.int64)
    real = hello.sample.real(samples)
    for stamp, row in zip(times.tolist(), real.tolist(), strict=True):
        writer.writerow([stamp, *map(repr, row)])
    return text.getvalue().encode()
