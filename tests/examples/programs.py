"""Run an example as a user would, and make it small recordings."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def run(program, *arguments):
    command = [sys.executable, ROOT / program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def assert_refused(done, *words):
    """Exit code 2, and one line that holds all the words."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def write_wav(path, samples, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())


def tone(pitch, seconds=0.4, rate=8000):
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)
