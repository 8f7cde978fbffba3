"""A slow sensor's readings some time ahead.

The network is told the present frame and says how it will change, so that it starts from what is
known without one: that all stays as it is.
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
from edgernn.labelled import Labelled

AHEAD: Final = 12
"""Frames, if no horizon is given: an hour of readings every 5 minutes."""
WINDOW: Final = 72
"""Frames through which gradients flow."""
WARMUP: Final = 24
"""Frames at a stream's start that are not learned from."""


def plan(settings: Settings, recordings: Sequence[Labelled]) -> Plan:
    """What will be trained.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    parts = series.parts_of(settings, recordings)
    front_end = series.front_end_of(settings, parts.train)
    return Plan(front_end, parts, front_end.frame_shape[0], head="linear")


def train(
    settings: Settings, recordings: Sequence[Labelled], progress: Progress | None = None
) -> Trained:
    """Train on the first part, convert, and write; a checkpoint in the folder is continued.

    Raises:
        InputError: the recordings or the settings do not fit.
    """
    deterministic(settings.fit.seed)
    keras.utils.clear_session()
    parts = series.parts_of(settings, recordings)
    front_end = series.front_end_of(settings, parts.train)
    rate = front_end.frame_rate
    horizon = max(1, round(settings.horizon * rate)) if settings.horizon else AHEAD
    learned = series.frames_of(front_end, parts.train)
    batches = series.stretches(settings, learned, horizon, rate, (WINDOW, WARMUP))
    model, twin = series.networks(settings, learned[0].shape[1], residual=True)
    judged = series.frames_of(front_end, parts.validation)
    validation = series.validation_of(judged, horizon, WARMUP)
    history = fit(
        model, twin, batches, validation, "values", settings.fit, settings.folder, progress
    )
    converted = convert(model, series.calibration(learned), precision=settings.precision)
    converted = configure(converted, front_end, settings.detector or None)
    facts = {
        **described(settings, parts, "--task", "forecast", "--horizon", f"{horizon / rate:g}"),
        "horizon_seconds": horizon / rate,
        "validation_is": "minus the mean error, in standard deviations of the training part",
    }
    (settings.folder / CHECKPOINT).unlink(missing_ok=True)
    return write(settings, model, converted, history, facts)
