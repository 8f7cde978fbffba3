"""Words said by synthetic voices: more speakers and accents than a folder of recordings has.

The voices are espeak-ng's (package `espeakng-loader`), each accent of a language with each of its
speakers, faster and slower, higher and lower. espeak-ng draws random numbers of its own and keeps
them from word to word: it runs in a process of its own, so that the same request gives the same
samples.
"""

from __future__ import annotations

import ctypes
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, MissingDependencyError

Samples = npt.NDArray[np.int16]

COUNT: Final = 144
"""Takes of each word."""
_PACE: Final = (120, 190)
"""Words a minute."""
_PITCH: Final = (20, 80)
"""On espeak-ng's scale of 0 to 99."""
_ODD: Final = (
    "whisper", "robosoft", "demonic", "croak", "storm", "tweaky", "fast", "announcer",
    "kaukovalta", "aunty", "ricishay", "anxious", "mike", "unirobot", "anikarobot",
)  # fmt: skip
"""Speakers that nobody sounds like."""
_QUIET: Final = 0.03
"""Of the loudest: what is below at a word's ends is cut off."""


def spoken(
    labels: Sequence[str], language: str, rate: float, seed: int, count: int = COUNT
) -> dict[str, list[Samples]]:
    """`count` takes of every label as read aloud in `language` (`en`, `de` …), at `rate` Hz.

    Raises:
        MissingDependencyError: the voices are not installed.
        InputError: there is no such language, or a label has nothing to say.
    """
    accents(language)
    request = json.dumps([list(labels), language, rate, seed, count])
    command = [sys.executable, "-m", "converters.training.voices"]
    ran = subprocess.run(command, input=request.encode(), capture_output=True, check=False)
    if ran.returncode:
        lines = ran.stderr.decode(errors="replace").strip().splitlines() or ["it ended early"]
        raise InputError(f"voices: {lines[-1].removeprefix(_SAID)}")
    with np.load(io.BytesIO(ran.stdout)) as made:
        takes = np.split(made["samples"], np.cumsum(made["lengths"])[:-1])
    return {label: takes[i * count : (i + 1) * count] for i, label in enumerate(labels)}


def accents(language: str) -> list[str]:
    """Voices of a language, by their files.

    Raises:
        MissingDependencyError: the voices are not installed.
        InputError: there is no such language.
    """
    if find_spec("espeakng_loader") is None:
        raise MissingDependencyError(
            "voices are those of espeak-ng: run `pip install 'edgernn[voices]'`"
        )
    found, known = [], set()
    folder = _data() / "lang"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        lines = path.read_text(errors="replace").splitlines()
        name = next((line.split()[1] for line in lines if line.startswith("language ")), "")
        known.add(name)
        if name == language or name.startswith(f"{language}-"):
            found.append(f"{path.parent.name}/{path.name}")
    if not found:
        raise InputError(
            f"no voices for '{language}': use one of {', '.join(sorted(known - {''}))}"
        )
    return found


def _data() -> Path:
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())


_SAID: Final = "edgernn.errors.InputError: "


def _answer() -> None:
    """The other end: a request on stdin, takes on stdout as `.npz`."""
    labels, language, rate, seed, count = json.load(sys.stdin)
    takes = []
    voice = _Espeak()
    voices, speakers = accents(language), voice.speakers()
    for index, label in enumerate(labels):
        random = np.random.default_rng([seed, index])
        for _ in range(count):
            name = f"{random.choice(voices)}+{random.choice(speakers)}"
            pace, pitch = int(random.integers(*_PACE)), int(random.integers(*_PITCH))
            takes.append(_at(rate, voice.say(label.replace("_", " "), name, pace, pitch), label))
    lengths = [len(take) for take in takes]
    np.savez(sys.stdout.buffer, samples=np.concatenate(takes), lengths=np.array(lengths))


def _at(rate: float, samples: Samples, label: str) -> Samples:
    """Without the silence around it, at another rate."""
    from edgernn.sources.resampling import Resampler

    loud = np.convolve(np.abs(samples.astype(np.float32)), np.full(441, 1 / 441), "same")
    within = np.flatnonzero(loud > _QUIET * loud.max(initial=0.0))
    if not within.size:
        raise InputError(f"'{label}' cannot be said: the labels must be words of the language")
    begin, end = max(0, int(within[0]) - 441), int(within[-1]) + 882
    return Resampler(_Espeak.RATE, rate).run(samples[begin:end], last=True)


class _Espeak:
    """The library: https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng."""

    RATE: Final = 22_050
    _SYNCHRONOUS, _UTF8, _SPEED, _HEIGHT = 2, 1, 1, 3

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = str(_data()).encode()
        if self._library.espeak_Initialize(self._SYNCHRONOUS, 0, path, 0) != self.RATE:
            raise InputError("espeak-ng did not start: install espeakng-loader anew")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # or it is seeded with the time
        self._heard: list[Samples] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = kind(self._hear)  # kept: the library has only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def speakers(self) -> list[str]:
        """Variants of a voice that sound like people."""
        names = sorted(path.name for path in (_data() / "voices" / "!v").iterdir())
        return [name for name in names if not name.lower().startswith(_ODD) and " " not in name]

    def say(self, text: str, voice: str, pace: int, pitch: int) -> Samples:
        """A word's samples, with silence around them."""
        self._heard.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise InputError(f"espeak-ng has no voice '{voice}': install espeakng-loader anew")
        self._library.espeak_SetParameter(self._SPEED, pace, 0)
        self._library.espeak_SetParameter(self._HEIGHT, pitch, 0)
        given = text.encode()
        size = ctypes.c_size_t(len(given) + 1)
        self._library.espeak_Synth(given, size, 0, 1, 0, self._UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._heard) if self._heard else np.zeros(0, np.int16)


if __name__ == "__main__":
    _answer()
