"""Deploy, deploy again, look, go back and remove, on a device of another processor.

All of the device's programs are Debian's for that processor, run by qemu-user: its Python, its
NumPy, the interpreter's wheel, and the native library. Not exercised: a kernel of that processor,
systemd itself (a stand-in starts what the unit says), sound and sensors of a Raspberry Pi.
"""

from __future__ import annotations

import json
from dataclasses import replace

from click.testing import CliRunner

from edgernn.cli import group
from targets.pi.deploying import deploy
from tests.targets.pi.devices import SETTINGS, TestDevice, model_file


def whole_cycle(device: TestDevice, tmp_path, machine: str, interpreter: str) -> None:
    model = model_file(tmp_path / "tones.tflite")

    def run(*words: str):
        return CliRunner().invoke(
            group, [*words, "--ssh-config", str(device.config)], standalone_mode=False
        )

    # The interpreter that edgernn names for this machine, brought along as wheels.
    first = deploy(model, SETTINGS, "pi", config=device.config, native=False, offline=True)
    assert first.device.machine == machine
    *absent, tried = first.check["attempts"]
    assert all("is not available" in one["error"] for one in absent)
    assert (tried["backend"], tried["steps"], tried["error"]) == (interpreter, 32, "")
    assert tried["difference"] <= tried["tolerance"] == 2
    assert (first.status["backend"], first.status["state"]) == (interpreter, "running")

    # The model compiled for this machine: to the bit what TFLM's reference kernels give. Packages
    # come from the device's pip, a stand-in.
    kept = replace(SETTINGS, keep_state=True)
    second = deploy(model, kept, "pi", config=device.config, native=True)
    (tried,) = second.check["attempts"]
    assert (tried["backend"], tried["steps"]) == ("native", 32)
    assert (tried["difference"], tried["tolerance"]) == (0.0, 0.0)
    assert second.status["backend"] == "native"

    done = run("device", "status", "pi", "--json")
    (state,) = json.loads(done.stdout).values()
    assert done.return_value == 0
    assert state["status"]["release"] == state["current"] == second.release
    assert state["releases"] == [first.release, second.release]

    assert run("device", "rollback", "pi", "--name", "tones").return_value == 0
    assert device.link("tones", "current") == first.release

    logged = run("device", "logs", "pi", "--name", "tones", "-n", "9999").stdout
    assert f"{first.release} on {interpreter}" in logged
    assert f"{second.release} on native" in logged

    done = run("device", "remove", "pi", "--name", "tones", "--purge")
    assert done.return_value == 0
    assert not device.folder("tones").exists()
    assert not (device.own / "var/lib/edgernn/tones").exists()
