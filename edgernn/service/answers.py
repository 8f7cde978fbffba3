"""What a running service tells of itself: its status, its hello and its scores, as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgernn import __version__
from edgernn.service.health import memory, temperature

if TYPE_CHECKING:
    from edgernn.model import Model
    from edgernn.service.loop import Service
    from edgernn.view import Update


def status_of(service: Service) -> dict[str, Any]:
    """How a service is; see docs/service.md."""
    meter, source, heat = service.meter, service.input, temperature()
    snapshot = None
    if service.settings.keep_state:
        snapshot = {"age": round(service.keeper.age, 1), "restored": service.keeper.restored}
    return {
        "name": service.release.name,
        "release": service.release.id,
        "model": service.pipeline.model.hash,
        "version": __version__,
        "backend": service.pipeline.backend,
        "pid": os.getpid(),
        "state": service.state,
        "uptime": round(meter.uptime, 1),
        "input": {
            "spec": source.spec,
            "state": source.state,
            "failures": source.failures,
            "error": source.error,
        },
        "seconds": round(meter.seconds, 2),
        "frames": meter.frames,
        "events": meter.events,
        "load": _short(meter.load),
        "slowest": _short(meter.slowest),
        "overruns": meter.overruns,
        "cpu": _short(meter.cpu),
        "memory": memory(),
        "temperature": None if heat is None else round(heat, 1),
        "counters": service.counters,
        "snapshot": snapshot,
        "log": {
            "events": service.log.number,
            "bytes": service.log.size,
            "damaged": service.log.damaged,
        },
        "view": service.page.url if service.page else "",
        "last_error": service.last_error,
    }


def hello_of(service: Service) -> dict[str, Any]:
    """What a service is; see docs/service.md."""
    model, front_end = service.pipeline.model, service.pipeline.front_end
    sound = front_end.sample_dtype == "int16"
    return {
        "hello": {
            "name": service.release.name,
            "release": service.release.id,
            "model": model.hash,
            "labels": list(model.labels),
            "rate": front_end.rate,
            "frame_rate": front_end.frame_rate,
            "columns": list(getattr(front_end, "names", ())),
            "sample": {
                "dtype": "int16" if sound else "float64",
                "size": front_end.channels,
                "scale": 0.0 if sound else 1.0,
            },
            "backend": service.pipeline.backend,
            "detector": model.metadata.detector.get("kind", ""),
        }
    }


def scores_of(model: Model, update: Update) -> dict[str, Any]:
    """A line of the highest scores of a block; empty if it brought none."""
    if "scores" not in update:
        return {}
    scores: Any = update["scores"]
    times: Any = update["times"]
    highest = [_short(value) for value in scores.max(axis=0).tolist()]
    names = [model.labels[i] if i < len(model.labels) else str(i) for i in range(len(highest))]
    return {
        "time": round(float(times[-1]), 4),
        "scores": dict(zip(names, highest, strict=True)),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
