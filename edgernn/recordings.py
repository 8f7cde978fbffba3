"""Recordings as a front end takes them: whole, and as the features that a model is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.frontends import FrontEnd

Array = npt.NDArray[Any]

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".csv")


class Recording(NamedTuple):
    """A whole recording: samples `(n,)` or `(n, channels)`, and their times in microseconds."""

    path: Path
    samples: Array
    times: npt.NDArray[np.int64] | None


def read_recordings(path: str | os.PathLike[str], front_end: FrontEnd) -> list[Recording]:
    """The recording of a file, or all of a folder and the folders in it, in order of name.

    Raises:
        InputError: there is none, or one cannot be read or has another rate; the message names it.
    """
    path = Path(path)
    if not path.is_dir():
        return [read_recording(path, front_end)]
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path}: the folder holds no {', '.join(SUFFIXES)} file")
    return [read_recording(file, front_end) for file in files]


def read_recording(
    path: Path, front_end: FrontEnd, *, whole: bool = False, **options: Any
) -> Recording:
    """The recording of a file; `whole` refuses one that is cut short; the options of its source.

    Raises:
        InputError: it cannot be read or has another rate; the message names it.
    """
    from edgernn.sources import open_source

    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: with a front end, this must be recordings ({', '.join(SUFFIXES)} or a folder "
            "of them); for data that are frames already, convert without the front end and add it "
            "with `edgernn configure`"
        )
    with open_source(str(path), front_end, **options) as source:
        blocks = list(source)
        missing = source.counters.get("missing_samples", 0)
    if not blocks:
        raise InputError(f"{path}: holds no samples")
    if whole and missing:
        raise InputError(f"{path}: is cut short: {missing:,} samples are missing")
    samples = np.concatenate([block.samples for block in blocks])
    stamps = [block.times for block in blocks if block.times is not None]
    return Recording(path, samples, np.concatenate(stamps) if len(stamps) == len(blocks) else None)


def sequences(recordings: Any, front_end: FrontEnd) -> list[npt.NDArray[np.float32]]:
    """The features of recordings: of a path, of one array of samples, or of several.

    Raises:
        InputError: there is nothing to read, or no recording is as long as a frame.
    """
    if isinstance(recordings, (str, os.PathLike)):
        found: Iterable[Any] = read_recordings(recordings, front_end)
    elif isinstance(recordings, np.ndarray) and recordings.ndim == 1 + (front_end.channels > 1):
        found = [recordings]
    else:
        found = recordings
    features = [_features(one, front_end) for one in found]
    features = [one for one in features if len(one)]
    if not features:
        raise InputError("no recording is as long as one frame of the front end")
    return features


def _features(recording: Any, front_end: FrontEnd) -> npt.NDArray[np.float32]:
    if isinstance(recording, Recording):
        return front_end.features(recording.samples, recording.times)
    return front_end.features(np.asarray(recording))
