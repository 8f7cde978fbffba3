"""Matrix products of int8 activations with int16 results: the gates of the fused LSTM.

FULLY_CONNECTED itself never has these types. A sum is rescaled with the two roundings of 8-bit
kernels, and its scale may be larger than its own. Rows come in fours that share a scaling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgernn.tflite import Operator
from targets.lowering import simd
from targets.lowering.base import Model
from targets.lowering.fully_connected import (
    Dense,
    append,
    append_stream,
    blocks,
    function_name,
    pack_dsp,
    pack_mve_s8,
    padded,
    paired,
    part_name,
)

Ends = Sequence[tuple[int, int, int, int]]
"""What rescales the sum of each row, as the kernels' files describe it."""

Pack = Callable[[npt.NDArray[np.int8]], bytes]


def wide_product(model: Model, op: Operator, dense: Dense, group: int) -> None:
    """Append the fastest kernel that is exact; so many rows in a `group` share a scaling."""
    if any(not -31 <= s <= 16 for _, s in dense.scalings):
        raise model.unsupported("its scales are out of range")
    left = max(0, *(s for _, s in dense.scalings))
    low = min(s for _, s in dense.scalings)
    if dense.largest_sum >= 1 << 31:
        raise model.unsupported("its sums may leave 32 bits")
    roomy = dense.largest_sum << left < 1 << 29 and low >= -28
    if model.core.mve and roomy:
        ends = [(m, max(s, 0), -int(s < 0), min(s, 0)) for m, s in dense.scalings]
        stream = _stream(dense, 1, ends, pack_mve_s8)
        append_stream(model, op, "mve", dense, stream, padded(model, op, dense))
    elif model.core.simd and roomy and left == 0 and dense.weights.min() > -128:
        _simd(model, op, dense)
    elif model.core.dsp and roomy:
        right = [max(-s, 0) for _, s in dense.scalings]
        ends = [
            (m, max(s, 0), 1 << r, r + 1) for (m, s), r in zip(dense.scalings, right, strict=True)
        ]
        stream = _stream(dense, 2, ends, pack_dsp)
        append_stream(model, op, "dsp", dense, stream, paired(model, op, dense))
    else:
        _row_major(model, op, dense, group)


def _stream(dense: Dense, factor: int, ends: Ends, pack: Pack) -> bytes:
    words = np.array(ends, "<i4")
    return blocks(dense, dense.folded_bias * factor, pack, lambda four: words[four][0].tobytes())


def _row_major(model: Model, op: Operator, dense: Dense, group: int) -> None:
    """Append the kernel of any core."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    scalings = dense.scalings[::group]
    names = [
        model.constant(values, part_name(op, model, part), label).name
        for values, part in (
            (dense.weights.astype(np.int8), "weights"),
            (dense.folded_bias.astype(np.int32), "bias"),
            (np.array([m for m, _ in scalings], np.int32), "multiplier"),
            (np.array([s for _, s in scalings], np.int8), "shift"),
        )
    ]
    parameters = f"{', '.join(names)}, {rows}, {columns}, {group}, 0"
    function = function_name(dense)
    append(model, op, function, "edgernn_fully_connected_t", parameters, dense.x, dense)


def _simd(model: Model, op: Operator, dense: Dense) -> None:
    """Append the kernel for vector units; kernels/edgernn_simd.h describes its parameters."""
    rows, columns = dense.weights.shape
    label = f"{model.layer(op)} [{rows}, {columns}]"
    weights = model.constant(simd.blocks(dense.weights), part_name(op, model, "weights"), label)
    parameters: dict[str, npt.ArrayLike] = {
        "bias": dense.folded_bias,
        "moved_bias": simd.wrapped(dense.folded_bias - 128 * dense.weights.sum(1)),
        "multiplier": [m for m, _ in dense.scalings],
        "offset": [1 << -s for _, s in dense.scalings],
        "shift": [1 - s for _, s in dense.scalings],
    }
    names = [
        model.constant(simd.per_row(values, rows), part_name(op, model, part), label).name
        for part, values in parameters.items()
    ]
    record = f"{weights.name}, {', '.join(names)}"
    kind = "edgernn_fully_connected_simd_t"
    function = function_name(dense, "simd")
    append(model, op, function, kind, record, dense.x, dense, f"{rows}, {columns}, ")
