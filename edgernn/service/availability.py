"""Which interpreter runs the model on this very machine: the first that passes its self-test.

Each is tried in a process of its own, where there can be one: an interpreter that was built for
another processor may die of it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edgernn import __version__, native
from edgernn.errors import EdgernnError, ModelFileError
from edgernn.files import read_file, write_atomically
from edgernn.service.notify import notify

ORDER: Final = ("native", "litert", "tflite-runtime")
"""What `auto` tries; native only if its library is beside the model: nothing is built here."""
PATIENCE: Final = 120.0
"""Seconds that a try may take: much more than it needs on the slowest machine."""


@dataclass(frozen=True)
class Attempt:
    """What came of one interpreter; `error` is empty if it runs the model right.

    `steps` of the golden sequence were replayed (0: the model has none), with the largest
    `difference` in last bits (floats: real units), where `tolerance` is allowed; `step_us` is the
    time of a step in microseconds.
    """

    backend: str
    error: str = ""
    steps: int = 0
    difference: float = 0.0
    tolerance: float = 0.0
    reference: str = ""
    step_us: float = 0.0


def find_backend(model: Path, wanted: str = "auto") -> list[Attempt]:
    """All attempts in order; the last one is what to use.

    Raises:
        ModelFileError: none runs the model right; the message says why of each.
    """
    attempts = []
    for backend in candidates(model) if wanted == "auto" else (wanted,):
        notify(extend_timeout_usec=round(2e6 * PATIENCE))
        attempts.append(attempt(model, backend))
        if not attempts[-1].error:
            return attempts
    told = "; ".join(f"{one.backend}: {one.error}" for one in attempts)
    raise ModelFileError(f"{model}: nothing here runs this model right: {told}")


def remembered_backend(model: Path, wanted: str, note: Path) -> str:
    """What `find_backend` found; not sought again while nothing changed that it depends on.

    `note` is the file that remembers it.

    Raises:
        ModelFileError: see `find_backend`.
    """
    data = read_file(model)
    facts = (wanted, __version__, sys.version, str(native.is_beside(data, model)))
    key = hashlib.sha256("\n".join(facts).encode() + data + native.processor()).hexdigest()
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(note.read_bytes())
        if found["key"] == key and found["backend"] in ORDER:
            return str(found["backend"])
    backend = find_backend(model, wanted)[-1].backend
    with suppress(OSError):
        write_atomically(note, json.dumps({"key": key, "backend": backend}).encode())
    return backend


def candidates(model: Path) -> Sequence[str]:
    """What is worth a try, in order."""
    has_library = native.is_beside(read_file(model), model)
    return [name for name in ORDER if name != "native" or has_library]


def attempt(model: Path, backend: str) -> Attempt:
    """Try one interpreter in a process of its own."""
    alone = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *alone, "-m", "edgernn.service.availability", str(model), backend]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Attempt(backend, f"gives no answer in {PATIENCE:g} s")
    except OSError:  # no process can be started here: under an emulator, or a strict sandbox
        return attempt_here(model, backend)
    if done.returncode < 0:
        return Attempt(backend, f"dies here (signal {-done.returncode})")
    try:
        return Attempt(**json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        reason = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        return Attempt(backend, f"ends with code {done.returncode} ({reason})")


def attempt_here(path: Path, backend: str) -> Attempt:
    """Try one interpreter in this process."""
    try:
        return _replayed(path, backend)
    except EdgernnError as error:
        return Attempt(backend, str(error))


def _replayed(path: Path, backend: str) -> Attempt:
    import time

    import numpy as np

    from edgernn.model import load
    from edgernn.selftest import self_test

    model = load(path)
    steps, tolerance, reference, difference = 0, 0.0, "", 0.0
    error = ""
    if model.metadata.golden is not None:
        result = self_test(model, backend)
        steps, difference, reference = result.steps, result.difference, result.reference
        # Generated C is bit-exact with the reference kernels, an interpreter need not be.
        exact = backend == "native" and model.y.dtype != "float32" and reference == "tflite-micro"
        tolerance = 0.0 if exact else result.tolerance
        if not difference <= tolerance:
            unit = "" if model.y.dtype == "float32" else " last bits"
            error = f"the self-test fails: off by {difference:g}{unit}, {tolerance:g} allowed"
    stream = model.stream(backend)
    frames = np.zeros((64 * model.metadata.frames_per_step, *model.frame_shape), model.frames.dtype)
    stream.push_raw(frames)
    begun = time.perf_counter()
    stream.push_raw(frames)
    step_us = (time.perf_counter() - begun) / 64 * 1e6
    return Attempt(backend, error, steps, difference, tolerance, reference, float(f"{step_us:.4g}"))


def told(one: Attempt) -> dict[str, Any]:
    """An attempt as JSON; a difference that is no number is told as text."""
    fields = asdict(one)
    if fields["difference"] != fields["difference"]:
        fields["difference"] = None
    return fields


if __name__ == "__main__":
    print(json.dumps(asdict(attempt_here(Path(sys.argv[1]), sys.argv[2]))))
