"""Sources: where samples come from. One module a kind, chosen by what the user names.

A source is a context manager that gives blocks of samples, as they come, until it ends or is
closed. What goes wrong on the way is counted, never hidden.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends import FrontEnd

Array = npt.NDArray[Any]

BLOCK: Final = 4096
"""Samples that a file gives at once."""

_PREFIXES: Final = {
    "-": "edgernn.sources.lines:Lines",
    "stdin": "edgernn.sources.lines:Lines",
    "microphone": "edgernn.sources.microphone:Microphone",
    "serial": "edgernn.sources.serial_port:SerialPort",
    "iio": "edgernn.sources.iio:Iio",
}
"""Where the class of each source is whose name begins so."""

_SUFFIXES: Final = {
    ".wav": "edgernn.sources.audio_file:AudioFile",
    ".flac": "edgernn.sources.audio_file:AudioFile",
    ".ogg": "edgernn.sources.audio_file:AudioFile",
    ".csv": "edgernn.sources.table:Table",
}


class Block(NamedTuple):
    """Samples that came together: int16 `(n,)` of sound, or real values `(n, channels)`.

    `times` are int64 microseconds of each, None where the source has no clock.
    """

    samples: Array
    times: npt.NDArray[np.int64] | None = None


class Source(Protocol):
    """An open source; iterating ends when it is exhausted or closed."""

    options: ClassVar[Mapping[str, Callable[[Any], Any]]]
    """What may be chosen, by name, and what makes its value of a text."""
    live: bool
    """Whether it goes on at its own pace, and cannot wait."""
    rate: float
    """Samples a second; what the front end takes, where the source does not know."""

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, by name."""

    def __iter__(self) -> Iterator[Block]:
        """Blocks as they come."""

    def close(self) -> None:
        """End it, also from another thread; twice does no harm."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_source(
    spec: str, front_end: FrontEnd, *, realtime: bool = False, **options: Any
) -> Source:
    """The source of a name: a file by its suffix, anything else by its prefix.

    `realtime` gives a file at its own pace, as if it were a sensor. The other options are those of
    the source's class.

    Raises:
        InputError: there is no such source or option, or it does not give what the front end takes.
        MissingDependencyError: the package that it needs is not installed.
    """
    prefix, colon, rest = spec.partition(":")
    suffix = Path(spec).suffix.lower()
    if prefix in _PREFIXES and (colon or prefix == "-"):
        source = _made(_PREFIXES[prefix], rest, spec, front_end, options)
    elif suffix in _SUFFIXES:
        source = _made(_SUFFIXES[suffix], spec, spec, front_end, options)
    elif Path(spec).is_dir():
        raise InputError(f"{spec}: is a folder: name one recording in it")
    else:
        known = ", ".join([*_SUFFIXES, *(f"{name}:" for name in _PREFIXES if name != "-"), "-"])
        raise InputError(f"{spec}: no source of samples that is known ({known})")
    if realtime and not source.live:
        from edgernn.sources.pacing import Paced

        return Paced(source)
    return source


def flag(value: Any) -> bool:
    """A choice of yes or no, also as a text."""
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    return known[str(value).lower()]


def listed(value: Any) -> tuple[str, ...]:
    """Names, also as one text with commas."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def _made(
    where: str, name: str, spec: str, front_end: FrontEnd, options: Mapping[str, Any]
) -> Source:
    module, _, attribute = where.partition(":")
    made = getattr(importlib.import_module(module), attribute)
    chosen = {}
    for option, value in options.items():
        if option not in made.options:
            known = ", ".join(made.options) or "none"
            raise InputError(f"{spec}: has no option '{option}'; its options: {known}")
        try:
            chosen[option] = made.options[option](value)
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{spec}: option {option}={value!r} is no such value") from None
    source: Source = made(name, front_end, **chosen)
    return source
