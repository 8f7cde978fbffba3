"""A threshold for anomalies, from recordings in which there are none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgernn.detectors.anomaly import AnomalyStream, calibrate_threshold
from edgernn.errors import InputError
from edgernn.model import Model
from edgernn.pipeline import Pipeline, prediction_rate


def calibrated(
    model: Model, recordings: Iterable[Any], per_hour: float = 0.1, backend: str = "auto"
) -> float:
    """The lowest threshold with at most so many false alarms an hour on normal recordings.

    `recordings` are arrays of samples, or pairs of samples and their times. The model's detector is
    an anomaly detector, with any threshold.

    Raises:
        InputError: it is not, or the recordings give no prediction.
    """
    pipeline = Pipeline(model, backend)
    stream = pipeline.events
    if not isinstance(stream, AnomalyStream):
        raise InputError("only a detector of kind 'anomaly' has a threshold to calibrate")
    detector = stream.detector
    scores = []
    for recording in recordings:
        pipeline.reset()
        stream.observed = []
        pipeline.push(*(recording if isinstance(recording, tuple) else (recording,)))
        if stream.observed:
            sums = np.concatenate(stream.observed)
            scores.append(sums / detector.many * detector.unit)
    if not scores:
        raise InputError("the normal recordings are too short for a single prediction")
    return calibrate_threshold(scores, prediction_rate(model, pipeline.front_end), per_hour)
