"""Small models for exports: a GRU on frames, and one with a front end, labels and a detector."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb

from edgernn import load
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.metadata import Golden, Metadata, Output
from tests.edgernn.stepfile import add_metadata

LABELS = ("still", 'sh"ake', "Gähnen")
FRONT_END = SensorFrontEnd(
    100.0, ("x", "y", "z"), stages=({"stage": "magnitude", "channels": [0, 1, 2]},)
)
DETECTOR = {
    "kind": "trigger",
    "threshold": 0.4,
    "smoothing": 2,
    "report": "both",
    "refractory": 0.1,
}


def with_metadata(data: bytes, document: Metadata) -> bytes:
    model = fb.ModelT.InitFromPackedBuf(data, 0)
    add_metadata(model, document.to_json())
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def described(data: bytes, steps: int = 12, **fields) -> bytes:
    """The file with metadata and a golden sequence of TensorFlow Lite Micro."""
    model = load(data)
    document = Metadata(outputs=(Output("y", LABELS[: model.y.shape[-1]]),), **fields)
    info = np.iinfo(model.x.dtype)
    random = np.random.default_rng(3)
    shape = (steps * document.frames_per_step, *load(with_metadata(data, document)).frames.shape)
    frames = random.integers(info.min, info.max, shape).astype(model.x.dtype)
    outputs = load(with_metadata(data, document)).stream("tflm").push_raw(frames)
    golden = Golden(steps, frames.tobytes(), np.asarray(outputs).tobytes(), 2.0, "tflite-micro")
    fields = {**fields, "golden": golden}
    return with_metadata(data, Metadata(outputs=document.outputs, **fields))
