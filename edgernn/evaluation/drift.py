"""What time does to a stream: how far quantized is from float, and how long a reset is felt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError
from edgernn.evaluation.runs import Run

Array = npt.NDArray[Any]

SETTLED = 1.0
"""Percent of the outputs' range below which a difference is no longer felt."""


def drift(
    quantized: Run, exact: Run, blocks: Iterable[tuple[Array, Array | None]], points: int = 60
) -> dict[str, list[float]]:
    """RMS difference of two runs over a stream that is never reset, in percent of float's range.

    `steps` are the last predictions of `points` parts of equal length.

    Raises:
        InputError: the stream brings no prediction.
    """
    quantized.reset()
    exact.reset()
    squares, low, high = [], np.inf, -np.inf
    for samples, times in blocks:
        one = quantized.real(quantized.push(samples, times).raw)
        other = exact.real(exact.push(samples, times).raw)
        if not len(one):
            continue
        squares.append(np.square(one.astype(np.float64) - other).mean(axis=1))
        low, high = min(low, float(other.min())), max(high, float(other.max()))
    if not squares:
        raise InputError("the recordings are too short for a single prediction")
    parts = np.array_split(np.concatenate(squares), points)
    parts = [part for part in parts if len(part)]
    spread = max(high - low, 1e-12)
    return {
        "steps": np.cumsum([len(part) for part in parts]).tolist(),
        "rms_percent": [float(100 * np.sqrt(part.mean()) / spread) for part in parts],
    }


def warmup(
    start: Callable[[], Run],
    samples: Array,
    rate: float,
    unit: int,
    ahead: int,
    length: int,
    trials: int = 8,
    points: int = 200,
) -> dict[str, Any]:
    """How a run that begins in the middle of samples comes to agree with one that heard them all.

    `samples` come at `rate`, `unit` of them make a step. The longer run hears `ahead` of them at
    least before the other begins, and both hear `length` then. The difference is the mean over
    the outputs and `trials` beginnings, in percent of the outputs' range. `settled` is the step
    after which it stays below `SETTLED` percent, None if it never does.

    Raises:
        InputError: there are too few samples.
    """
    free = len(samples) - ahead - length
    if free < 0 or length < unit:
        raise InputError(
            f"{len(samples):,} samples in one piece are too few to see how a model warms up"
        )
    long = start()
    whole = long.push(samples)
    outputs = long.real(whole.raw).astype(np.float64)
    apart = []
    for trial in range(trials):
        first = (ahead + free * trial // max(1, trials - 1)) // unit * unit
        short = start()
        answers = short.push(samples[first : first + length])
        mine = short.real(answers.raw).astype(np.float64)
        if not len(mine):
            raise InputError(f"{length:,} samples are too few for a single prediction")
        same = answers.times[0] + first / rate * 1e6 - unit / rate * 5e5
        theirs = outputs[int(np.searchsorted(whole.times, same)) :][: len(mine)]
        apart.append(np.abs(mine[: len(theirs)] - theirs).mean(axis=1))
    steps = min(len(one) for one in apart)
    spread = max(float(outputs.max() - outputs.min()), 1e-12)
    mean = 100 / spread * np.mean([one[:steps] for one in apart], axis=0)
    felt = np.flatnonzero(mean > SETTLED)
    settled = int(felt[-1]) + 1 if len(felt) else 0
    kept = np.unique(np.geomspace(1, steps, min(points, steps)).astype(int)) - 1
    return {
        "steps": (kept + 1).tolist(),
        "difference_percent": mean[kept].tolist(),
        "settled": settled if settled < steps else None,
    }
