"""`edgernn monitor` and `edgernn record` of a service, through a stand-in for ssh and sudo."""

import io
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgernn.cli.monitor import command as monitor
from edgernn.cli.monitor_host import _Screen
from edgernn.cli.record import command as record
from edgernn.cli.record_host import _Take
from edgernn.errors import DeviceError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.link.messages import LinkError
from edgernn.recordings import read_recordings
from edgernn.service.audience import Audience
from edgernn.service.control import Control
from edgernn.sources import Block

SSH = f"""#!{sys.executable}
import os, sys, time
if "-M" in sys.argv:
    open(sys.argv[sys.argv.index("-S") + 1], "w").close()
    time.sleep(60)
os.execvp("sh", ["sh", "-c", sys.argv[-1]])
"""
SUDO = '#!/bin/sh\nshift 2\nexec "$@"\n'

STATUS = {
    "state": "running", "release": "r", "model": "9f" * 32, "backend": "native", "version": "0",
    "input": {"spec": "microphone:", "state": "open", "failures": 0, "error": ""},
    "uptime": 3.0, "frames": 40, "events": 1, "load": 0.02, "overruns": 0, "cpu": 0.03,
    "memory": 61341696, "temperature": 48.3, "counters": {"dropped_samples": 7},
    "last_error": None,
}  # fmt: skip

EVENT = {"event": "on", "label": "stop", "score": 0.9, "start": 1.0, "end": 1.5}


class Service:
    """Answers of a service that hears a number a sample, and tells of it while anybody listens."""

    def __init__(self, sound=True):
        self.audience, self.sound = Audience(), sound
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        number = 0
        while not self._ends.wait(0.02):
            raw = np.arange(number, number + 80)
            if self.sound:
                block = Block(raw.astype(np.int16))
            else:
                block = Block(np.stack([raw / 8, -raw], 1), raw * 10_000 + 5)
            number += 80
            self.audience.record(block)
            self.audience.tell(lambda: EVENT)
            self.audience.tell(lambda: {"time": 1.5, "scores": {"stop": 0.9, "go": 0.1}})
            self.audience.tell(lambda: {"status": STATUS})

    def status(self):
        return STATUS

    def hello(self):
        dtype = ("int16", 1, 0.0) if self.sound else ("float64", 2, 1.0)
        return {
            "hello": {
                "name": "stop", "release": "r", "model": "9f" * 32, "labels": ["stop", "go"],
                "rate": 8000.0 if self.sound else 100.0, "frame_rate": 100.0,
                "columns": [] if self.sound else ["x", "y"],
                "sample": dict(zip(("dtype", "size", "scale"), dtype, strict=True)),
                "backend": "native", "detector": "trigger",
            }
        }  # fmt: skip

    def logs(self, count):
        return []

    def reload(self):
        return []

    def users(self):
        return ()

    def end(self):
        self._ends.set()
        self._thread.join()
        self.audience.end()


@pytest.fixture
def device(monkeypatch):
    """A function that starts the service `stop` on a device, which is this machine."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root, tools = Path(name), Path(name, "bin")
        tools.mkdir()
        for tool, text in (("ssh", SSH), ("sudo", SUDO)):
            (tools / tool).write_text(text)
            (tools / tool).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("EDGERNN_ROOT", str(root))
        (root / "opt/edgernn/stop/releases/20261121T171500-ab12cd34").mkdir(parents=True)
        (root / "run/edgernn/stop").mkdir(parents=True)
        running = []

        def start(sound=True):
            service = Service(sound)
            control = Control(root / "run/edgernn/stop/control.sock", service)
            running.append((service, control))
            return control

        yield start
        for service, control in running:
            service.end()
            control.end()


def run(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)


def test_a_service_is_monitored(device):
    device()
    result = run(monitor, "pi@device", "--seconds", 0.5)
    assert result.exception is None, result.output
    told = [json.loads(line) for line in result.output.splitlines()]
    assert told[0]["hello"]["name"] == "stop"
    assert {"time": 1.5, "scores": {"stop": 0.9, "go": 0.1}} in told
    assert any(line.get("event") == "on" for line in told)
    assert {"status": STATUS} in told


def test_sound_of_a_service_is_recorded_sample_by_sample(device, tmp_path):
    device()
    options = ("--label", "stop", "--group", "anna", "--seconds", 0.2, "-o", tmp_path / "out")
    result = run(record, "pi@device", "--name", "stop", *options)
    assert result.exception is None, result.output
    assert "stop/anna_001.wav: 1,600 samples, 0.2 s" in result.output
    import wave

    with wave.open(str(tmp_path / "out/stop/anna_001.wav")) as file:
        assert file.getframerate() == 8000
        samples = np.frombuffer(file.readframes(9999), "<i2")
    assert len(samples) == 1600
    np.testing.assert_array_equal(np.diff(samples), 1)


def test_a_sensor_of_a_service_is_recorded_with_its_times(device, tmp_path):
    device(sound=False)
    options = ("--label", "walk", "--group", "bo", "--seconds", 2, "-o", tmp_path / "out")
    result = run(record, "pi@device", *options)
    assert result.exception is None, result.output
    (recording,) = read_recordings(tmp_path / "out", SensorFrontEnd(100.0, ("x", "y")))
    assert len(recording.samples) == 200
    number = -recording.samples[:, 1]
    np.testing.assert_array_equal(np.diff(number), 1)
    np.testing.assert_allclose(recording.samples[:, 0], number / 8, rtol=1e-6)
    np.testing.assert_array_equal(recording.times, number * 10_000 + 5)


def test_a_service_that_ends_in_the_middle_leaves_nothing(device, tmp_path):
    control = device()

    ended = threading.Event()

    def fail():
        while not ended.wait(0.1):
            control.answers.audience.interrupt("the input failed")

    failing = threading.Thread(target=fail)
    failing.start()
    options = ("--label", "stop", "--group", "anna", "--seconds", 600, "-o", tmp_path / "out")
    result = run(record, "pi@device", *options)
    ended.set()
    failing.join()
    assert isinstance(result.exception, DeviceError)
    assert "the input failed" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "line",
    [{"first": 80, "data": "AAA="}, {"first": 0, "data": "A"}, {"first": 0, "data": "AAAA"},
     {"data": "AAA="}, {"hello": {"rate": 8000.0}}, {"hello": 3}, {"first": 0, "data": 3}],
)  # fmt: skip
def test_what_is_no_recording_is_refused(line):
    take = _Take("pi@device", lambda seconds: None)
    take.take(Service.hello(type("Sound", (), {"sound": True})))
    with pytest.raises((DeviceError, LinkError), match=r"no samples|no whole number"):
        take.take(line)


def test_a_service_that_is_not_there_is_named(device):
    result = run(monitor, "pi@device", "--name", "stop")
    assert "stop/control.sock: no service answers there" in str(result.exception)
    result = run(monitor, "pi@device", "--name", "other")
    assert "no service other was deployed there" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pi@device", "--port", "p"), "as USER@HOST, or a model"),
        (("--port", "p", "--name", "stop"), "--name and --ssh-config are for"),
        (("-oProxyCommand=id",), ""),
        (("a b",), "no host for ssh"),
    ],
)
def test_what_is_meant_must_be_clear(device, arguments, says):
    result = run(monitor, *arguments)
    assert result.exception is not None
    assert says in str(result.exception)


def test_the_screen_of_a_service():
    from rich.console import Console

    screen = _Screen()
    screen.take(Service.hello(type("Sound", (), {"sound": True})))
    screen.take({"time": 1.5, "scores": {"stop": 0.9, "go": 0.1}})
    screen.take({"event": "off", "label": "stop", "score": 0.9, "start": 1.0, "end": 1.5})
    screen.take({"lost": 3})
    screen.take({"status": STATUS})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(screen.render())
    text = console.export_text()
    for part in (
        "stop on native, release r, model 9f9f9f9f9f9f", "90.0 %", "stop (over)", "61.3 MB",
        "48.3 °C", "dropped samples", "lines lost on the way",
    ):  # fmt: skip
        assert part in text, text
