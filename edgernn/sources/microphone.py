"""Sound from a microphone, through `sounddevice`."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any, ClassVar, Final

import numpy as np

from edgernn.closing import Closing
from edgernn.errors import InputError, MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.sources import Block

QUEUE: Final = 10.0
"""Seconds of sound that wait for a slow reader at most."""
BLOCK: Final = 0.03
"""Seconds of a block."""
SILENT: Final = 5.0
"""Seconds without a block after which the device is taken for gone."""


class Microphone(Closing):
    """One channel of an input device: `microphone:` for the default one, or its number or name.

    Sound that a slow reader has no room for is lost: it is counted as `dropped_samples`, and zeros
    stand for it, so that times stay right. `overruns` counts what the driver lost on its own.
    """

    live = True
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"channel": int}

    def __init__(self, name: str, front_end: FrontEnd, channel: int = 0) -> None:
        """Open and start it; `channel` counts from 0.

        Raises:
            InputError: there is no such device, or it cannot give what the front end takes.
            MissingDependencyError: `sounddevice` or PortAudio is not installed.
        """
        self._where = f"microphone:{name}".rstrip(":")
        if front_end.sample_dtype != "int16":
            raise InputError(
                f"{self._where}: gives sound, and the model's front end '{front_end.kind}' takes "
                f"{front_end.channels} channel(s) of a sensor"
            )
        try:
            import sounddevice
        except ImportError:
            raise MissingDependencyError(
                f"{self._where}: needs sounddevice: run `pip install 'edgernn[audio]'`"
            ) from None
        except OSError:
            raise MissingDependencyError(
                f"{self._where}: needs PortAudio: run `apt-get install libportaudio2`"
            ) from None
        self.rate = front_end.rate
        self.counters = {"overruns": 0, "dropped_samples": 0}
        self._channels, self._channel = channel + 1, channel
        self._closed, self._owed = Event(), 0
        self._queue: queue.Queue[bytes | int] = queue.Queue(round(QUEUE / BLOCK))
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=self.rate,
                blocksize=round(self.rate * BLOCK),
                device=int(name) if name.isdigit() else name or None,
                channels=self._channels,
                dtype="int16",
                callback=self._arrived,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise InputError(
                f"{self._where}: does not give {self.rate:g} samples a second of "
                f"{self._channels} channel(s) ({error}); devices: {_devices(sounddevice)}"
            ) from None

    def _arrived(self, data: Any, frames: int, _: Any, status: Any) -> None:
        """Called in the driver's thread, which must not wait."""
        self.counters["overruns"] += bool(status.input_overflow)
        try:
            if self._owed:
                self._queue.put_nowait(self._owed)
                self._owed = 0
            self._queue.put_nowait(bytes(data))
        except queue.Full:
            self._owed += frames
            self.counters["dropped_samples"] += frames

    def __iter__(self) -> Iterator[Block]:
        waited = 0.0
        while not self._closed.is_set():
            try:
                found = self._queue.get(timeout=0.1)
            except queue.Empty:
                waited += 0.1
                if waited >= SILENT:
                    raise InputError(
                        f"{self._where}: has given no sound for {SILENT:g} s: is it unplugged, or "
                        "taken by another program?"
                    ) from None
                continue
            waited = 0.0
            if isinstance(found, int):
                yield Block(np.zeros(found, np.int16))
            else:
                samples = np.frombuffer(found, np.int16).reshape(-1, self._channels)
                yield Block(samples[:, self._channel].copy())

    def close(self) -> None:
        """Stop the device."""
        if not self._closed.is_set():
            self._closed.set()
            self._stream.close()


def _devices(sounddevice: Any) -> str:
    """Those with an input, by number."""
    found = [
        f"{i} {device['name']} ({device['default_samplerate']:g})"
        for i, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"]
    ]
    return ", ".join(found) or "none"
