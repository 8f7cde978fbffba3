"""A service that is measured: its release, its process, and what it answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.errors import EdgernnError
from edgernn.model import load
from edgernn.service.client import ask
from edgernn.service.places import Places, places
from edgernn.service.settings import Settings

NAME = "bench"


class Bench:
    """A release of one model and a root for its service."""

    def __init__(self, folder: Path, model: Path, recording: np.ndarray[Any, Any]) -> None:
        self.root, self.release = folder, folder / "release"
        self.release.mkdir()
        (self.release / "model.tflite").write_bytes(model.read_bytes())
        self.rate = int(load(model).metadata.front_end["rate"])
        self.sound = folder / "words.wav"
        with wave.open(str(self.sound), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(recording.astype("<i2").tobytes())

    @property
    def places(self) -> Places:
        """Where its service writes."""
        return places(NAME, self.root)

    def settings(self, spec: str = "", **more: Any) -> None:
        """Write them; without an input the recording plays again and again."""
        if not spec:
            more |= {"repeat": True, "options": {"realtime": True}}
        made = Settings(spec or str(self.sound), **more)
        (self.release / "run.toml").write_text(made.to_toml())

    @contextmanager
    def running(self, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Its service, in a process group of its own."""
        command = [sys.executable, "-m", "edgernn.service", "run", str(self.release)]
        process = subprocess.Popen(
            [*command, "--name", NAME, "--root", str(self.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            **more,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def status(self) -> dict[str, Any]:
        """What it answers, waited for."""
        return status(self.places.socket)


def status(socket: Path, seconds: float = 300.0) -> dict[str, Any]:
    """What a service answers, waited for."""
    end = time.monotonic() + seconds
    while True:
        try:
            (line,) = ask(socket, "status", 60.0)
            found: dict[str, Any] = json.loads(line)
            return found
        except (EdgernnError, OSError, ValueError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def drain(process: subprocess.Popen[bytes]) -> None:
    """Read what it prints, so that it never waits."""
    assert process.stdout is not None
    for _ in process.stdout:
        pass
