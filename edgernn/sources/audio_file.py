"""Sound from a file: WAV by the standard library, other formats by `soundfile`."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgernn.closing import Closing
from edgernn.errors import InputError, MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.sources import BLOCK, Block, flag
from edgernn.sources.resampling import Resampler

Array = npt.NDArray[Any]


class AudioFile(Closing):
    """One channel of a file, as int16. Samples that its header promises and lacks are counted."""

    live = False
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "channel": int,
        "resample": flag,
    }

    def __init__(
        self, path: str, front_end: FrontEnd, channel: int = 0, resample: bool = False
    ) -> None:
        """Open it; `channel` counts from 0, `resample` takes any rate.

        Raises:
            InputError: it cannot be read, lacks the channel, or has another rate than the front
                end.
            MissingDependencyError: it is no WAV file of integers, and `soundfile` is missing.
        """
        if front_end.sample_dtype != "int16":
            raise InputError(
                f"{path}: is sound, and the model's front end '{front_end.kind}' takes "
                f"{front_end.channels} channel(s) of a sensor"
            )
        self.counters = {"missing_samples": 0}
        self._file = _opened(path)
        self._channel = channel
        self.rate = front_end.rate
        self._resampler: Resampler | None = None
        if self._file.rate != front_end.rate:
            if not resample:
                self.close()
                raise InputError(
                    f"{path}: has {self._file.rate:g} samples a second, the model takes "
                    f"{front_end.rate:g}: choose the option resample=yes, or resample it, for "
                    f"example `sox IN -r {front_end.rate:g} OUT`"
                )
            try:
                self._resampler = Resampler(self._file.rate, front_end.rate)
            except InputError as error:
                self.close()
                raise InputError(f"{path}: {error}") from None
        if not 0 <= channel < self._file.channels:
            self.close()
            raise InputError(
                f"{path}: has no channel {channel}: there are {self._file.channels}, from 0"
            )

    def __iter__(self) -> Iterator[Block]:
        missing = self._file.promised
        while len(samples := self._file.read(BLOCK, self._channel)):
            missing -= len(samples)
            yield Block(samples if self._resampler is None else self._resampler.run(samples))
        if self._resampler is not None and len(rest := self._resampler.run(samples, last=True)):
            yield Block(rest)
        self.counters["missing_samples"] += max(0, missing)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def sound_rate(path: str) -> float:
    """Samples a second of a file.

    Raises:
        InputError: it cannot be read.
        MissingDependencyError: it is no WAV file of integers, and `soundfile` is missing.
    """
    file = _opened(path)
    file.close()
    return file.rate


def _opened(path: str) -> _Wave | _Soundfile:
    if not path.lower().endswith(".wav"):
        return _Soundfile(path)
    try:
        return _Wave(path)
    except wave.Error as error:
        if "unknown format" in str(error):  # floats, µ-law, or the header of Windows' newer files
            return _Soundfile(path)
        raise InputError(f"{path}: is no WAV file that can be read ({error})") from None


class _Wave:
    """Uncompressed PCM of 8, 16, 24 or 32 bits."""

    def __init__(self, path: str) -> None:
        try:
            self._file = wave.open(path, "rb")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({(error.strerror or '').lower()})") from None
        except EOFError:
            raise InputError(f"{path}: is no WAV file that can be read (cut short)") from None
        self.rate = float(self._file.getframerate())
        self.channels, self._bytes = self._file.getnchannels(), self._file.getsampwidth()
        # A program that wrote to a pipe could not know the length and left a huge one.
        length = self._file.getnframes()
        self.promised = length if length * self.channels * self._bytes < 0x7FFF0000 else 0

    def read(self, count: int, channel: int) -> npt.NDArray[np.int16]:
        raw = np.frombuffer(self._file.readframes(count), np.uint8)
        size, start = self.channels * self._bytes, channel * self._bytes
        whole = raw[: len(raw) // size * size].reshape(-1, size)
        first = whole[:, start : start + self._bytes]
        if self._bytes == 1:  # unsigned, the only width that is
            return (first[:, 0].astype(np.int16) - 128) * 256
        return np.ascontiguousarray(first[:, -2:]).view("<i2")[:, 0].astype(np.int16)

    def close(self) -> None:
        self._file.close()


class _Soundfile:
    """Whatever libsndfile reads."""

    def __init__(self, path: str) -> None:
        try:
            import soundfile
        except (ImportError, OSError):
            raise MissingDependencyError(
                f"{path}: reading it needs soundfile: run `pip install 'edgernn[audio]'`, or make "
                "a WAV of 16-bit integers of it"
            ) from None
        try:
            self._file = soundfile.SoundFile(path)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None
        self.rate = float(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.promised = int(self._file.frames)
        self._floats = self._file.subtype in ("FLOAT", "DOUBLE")

    def read(self, count: int, channel: int) -> npt.NDArray[np.int16]:
        if self._floats:  # libsndfile would cut them to -1, 0 and 1
            values = self._file.read(count, dtype="float64", always_2d=True)[:, channel]
            finite: Array = np.nan_to_num(np.rint(values * 32768))
            return finite.clip(-32768, 32767).astype(np.int16)
        block: npt.NDArray[np.int16] = self._file.read(count, dtype="int16", always_2d=True)
        return block[:, channel]

    def close(self) -> None:
        self._file.close()
