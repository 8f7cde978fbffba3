"""Devices in a folder: a Debian root that a real OpenSSH server leads into."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgernn.metadata import Golden
from edgernn.service.settings import Settings
from tests.edgernn.tones import LABELS, tone, tone_model
from tests.targets.pi import debian, loopback, standins

SOUND = "var/lib/tones.wav"
SETTINGS = Settings(f"/{SOUND}", options={"realtime": True}, repeat=True)


@dataclass(frozen=True)
class TestDevice:
    """A device: `own` is what it can write, `config` the ssh_config that knows it as `pi`, and
    `server` its SSH server's process; `enter` begins a command on one that was booted."""

    architecture: str
    base: Path
    own: Path
    config: Path
    server: int
    enter: str = ""

    def command(self, *words: str) -> list[str]:
        """What runs a command on it, past ssh."""
        if self.enter:
            return [*shlex.split(self.enter), *words]
        return debian.command(self.architecture, self.base, self.own, *words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it, past ssh."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False)

    def folder(self, name: str) -> Path:
        """The folder of a service."""
        return self.own / "opt/edgernn" / name

    def link(self, name: str, link: str) -> str:
        """The release that a link of a service points at; "" if there is none."""
        place = self.folder(name) / link
        return Path(os.readlink(place)).name if place.is_symlink() else ""

    def releases(self, name: str) -> list[str]:
        """All of a service's whole releases."""
        names = [path.name for path in (self.folder(name) / "releases").iterdir()]
        return sorted(one for one in names if not one.startswith("."))

    def processes(self) -> list[int]:
        """All that runs on it: what sees its folders as its own."""
        # A mount is listed with its place in its file system, which may begin anywhere above.
        own, found = "/".join([*self.own.parts[-3:], "opt "]), []
        for path in Path("/proc").glob("[0-9]*/mountinfo"):
            with contextlib.suppress(OSError):
                if own in path.read_text():
                    found.append(int(path.parent.name))
        return found

    def cut_power(self) -> None:
        """Kill everything that runs on it."""
        while running := self.processes():
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


@contextlib.contextmanager
def device(architecture: str, cache: Path, folder: Path) -> Iterator[TestDevice]:
    """A fresh device with a recording of tones; its services are killed at the end."""
    base = debian.debian(architecture, cache)
    own = debian.device_folder(folder / "device")
    standins.write_standins(own)
    write_tones(own / SOUND)
    ssh = folder / "ssh"
    ssh.mkdir()
    command = debian.command(architecture, base, own, "sh", "-c")
    with loopback.ssh_server(ssh, command) as server:
        made = TestDevice(architecture, base, own, server.config, server.pid)
        try:
            yield made
        finally:
            made.cut_power()


def write_tones(path: Path) -> None:
    """Two seconds with two tones, each an event."""
    from tests.edgernn.service.releases import write_wav

    quiet = np.zeros(4000, np.int16)
    write_wav(path, np.concatenate([quiet, tone("b").samples, quiet, tone("d").samples, quiet]))


def model_file(path: Path, off_by: int = 0, **more: object) -> Path:
    """A model that hears tones, whose golden sequence is what TFLM gives, plus `off_by`."""
    plain = tone_model(**more)
    frames = np.random.default_rng(0).normal(size=(32, len(LABELS)))
    stream = plain.stream("tflm")
    raw = stream._engine.encoders[0].encode(frames)
    outputs = stream.push_raw(raw) + np.array(off_by, plain.y.dtype)
    golden = Golden(len(raw), raw.tobytes(), outputs.tobytes(), 2, "tflite-micro")
    tone_model(golden=golden, **more).save(path)
    return path
