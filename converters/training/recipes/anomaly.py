"""Anomalies of a slow sensor: readings far from what was forecast some time before.

It learns from the first part of the data alone and takes that for normal; no label is looked at.
Most of that part trains the network, the rest chooses among its epochs, and the threshold is
what the quantized pipeline itself says of all of it: the lowest with at most an alarm a month.
Since that part is mostly shorter than a month, this is a tenth above its highest score.

The forecast looks far ahead: what a machine does in five minutes is always like what it did
before, and only half a day later is a level that does not return to normal a large error. Errors
are averaged over as long a time, for an anomaly is a state and no moment.
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
AHEAD: Final = 48
"""Frames, if no horizon is given: half a day of frames every 15 minutes."""
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
    horizon = max(1, round(settings.horizon * rate)) if settings.horizon else AHEAD
    learned = series.frames_of(front_end, parts.train)
    batches = series.stretches(settings, learned, horizon, rate, (WINDOW, WARMUP))
    model, twin = series.networks(settings, learned[0].shape[1], residual=False)
    judged = series.frames_of(front_end, parts.validation)
    validation = series.validation_of(judged, horizon, WARMUP)
    history = fit(
        model, twin, batches, validation, "values", settings.fit, settings.folder, progress
    )
    converted = convert(model, series.calibration(learned), precision=settings.precision)
    detector = {
        "kind": "anomaly",
        "horizon": horizon,
        "smoothing": horizon,
        "minimum": MINIMUM / rate,
        "merge": MERGE / rate,
        **settings.detector,
    }
    if "threshold" not in settings.detector:
        converted = configure(converted, front_end, {**detector, "threshold": 1.0})
        normal = [series.pair(one) for one in series.joined(parts.train, parts.validation)]
        detector["threshold"] = calibrated(converted, normal, PER_HOUR)
    converted = configure(converted, front_end, detector)
    facts = {
        **described(settings, parts, "--task", "anomaly"),
        "horizon_seconds": horizon / rate,
        "threshold": detector["threshold"],
        "validation_is": "minus the mean error, in standard deviations of the training part",
    }
    (settings.folder / CHECKPOINT).unlink(missing_ok=True)
    return write(settings, model, converted, history, facts)
