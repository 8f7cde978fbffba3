"""Detectors in C against those in Python, event for event."""

from __future__ import annotations

import functools
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import targets
from edgernn import detectors
from targets.machine import machine
from tests.edgernn.test_detectors import facts, rises, tensor, times

KERNELS = Path(targets.__file__).parent / "kernels"
EVENT = np.dtype(
    [("label", "i4"), ("score", "i4"), ("start", "i8"), ("end", "i8"), ("phase", "i4")], align=True
)
CORES = ["host", "cortex-m0", "cortex-m4"]

TRIGGERS = [
    {"threshold": 0.5},
    {"threshold": 0.6, "smoothing": 7, "minimum": 0.02, "report": "both", "pause": 0.05},
    {"threshold": 0.4, "refractory": 0.3, "ignore": ["yes"], "labels": {"no": {"release": 0.1}}},
]
MAJORITIES = [{"window": 0.2}, {"window": 0.01, "minimum": 0.03, "ignore": ["no"]}]
ANOMALIES = [
    {"threshold": 1.0, "horizon": 0},
    {"threshold": 1.5, "horizon": 3, "smoothing": 5, "minimum": 0.02, "merge": 0.04},
    {"threshold": 2.5, "over": "max", "elements": [3, 0, 1], "release": 1.0},
]
CASES = [
    *(({"kind": "trigger", **config}) for config in TRIGGERS),
    *(({"kind": "majority", **config}) for config in MAJORITIES),
    *(({"kind": "anomaly", **config}) for config in ANOMALIES),
]


def around(dtype, config):
    """What the detector must know: an output of probabilities, or one like the frame."""
    frame = tensor(4, dtype, 0.05 if dtype == "int8" else 2**-10, 3 if dtype == "int8" else 0)
    if config["kind"] != "anomaly":
        y = tensor(3, dtype, *((1 / 256, -128) if dtype == "int8" else (1 / 32768, 0)))
    else:
        y = tensor(3 if "elements" in config else 4, dtype, frame.scale[0] * 1.3, 0)
    return facts(x=frame, y=y)


@functools.cache
def built(case, dtype, core):
    """The detector's C behind one function."""
    config = CASES[case]
    known = around(dtype, config)
    detector = detectors.read(config, known)
    outputs = known.y.shape[-1]
    stage = import_module(f"targets.detectors.{detector.kind}").generate(
        detector, "model", dtype, outputs
    )
    paired = ", x" if detector.kind == "anomaly" else ""
    headers = [f for f in stage.files if f.endswith(".h")]
    text = "\n".join(
        [
            '#include "edgernn_event.h"',
            *(f'#include "{h}"' for h in headers),
            stage.declarations,
            stage.definitions,
            f"""
void reset(model_detector_t *d);
int32_t push(model_detector_t *d, const {dtype}_t *y, const {dtype}_t *x, int64_t time_us,
             edgernn_event_t *events);
int32_t size(void);
void reset(model_detector_t *d) {{ detector_reset(d); }}
int32_t push(model_detector_t *d, const {dtype}_t *y, const {dtype}_t *x, int64_t time_us,
             edgernn_event_t *events) {{
  (void)x;
  return detector_push(d, y{paired}, time_us, events);
}}
int32_t size(void) {{ return (int32_t)sizeof(model_detector_t); }}
""",
        ]
    )
    files = {f: (KERNELS / f).read_text() for f in {*stage.files, "edgernn_event.h"}}
    run = machine({**files, "driver.c": text}, core, ["reset", "push", "size"])
    assert run.call("size") <= stage.ram + 8
    return detector, run


def inputs(config, dtype, steps=400):
    random = np.random.default_rng(1)
    known = around(dtype, config)
    if config["kind"] != "anomaly":
        y = rises(random, steps)
        if dtype == "int16":
            y = ((y.astype(np.int32) + 128) * 128).clip(-32768, 32767).astype(np.int16)
        return y, np.zeros((steps, 4), dtype)
    real = random.normal(0, 1, (steps, 4)) * (1 + (np.arange(steps) // 50 % 2 * 1.5))[:, None]
    frames = np.rint(real / known.x.scale[0]) + known.x.zero_point[0]
    made = np.rint(random.normal(0, 0.3, (steps, known.y.shape[-1])) / known.y.scale[0])
    info = np.iinfo(dtype)
    return tuple(a.clip(info.min, info.max).astype(dtype) for a in (made, frames))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_events_are_the_same_as_in_python(case, dtype, core):
    detector, run = built(case, dtype, core)
    predictions, frames = inputs(CASES[case], dtype)
    stamps = times(len(predictions))
    expected = detector.stream().push(predictions, stamps, frames)
    assert len(expected) > 2
    state = np.full(run.call("size"), 0xA5, np.uint8)
    run.call("reset", state)
    found, events = [], np.zeros(8, EVENT)
    for y, x, t in zip(predictions, frames, stamps, strict=True):
        count = run.call("push", state, y, x, np.int64(t), events)
        found += [tuple(event.item()) for event in events[:count]]
    names = detector.labels if detector.kind == "majority" else ("silence", "yes", "no")
    unit = detector.unit if detector.kind == "anomaly" else 1 / 32768
    got = [
        (
            "anomaly" if detector.kind == "anomaly" else names[label],
            score * unit,
            start / 1e6,
            end / 1e6,
            "on" if phase else "off",
        )
        for label, score, start, end, phase in found
    ]
    assert got == [(e.label, e.score, e.start, e.end, e.phase) for e in expected]
