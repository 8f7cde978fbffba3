"""Weights and parameters as kernels/edgernn_simd.h wants them: blocks of 16 rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

ROWS = 16


def blocks(weights: Integers) -> npt.NDArray[np.int8]:
    """16 rows after 16 rows; in each, 4 columns of every row after 4 columns."""
    rows, columns = weights.shape
    padded = np.zeros((-(-rows // ROWS) * ROWS, -(-columns // 8) * 8), np.int8)
    padded[:rows, :columns] = weights
    return padded.reshape(-1, ROWS, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)


def per_row(values: npt.ArrayLike, rows: int) -> npt.NDArray[np.int32]:
    """One number for each row, also where the rows share one; padded to whole blocks."""
    result = np.zeros(-(-rows // ROWS) * ROWS, np.int32)
    result[:rows] = values
    return result


def wrapped(values: Integers) -> npt.NDArray[np.int32]:
    """The lower 32 bits: a sum may begin out of range if it ends inside."""
    return values.astype(np.uint64).astype(np.uint32).view(np.int32)
