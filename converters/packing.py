"""Sequences of several inputs as one array, and rows of several outputs as one.

All between the user's data and the interpreter works on one array `(T, ...)` for a sequence: with
one input it is that input's, with several it is `(T, n)`, their flattened frames side by side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.ports import Input, Output
from edgernn.errors import InputError
from edgernn.sequences import read_arrays

Array = npt.NDArray[np.float32]


def pack(inputs: Sequence[Input], arrays: Sequence[Array]) -> Array:
    """The arrays `(T, *features)` of one sequence as one; inputs without time are repeated."""
    if len(inputs) == 1:
        return arrays[0]
    length = next(len(a) for a, one in zip(arrays, inputs, strict=True) if one.is_sequence)
    return np.concatenate(
        [
            a.reshape(length, one.size)
            if one.is_sequence
            else np.broadcast_to(a.reshape(1, -1), (length, one.size))
            for a, one in zip(arrays, inputs, strict=True)
        ],
        axis=1,
    )


def unpack(inputs: Sequence[Input], packed: Array) -> list[Array]:
    """The array `(T, *features)` of each input, of those without time too."""
    if len(inputs) == 1:
        return [packed]
    cuts = np.cumsum([one.size for one in inputs])[:-1]
    parts = np.split(packed, cuts, axis=1)
    return [p.reshape(-1, *one.features) for p, one in zip(parts, inputs, strict=True)]


def pack_rows(arrays: Sequence[Any]) -> Array:
    """Rows of each output as one array; that of the only output as it is."""
    if len(arrays) == 1:
        return arrays[0]  # type: ignore[no-any-return]
    return np.concatenate([np.reshape(a, (len(a), -1)) for a in arrays], axis=1)


def unpack_rows(outputs: Sequence[Output], packed: Array) -> list[Array]:
    """Rows `(n, *shape)` of each output."""
    if len(outputs) == 1:
        return [packed]
    cuts = np.cumsum([one.size for one in outputs])[:-1]
    parts = np.split(packed, cuts, axis=1)
    return [p.reshape(-1, *one.shape) for p, one in zip(parts, outputs, strict=True)]


def checked(item: Any, one: Input, where: str) -> Array:
    """An array `(T, *features)` of finite numbers; `(*features,)` for an input without time.

    Raises:
        InputError: it is not that; the message begins with `where`.
    """
    try:
        values = np.asarray(item, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{where} does not hold numbers") from None
    shape = values.shape[1:] if one.is_sequence else values.shape
    if shape != one.features or values.ndim != len(one.features) + one.is_sequence:
        wanted = ", ".join(map(str, [*(["T"] if one.is_sequence else []), *one.features]))
        raise InputError(f"{where} has shape {values.shape}, the model needs ({wanted})")
    if not np.isfinite(values).all():
        frame = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"{where}, frame {frame}: NaN or infinite")
    if one.vocabulary is not None and not ((values >= 0) & (values < one.vocabulary)).all():
        raise InputError(f"{where} holds tokens that are not from 0 to {one.vocabulary - 1}")
    return values


def several(calibration: Any, inputs: Sequence[Input]) -> list[Array]:
    """Packed sequences of a model with several inputs.

    Args:
        calibration: a dict or tuple of arrays `(N, T, *features)` (`(N, *features)` without time),
            a list of dicts or tuples of one sequence each, or an `.npz` of such arrays.
        inputs: the model's.

    Raises:
        InputError: something is missing or does not fit.
    """
    names = [one.name for one in inputs]
    if isinstance(calibration, (str, os.PathLike)):
        calibration = read_arrays(calibration)
    if isinstance(calibration, (Mapping, tuple)):
        columns = _in_order(calibration, names, "the calibration data")
        if len({len(column) for column in columns}) > 1:
            counts = ", ".join(f"{n}: {len(c)}" for n, c in zip(names, columns, strict=True))
            raise InputError(f"the calibration data has unequal numbers of sequences ({counts})")
        rows: list[Any] = list(zip(*columns, strict=True))
    else:
        rows = list(calibration)
    packed = []
    for number, row in enumerate(rows):
        where = f"calibration sequence {number}"
        arrays = [
            checked(item, one, f"{where}, '{one.name}',")
            for item, one in zip(_in_order(row, names, where), inputs, strict=True)
        ]
        lengths = {len(a) for a, one in zip(arrays, inputs, strict=True) if one.is_sequence}
        if len(lengths) > 1:
            raise InputError(f"{where} has inputs of {sorted(lengths)} frames")
        packed.append(pack(inputs, arrays))
    return packed


def _in_order(values: Any, names: Sequence[str], where: str) -> list[Any]:
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise InputError(
                f"{where} is for {', '.join(values)}; the model takes {', '.join(names)}"
            )
        return [values[name] for name in names]
    if not isinstance(values, (tuple, list)) or len(values) != len(names):
        raise InputError(f"{where} must be a dict or tuple of {', '.join(names)}")
    return list(values)
