"""What a service costs: on this machine, and in Debian roots of others under qemu-user.

Emulation is many times slower than such a machine; it shows the memory, and how backends compare.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.service_bench import NAME, Bench, drain, status
from edgernn.files import read_file
from edgernn.service.places import places
from edgernn.service.settings import Settings
from targets import build_library, compile_model
from tests.targets.pi.debian import command, debian, device_folder

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"arm64": "raspberry-pi-64", "armhf": "raspberry-pi-32"}
WHEELS = {
    "arm64": ("litert", "ai-edge-litert>=1.4,<3", "manylinux_2_27_aarch64"),
    "armhf": ("tflite-runtime", "tflite-runtime==2.14.0", "manylinux_2_34_armv7l"),
}
"""The interpreter for each, and where its wheel is from."""


class Device:
    """A root with edgernn, an interpreter, and a release with the library of its model."""

    def __init__(self, architecture: str, cache: Path, release: Path, sound: Path) -> None:
        self.architecture, self.interpreter = architecture, WHEELS[architecture][0]
        self._base = debian(architecture, cache)
        self.root = device_folder(cache / f"device-{architecture}")
        site, self.release = self.root / "opt/site", self.root / "opt/bench"
        shutil.copytree(ROOT / "edgernn", site / "edgernn")
        _, wheel, platform = WHEELS[architecture]
        where = ["--only-binary=:all:", "--python-version=3.11", f"--platform={platform}"]
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *where]
        subprocess.run([*fetch, "-d", str(cache / architecture / "wheels"), wheel], check=True)
        for path in (cache / architecture / "wheels").glob("*.whl"):
            zipfile.ZipFile(path).extractall(site)
        self.release.mkdir()
        model = self.release / "model.tflite"
        shutil.copy(release / "model.tflite", model)
        build_library(compile_model(read_file(model), TARGETS[architecture]), self.release)
        shutil.copy(sound, self.root / "opt/words.wav")

    def command(self, *words: str) -> list[str]:
        """What runs Python there with edgernn."""
        program = ["env", "PYTHONPATH=/opt/site", "OPENBLAS_NUM_THREADS=1", "python3", "-m"]
        return command(self.architecture, self._base, self.root, *program, *words)


def cost(bench: Bench, backend: str, seconds: float) -> dict[str, Any]:
    """CPU share and memory while the recording plays at its own pace."""
    bench.settings(backend=backend)
    with bench.running() as process:
        threading.Thread(target=drain, args=(process,), daemon=True).start()
        return _row("this machine", bench.places.socket, seconds)


def cost_under_qemu(
    bench: Bench, architecture: str, cache: Path, seconds: float
) -> list[dict[str, Any]]:
    """The same on another machine that is emulated, if it can be had here."""
    device = Device(architecture, cache, bench.release, bench.sound)
    rows = []
    for backend in ("native", device.interpreter):
        made = Settings("/opt/words.wav", repeat=True, options={"realtime": True}, backend=backend)
        (device.release / "run.toml").write_text(made.to_toml())
        command = device.command("edgernn.service", "run", "/opt/bench", "--name", NAME)
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            socket = places(NAME, device.root).socket
            rows.append(_row(f"{architecture}, qemu-user", socket, seconds))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            socket.unlink(missing_ok=True)
    return rows


def _row(where: str, socket: Path, seconds: float) -> dict[str, Any]:
    """Seconds of a processor for a second of samples, also on a machine that is busy otherwise."""
    before = status(socket)
    used, end = _processor_seconds(before["pid"]), time.monotonic() + 20 * seconds
    found = before
    while found["seconds"] - before["seconds"] < seconds and time.monotonic() < end:
        time.sleep(0.5)
        found = status(socket)
    cpu = _processor_seconds(before["pid"]) - used
    return {
        "where": where,
        "backend": found["backend"],
        "cpu": cpu / (found["seconds"] - before["seconds"]),
        "memory": found["memory"],
        "slowest": found["slowest"],
        "overruns": found["overruns"],
    }


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
