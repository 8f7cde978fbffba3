"""Forecasts: how far they are from what came, beside what is known without a model.

Persistence says that everything stays as it is; the seasonal baseline, that it will be as it was a
season before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.errors import InputError
from edgernn.evaluation.runs import Run, samples_of
from edgernn.frontends import FrontEnd
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.frontends.stages import Standardise
from edgernn.labelled import Labelled
from edgernn.model import Model

Array = npt.NDArray[np.float64]

DAY = 86400.0


@dataclass(frozen=True)
class Horizon:
    """What is forecast: `elements` of the frame, `seconds` ahead; `season` seconds make a season.

    Of each recording, what is forecast before the share `after` of it is left out.
    """

    elements: tuple[int, ...]
    seconds: float
    season: float = DAY
    after: float = 0.0


def horizon_of(
    model: Model, seconds: float | None, season: float = DAY, after: float = 0.0
) -> Horizon:
    """That of the model's anomaly detector, or `seconds` and the first elements of the frame.

    Raises:
        InputError: neither tells how far the model looks ahead.
    """
    front_end = frontends.read(model.metadata.front_end)
    detector = model.metadata.detector
    outputs = int(np.prod(model.prediction_shape))
    elements = tuple(range(outputs))
    if detector.get("kind") == "anomaly":
        elements = tuple(detector.get("elements") or elements)
        seconds = seconds or detector.get("horizon", 1) / front_end.frame_rate
    if not seconds:
        raise InputError("say how far ahead the model forecasts, in seconds: --horizon 3600")
    if max(elements) >= int(np.prod(front_end.frame_shape)):
        raise InputError("the model gives more values than a frame has: it is no forecast of it")
    return Horizon(elements, float(seconds), season, after)


def errors(
    runs: Sequence[Run], front_end: FrontEnd, recordings: Sequence[Labelled], horizon: Horizon
) -> dict[str, Array]:
    """Errors `(n, elements)` in the units of the samples, of the same moments for all.

    By name: of each run, `persistence`, and `seasonal` where a recording is longer than a season.
    """
    parts: dict[str, list[Array]] = {}
    for recording in recordings:
        for name, found in _errors(runs, front_end, recording, horizon).items():
            parts.setdefault(name, []).append(found)
    return {name: np.concatenate(found) for name, found in parts.items()}


def _errors(
    runs: Sequence[Run], front_end: FrontEnd, recording: Labelled, horizon: Horizon
) -> dict[str, Array]:
    samples, stamps = samples_of(recording)
    frames = front_end.stream().push(samples, stamps)
    if not len(frames):
        return {}
    values = (frames.features * front_end.scale)[:, list(horizon.elements)]
    period = 1e6 / front_end.frame_rate
    first = recording.seconds * 1e6 * horizon.after
    actual = _at(frames.times, values, frames.times + round(horizon.seconds * 1e6), period)
    actual[frames.times < first] = np.nan
    guesses = {"persistence": values}
    back = round((horizon.season - horizon.seconds) * 1e6)
    if recording.seconds > horizon.season:
        guesses["seasonal"] = _at(frames.times, values, frames.times - back, period)
    for run in runs:
        run.reset()
        answers = run.push(samples, stamps)
        real = run.real(answers.raw).astype(np.float64)
        guesses[run.name] = _at(answers.times, real, frames.times, period)
    gain = gains(front_end)[list(horizon.elements)]
    apart = {name: (guess - actual) * gain for name, guess in guesses.items()}
    known = np.all([np.isfinite(one).all(axis=1) for one in apart.values()], axis=0)
    return {name: one[known] for name, one in apart.items()}


def _at(times: Any, values: Any, wanted: Any, period: float) -> Array:
    """Values `(n, k)` at wanted times; NaN where there is none within half a period."""
    if not len(times):
        return np.full((len(wanted), values.shape[1]), np.nan)
    place = np.searchsorted(times, wanted - period / 2).clip(0, len(times) - 1)
    near = np.abs(times[place] - wanted) <= period / 2
    return np.where(near[:, np.newaxis], values[place], np.nan)


def gains(front_end: FrontEnd) -> Array:
    """Units of the samples in one of each feature: what a standardisation divided by."""
    size = int(np.prod(front_end.frame_shape))
    last = front_end.made[-1:] if isinstance(front_end, SensorFrontEnd) else ()
    if last and isinstance(last[0], Standardise):
        return np.array(last[0].std, np.float64)
    return np.ones(size)


def to_dict(found: dict[str, Array], horizon: Horizon, unit: str) -> dict[str, Any]:
    """As the evaluation document has it.

    Raises:
        InputError: there is no moment at which all can be compared.
    """
    if not found or not all(len(one) for one in found.values()):
        raise InputError("the recordings are too short for a single forecast and its outcome")
    return {
        "horizon_seconds": horizon.seconds,
        "season_seconds": horizon.season,
        "unit": unit,
        "count": len(next(iter(found.values()))),
        "mae": {name: float(np.abs(one).mean()) for name, one in found.items()},
        "rmse": {name: float(np.sqrt(np.square(one).mean())) for name, one in found.items()},
    }
