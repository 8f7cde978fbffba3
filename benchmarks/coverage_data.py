"""Models with weights, made-up sequences, and errors, for benchmarks/coverage.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def built(name: str) -> Any:
    """The model of a row with weights that use every term."""
    import keras

    from benchmarks.coverage_files import CASES
    from tests.converters.test_trace import randomized

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return randomized(CASES[name].make())


def sequences(model: Any, count: int) -> list[Any]:
    """Made-up sequences as the model takes them: an array each, or a tuple of them."""
    from benchmarks.coverage_rows import STEPS, TOKENS

    random = np.random.default_rng(1)
    result = []
    for _ in range(count):
        arrays = []
        for tensor in model.inputs:
            shape = tuple(STEPS if n is None else n for n in tensor.shape[1:])
            if "int" in str(tensor.dtype):
                arrays.append(random.integers(0, TOKENS, shape).astype(np.int32))
            else:
                arrays.append(random.normal(size=shape).astype(np.float32))
        for layer in model.layers:
            if type(layer).__name__ == "Masking":
                arrays[0][3:6] = layer.mask_value
        result.append(tuple(arrays) if len(arrays) > 1 else arrays[0])
    return result


def predicted(model: Any, sequence: Any) -> list[Array]:
    """Keras on a whole sequence: an array for each output."""
    batch = [a[None] for a in sequence] if isinstance(sequence, tuple) else sequence[None]
    found = model.predict(batch, verbose=0)
    if isinstance(found, dict):
        found = list(found.values())
    return [np.asarray(y)[0] for y in (found if isinstance(found, list) else [found])]


def errors(expected: Sequence[Array], got: Sequence[Array]) -> tuple[float, float]:
    """Largest difference, and root mean square in % of the range; of the worst output."""
    largest, relative = 0.0, 0.0
    for y, rows in zip(expected, got, strict=True):
        if rows.ndim == y.ndim + 1:  # Keras gives the last frame alone
            rows = rows[-1]
        assert 0 < len(rows) <= len(y), f"{rows.shape} rows for {y.shape}"
        y = y[: len(rows)]
        rows = rows.reshape(y.shape)
        scale = max(1.0, float(np.abs(y).max()))
        largest = max(largest, float(np.abs(rows - y).max()) / scale)
        spread = float(np.ptp(y)) or 1.0
        relative = max(relative, 100 * float(np.sqrt(np.mean((rows - y) ** 2))) / spread)
    return largest, relative
