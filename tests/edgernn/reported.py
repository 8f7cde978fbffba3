"""Documents of every section, small, with numbers that are easy to check by hand."""

from __future__ import annotations

from typing import Any


def evaluation() -> dict[str, Any]:
    """An evaluation with everything in it, made anew for every caller to change."""
    confusion = [[15, 5, 0], [1, 13, 1], [0, 3, 12]]
    labels = ["up", "down", "left"]

    def right(accuracy: float, ann: float) -> dict[str, Any]:
        groups = {"ann": ann, "bob": 2 * accuracy - ann}
        return {"accuracy": accuracy, "count": 50, "confusion": confusion, "groups": groups}

    times = [i / 10 for i in range(100)]
    trace = {
        "feature_times": times,
        "features": [[i % 7, i % 5, -1.5] for i in range(100)],
        "score_times": times,
        "scores": [[0.2, 0.1, 0.9 if 40 < i < 60 else 0.1] for i in range(100)],
        "threshold": 0.8,
        "truth": [{"label": "left", "start": 4.0, "end": 5.5}],
        "events": [{"label": "left", "score": 0.9, "start": 4.2, "end": 4.6}],
    }
    frames = {**right(0.88, 0.8), "macro_f1": 0.77, "count": 5000}
    point = {"threshold": 0.7, "false_reject_rate": 0.025, "false_accepts_per_hour": 0.5}
    return {
        "format": 1,
        "task": "events",
        "model": "words.tflite",
        "data": "recordings",
        "labels": labels,
        "clips": {
            "quantized": {"reset1": right(0.8, 0.7), "reset0": right(0.78, 0.68)},
            "float": {"reset1": right(0.82, 0.72)},
        },
        "frames": {"quantized": frames, "baseline": {"accuracy": 0.8}},
        "events": {
            "chosen_on": "ann",
            "reported_on": "bob",
            "hours": 6.0,
            "words": 4000,
            "keywords": {
                "up": {
                    "curve": [
                        {"threshold": t, "false_reject_rate": t**3, "false_accepts_per_hour": a}
                        for t, a in ((0.1, 40.0), (0.3, 5.0), (0.5, 0.5), (0.9, 0.0))
                    ],
                    "operating_point": {**point, "misses": 5, "false_accepts": 3, "keywords": 200},
                    "delay": {"median": 0.35, "p95": 0.5},
                }
            },
        },
        "anomaly": {
            "threshold": 2.5,
            "windows": [
                {"start": 86400.0, "end": 172800.0, "found": True, "first_alarm": 93600.0},
                {"start": 259200.0, "end": 345600.0, "found": False, "first_alarm": None},
            ],
            "false_alarms": 3,
            "months": 2.0,
            "false_alarms_per_month": 1.5,
        },
        "forecast": {
            "horizon_seconds": 3600,
            "unit": "°C",
            "mae": {"quantized": 1.5, "float": 1.4, "persistence": 2.0, "seasonal": 8.0},
            "rmse": {"quantized": 2.5, "float": 2.4, "persistence": 3.0, "seasonal": 9.0},
        },
        "traces": [
            {"name": "a word", "kind": "audio", "labels": list(labels), **trace},
            {"name": "a wrist", "kind": "sensor", "labels": list(labels), **trace},
        ],
        "drift": {"steps": [100, 200, 300], "rms_percent": [0.25, 0.5, 0.3]},
        "warmup": {"steps": [1, 2, 3, 4, 5], "difference_percent": [9.0, 4.0, 1.5, 0.5, 0.1]},
    }


PROFILE: dict[str, Any] = {
    "target": "cortex-m4",
    "board": {
        "name": "netduinoplus2",
        "clock_hz": 168000000,
        "flash_bytes": 1048576,
        "ram_bytes": 131072,
    },
    "untrained": False,
    "instructions_per_step": 24579,
    "instructions_by_op": {"FULLY_CONNECTED": 19574, "ADD + LOGISTIC + MUL": 5002, "(call)": 3},
    "instructions_by_layer": {"gru": 23099, "dense": 1477, "(call)": 3},
    "flash": {"code": 3646, "tables": 1792, "weights": 15948},
    "ram": {"state": 48, "scratch": 384, "stack": 148},
    "stack_is_worst_case": True,
    "rate_hz": 100.0,
    "frames_per_step": 1,
    "estimated_cycles_per_step": 31855,
    "estimated_seconds_per_step": 31855 / 168e6,
    "estimated_share_of_real_time": 31855 / 168e4,
    "estimate": "estimated from the executed instructions by class",
    "pipeline": {
        "instructions_per_step": 52038,
        "front_end_and_detector": 27459,
        "flash": 28854,
        "ram": 3232,
    },
}
"""As `edgernn profile --json` writes it, of a pipeline."""

TRAINING: dict[str, Any] = {
    "history": {"loss": [2.0, 1.0, 0.5], "validation": [0.3, 0.8, 0.7], "best": 1}
}
