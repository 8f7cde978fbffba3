"""Anomalies of a slow sensor: readings far from what was forecast some time before.

It learns from the first part of the data alone and takes that for normal; no label is looked at.
Most of that part trains the network; all of it, for a few days are too short to be divided, chooses
among the epochs, and sets the threshold by what the quantized pipeline itself says of it: the
lowest with at most an alarm a month. Since that part is mostly shorter than a month, this is a
tenth above its highest score.

How far the forecast looks ahead, and over how long errors are averaged, the autocorrelation of
that part says. What a machine does in five minutes is always like what it did before; only where
the series has forgotten itself, the forecast is what is normal, whatever the present, and a level
that does not return to it is a large error. The average is over what one independent value
stands for, for an anomaly is a state and no moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import keras

from converters.configure import configure
from converters.conversion import convert
from converters.training.fitting import Progress, deterministic, fit
from converters.training.outcome import Trained, write
from converters.training.plan import Plan
from converters.training.recipes import series
from converters.training.recipes.sensors import described
from converters.training.settings import CHECKPOINT, Settings
from edgernn.detectors.calibration import calibrated
from edgernn.labelled import Labelled

AVERAGE: Final = 3
"""Readings that are averaged into a frame."""
LONGEST: Final = 0.25
"""Of the longest stretch that is learned from: the horizon at most, where none is given."""
FARTHEST: Final = 511
"""Frames, the same: the average over twice as many is what a detector holds at most."""
MINIMUM: Final = 4
"""Frames above the threshold before it is an alarm: a short dip is none."""
MERGE: Final = 4
"""Frames below the release until an alarm is over."""
WINDOW: Final = 48
"""Frames through which gradients flow."""
WARMUP: Final = 12
"""Frames at a stream's start that are not learned from."""
PER_HOUR: Final = 1 / 730.5
"""Alarms in what was learned from, at most: one a month."""


def plan(settings: Settings, recordings: Sequence[Labelled]) -> Plan:
    """What will be trained.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    parts = series.parts_of(settings, recordings)
    front_end = series.front_end_of(settings, parts.train, AVERAGE)
    return Plan(front_end, parts, front_end.frame_shape[0], head="linear")


def train(
    settings: Settings, recordings: Sequence[Labelled], progress: Progress | None = None
) -> Trained:
    """Train on the first part, find the threshold on it, convert, and write.

    A checkpoint in the folder is continued.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    deterministic(settings.fit.seed)
    keras.utils.clear_session()
    parts = series.parts_of(settings, recordings)
    front_end = series.front_end_of(settings, parts.train, AVERAGE)
    rate = front_end.frame_rate
    learned = series.frames_of(front_end, parts.train)
    normal = series.joined(parts.train, parts.validation)
    usual = series.frames_of(front_end, normal)
    longest = min(FARTHEST, int(LONGEST * max(map(len, learned))))
    memory = series.memory_of(usual, longest)
    horizon = max(1, round(settings.horizon * rate)) if settings.horizon else memory.forgotten
    batches = series.stretches(settings, learned, horizon, rate, (WINDOW, WARMUP))
    model, twin = series.networks(settings, learned[0].shape[1], residual=False)
    validation = series.validation_of(usual, horizon, WARMUP)
    history = fit(
        model, twin, batches, validation, "values", settings.fit, settings.folder, progress
    )
    converted = convert(model, series.calibration(learned), precision=settings.precision)
    detector = {
        "kind": "anomaly",
        "horizon": horizon,
        "smoothing": memory.independent,
        "minimum": MINIMUM / rate,
        "merge": MERGE / rate,
        **settings.detector,
    }
    if "threshold" not in settings.detector:
        converted = configure(converted, front_end, {**detector, "threshold": 1.0})
        detector["threshold"] = calibrated(converted, map(series.pair, normal), PER_HOUR)
    converted = configure(converted, front_end, detector)
    facts = {
        **described(settings, parts, "--task", "anomaly"),
        "horizon_seconds": horizon / rate,
        "smoothing_seconds": detector["smoothing"] / rate,
        "threshold": detector["threshold"],
        "validation_is": "minus the mean error in all that is normal, in standard deviations",
    }
    (settings.folder / CHECKPOINT).unlink(missing_ok=True)
    return write(settings, model, converted, history, facts)
