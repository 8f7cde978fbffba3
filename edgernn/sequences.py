"""Recordings on disk, whole (for calibration) or frame by frame (for running a model).

Whole: `.npy`, `.npz`, `.csv`, or a folder of them. Frame by frame: `.npy`, or text with one frame
per line, CSV or JSON, also from a pipe. Every error names the file, and the line if it has lines.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError

Array = npt.NDArray[Any]

SUFFIXES: Final = (".npy", ".npz", ".csv")

_SEPARATOR: Final = re.compile(r"\s*[,;\t]\s*|\s+")


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of an `.npz` by name, all of real numbers.

    Raises:
        InputError: it is no such file, or is damaged.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: a model of several inputs needs an .npz with an array for each")
    arrays = _read_numpy(path)
    with np.load(path, allow_pickle=False) as loaded:
        return dict(zip(loaded.files, arrays, strict=True))


def read_sequences(path: str | os.PathLike[str], rank: int = 2) -> list[Array]:
    """Every sequence of a file or folder, each an array `(T, *features)` of real numbers.

    An array `(N, T, *features)` is N sequences, `(T, features)` is one; `rank` is the number of
    axes of one sequence at least: 1 for a sequence of tokens. A `.csv` has one frame per
    row and is one sequence; a header row is skipped. Files of a folder are taken in order of name.

    Raises:
        InputError: nothing to read, or a file that cannot be read; the message names it.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(f"{path}: the folder holds no {', '.join(SUFFIXES)} file")
        return [sequence for file in files for sequence in read_sequences(file, rank)]
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return [_read_csv(path).reshape(-1) if rank == 1 else _read_csv(path)]
    if suffix in (".npy", ".npz"):
        arrays = _read_numpy(path)
        return [sequence for array in arrays for sequence in _split(array, path, rank)]
    raise InputError(f"{path}: not a recording that can be read ({', '.join(SUFFIXES)}, a folder)")


def read_frames(path: str | os.PathLike[str]) -> Iterator[tuple[int, Array | None]]:
    """The frames of one recording with their numbers, read as they are asked for.

    None stands where a sequence ends, see `parse_frames`.

    The number is the line in a text file and the position, from 1, in a `.npy`.

    Raises:
        InputError: the file cannot be read, or a line of it is no frame.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        raise InputError(f"{path}: an .npz can hold many recordings; pass one of them as .npy")
    if suffix == ".npy":
        (array,) = _read_numpy(path)
        if array.ndim < 1:
            raise InputError(f"{path}: shape {array.shape} is not (T, features)")
        yield from enumerate(array, start=1)
        return
    try:
        with path.open(encoding="utf-8-sig") as lines:
            yield from parse_frames(lines, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None


def parse_frames(lines: Iterable[str] | TextIO, where: str) -> Iterator[tuple[int, Array | None]]:
    """The frames of text lines with their line numbers, each as soon as its line is there.

    A line is a JSON list, a JSON object with the frame under `"x"` or `"frame"`, or numbers
    between commas, semicolons, tabs or blanks. The first line may be a header. An empty line behind
    frames ends a sequence: None stands for it.

    Raises:
        InputError: a line is no frame; the message names `where` and the line.
    """
    number, first, open_sequence = 0, True, False
    try:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text and open_sequence:
                open_sequence = False
                yield number, None
            if not text or text.startswith("#"):
                continue
            header, first = first, False
            open_sequence = True
            if text[0] in "[{":
                yield number, _json_frame(text, f"{where}, line {number}")
            elif not (header and _is_header(text)):
                yield number, _csv_frame(text, f"{where}, line {number}")
    except UnicodeDecodeError:
        raise InputError(f"{where}, after line {number}: not text") from None


def _json_frame(text: str, where: str) -> Array:
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            value = value["x"] if "x" in value else value["frame"]
        frame = np.asarray(value)
    except KeyError:
        raise InputError(f'{where}: the object has no "x" and no "frame"') from None
    except (ValueError, RecursionError):
        raise InputError(f"{where}: not a JSON list of numbers") from None
    if frame.dtype.kind not in "fiu" or frame.ndim == 0:
        raise InputError(f"{where}: not a JSON list of numbers")
    return frame.astype(np.float64)


def _csv_frame(text: str, where: str) -> Array:
    cells = _SEPARATOR.split(text)
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        bad = next(cell for cell in cells if not _is_number(cell))
        raise InputError(f"{where}: '{bad[:40]}' is not a number") from None


def _is_header(text: str) -> bool:
    return not any(_is_number(cell) for cell in _SEPARATOR.split(text))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_csv(path: Path) -> Array:
    frames = [(n, f) for n, f in read_frames(path) if f is not None]
    if not frames:
        raise InputError(f"{path}: no frame in it")
    width = frames[0][1].shape
    for number, frame in frames:
        if frame.shape != width:
            raise InputError(
                f"{path}, line {number}: {frame.size} values, line {frames[0][0]} has {width[0]}"
            )
    return np.stack([frame for _, frame in frames])


def _read_numpy(path: Path) -> list[Array]:
    """The arrays of a `.npy` or `.npz`, all of real numbers."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = [loaded[name] for name in loaded.files] if hasattr(loaded, "files") else [loaded]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None
    except Exception as error:  # a damaged archive raises from zipfile, zlib, ast or tokenize
        reason = "it holds Python objects" if "allow_pickle" in str(error) else "it is damaged"
        raise InputError(
            f"{path}: cannot be read ({reason}): save plain arrays of numbers"
        ) from None
    if not arrays:
        raise InputError(f"{path}: no array in it")
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise InputError(f"{path}: holds {array.dtype} values, not real numbers")
    return arrays


def _split(array: Array, path: Path, rank: int) -> list[Array]:
    if array.ndim < rank or 0 in array.shape:
        raise InputError(
            f"{path}: shape {array.shape} is neither (N, T, features) nor (T, features)"
        )
    return [array] if array.ndim == rank else list(array)


def _reason(error: OSError) -> str:
    return (error.strerror or " ".join(str(error).split())).lower()
