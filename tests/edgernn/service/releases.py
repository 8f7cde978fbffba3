"""Releases of a small model that hears tones, and services that run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.service.client import ask
from edgernn.service.places import Places, places
from edgernn.service.settings import Settings
from tests.edgernn.tones import LABELS, RATE, tone, tone_model

NAME = "tones"
PATIENCE = 60.0
"""Seconds for what happens at once on a machine that has nothing else to do."""


def release(folder: Path, spec: str, **settings: Any) -> Path:
    """A folder with the model and its settings."""
    made = folder / "release"
    made.mkdir(exist_ok=True)
    (made / "model.tflite").write_bytes(tone_model().data)
    write_settings(made, spec, **settings)
    return made


def write_settings(folder: Path, spec: str, **settings: Any) -> None:
    (folder / "run.toml").write_text(Settings(spec, **settings).to_toml())


def sound(seconds: float = 4.0, seed: int = 0) -> np.ndarray[Any, Any]:
    """Tones with pauses, int16."""
    random = np.random.default_rng(seed)
    parts, length = [], 0
    while length < seconds * RATE:
        part = tone(LABELS[int(random.integers(4))], 0.3, seed=int(random.integers(99))).samples
        parts += [part, random.normal(0, 3, RATE // 3).astype(np.int16)]
        length += len(part) + RATE // 3
    return np.concatenate(parts)[: round(seconds * RATE)]


def write_wav(path: Path, samples: np.ndarray[Any, Any]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def placed(root: Path) -> Places:
    found = places(NAME, root)
    found.state.mkdir(parents=True, exist_ok=True)
    found.runtime.mkdir(parents=True, exist_ok=True)
    return found


def command(folder: Path, root: Path, *words: str) -> list[str]:
    program = [sys.executable, "-m", "edgernn.service"]
    return [*program, *words, str(folder), "--name", NAME, "--root", str(root)]


@contextmanager
def started(folder: Path, root: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process of its own, killed at the end if it is still there."""
    process = subprocess.Popen(
        command(folder, root, "run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"env": {**os.environ, "EDGERNN_DEBUG": ""}, **more},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def status(root: Path) -> dict[str, Any]:
    (line,) = ask(places(NAME, root).socket, "status", PATIENCE)
    found: dict[str, Any] = json.loads(line)
    return found


def answers(root: Path, request: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ask(places(NAME, root).socket, request, PATIENCE)]


def wait_until(true: Any, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
