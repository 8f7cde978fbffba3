"""What a service costs on another machine: in a Debian root of it, under qemu-user.

Emulation is many times slower than such a machine; it shows the memory, and how backends compare.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from edgernn.files import read_file
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
