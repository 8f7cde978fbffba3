"""A small model that hears tones: four bands, and a score for each that rises while it is loud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.frontends.audio import AudioFrontEnd
from edgernn.labelled import Labelled
from edgernn.metadata import Input, Metadata, Normalisation, Output
from edgernn.model import Model
from tests.edgernn.stepfile import build

RATE = 8000
LABELS = ("a", "b", "c", "d")
PITCHES = {"a": 380, "b": 950, "c": 1650, "d": 3000}
FRONT_END = AudioFrontEnd(rate=RATE, window=256, hop=160, bands=4, low=125)
TRIGGER = {"kind": "trigger", "threshold": 0.6, "release": 0.5, "smoothing": 3}


def tone_model(detector=TRIGGER, dtype="int8", **more):
    # Log energies above 2 are loud, and make a score rise over some frames; silence is -16.
    normalisation = Normalisation((0.75,), (-1.5,))
    document = Metadata(
        inputs=(Input(normalisation=normalisation),),
        outputs=(Output(labels=LABELS),),
        front_end=FRONT_END.config(),
        detector=detector or {},
    )
    return Model(build(dtype, metadata=replace(document, **more)))


def tone(label, seconds=0.3, level=2000, group="x", name=None, seed=0):
    random = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    wave = level * np.sin(2 * np.pi * PITCHES[label] * at) + random.normal(0, 3, len(at))
    return Labelled(name or f"{label}_{group}_{seed}", wave.astype(np.int16), RATE, group, label)


def tones(groups=("x", "y"), takes=2):
    return [
        tone(label, 0.2 + 0.05 * take, group=group, seed=take)
        for label in LABELS
        for group in groups
        for take in range(takes)
    ]
