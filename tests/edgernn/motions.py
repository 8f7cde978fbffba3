"""A small model of four channels of a sensor, in whatever role its detector gives it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.labelled import Labelled
from edgernn.metadata import Metadata, Output
from edgernn.model import Model
from tests.edgernn.stepfile import build

LABELS = ("sit", "walk", "run", "fall")
FRONT_END = SensorFrontEnd(50.0, tuple("pqrs"), 0.001)
VOTE = {"kind": "majority", "window": 0.2, "minimum": 0.1}


def motion_model(detector=VOTE, dtype="int8", front_end=FRONT_END, **more):
    document = Metadata(
        outputs=(Output(labels=LABELS),), front_end=front_end.config(), detector=detector or {}
    )
    return Model(build(dtype, metadata=replace(document, **more)))


def motion(spans, seconds=10.0, group="x", name="m", seed=0, clock=False):
    """A recording in which the channel of the label that is true is high."""
    random = np.random.default_rng(seed)
    at = np.arange(round(seconds * 50)) / 50
    samples = random.normal(-0.4, 0.1, (len(at), 4))
    for span in spans:
        inside = (at >= span.start) & (at < span.end)
        samples[inside, LABELS.index(span.label) if span.label in LABELS else 0] += 1.0
    times = 7_000_000 + np.rint(at * 1e6).astype(np.int64) if clock else None
    return Labelled(name, samples, 50.0, group, spans=tuple(spans), times=times)
