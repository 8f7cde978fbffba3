"""A model that hears sound: log-mel bands, a GRU of random weights, a trigger."""

from __future__ import annotations

from dataclasses import replace

from converters.flatfile import add_metadata
from edgernn import load
from edgernn.frontends.audio import AudioFrontEnd
from edgernn.metadata import Input, Normalisation, Output
from tests.targets.build import step_model

FRONT_END = AudioFrontEnd(rate=8000, window=256, hop=80, bands=20)
DETECTOR = {"kind": "trigger", "threshold": 0.6, "smoothing": 10, "report": "both"}
LABELS = ("yes", "no", "up", "down")


def speech_model() -> bytes:
    """Samples of 8 kHz to events, a frame each 10 ms."""
    data = step_model("gru", "int8", features=20, units=24, classes=len(LABELS))
    document = replace(
        load(data).metadata,
        front_end=FRONT_END.config(),
        detector=DETECTOR,
        inputs=(Input("x", normalisation=Normalisation((0.25,), (2.0,))),),
        outputs=(Output("y", LABELS),),
    )
    return add_metadata(data, document)
