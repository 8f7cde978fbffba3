"""Exported programs that speak the link: monitor, record and deploy talk to what they became."""

import json
import os
import select
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from edgernn import load
from edgernn.cli.deploy import command as deploy
from edgernn.cli.export import command as export_command
from edgernn.cli.monitor import command as monitor
from edgernn.cli.record import command as record
from edgernn.errors import InputError
from edgernn.link.device import Device
from edgernn.link.messages import Scores, Wanted
from edgernn.recordings import read_recordings
from targets import qemu
from targets.boards import board
from targets.emulated import EmulatedLine
from targets.exports import export
from targets.exports.linked import named
from tests.edgernn.pty_port import Pty
from tests.targets.exported import FRONT_END, motion, plain, run

ARM = "arm-none-eabi-gcc"
needs_boards = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("cmake", "make", ARM, qemu.COMMAND)),
    reason="cmake, make, gcc-arm-none-eabi or qemu-system-arm is missing: apt-get install them",
)
needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="apt-get install g++")

SENSOR = """\
#include "motion_app.h"

/* 100 samples a second: their number, and more of it in each channel. */
int32_t motion_read(motion_sample_t *samples, int32_t capacity) {
  static uint32_t begin, number;
  static int started;
  if (!started) {
    begin = motion_micros();
    started = 1;
  }
  int32_t count = 0;
  while (count < capacity && number * 10000u <= motion_micros() - begin) {
    for (uint32_t channel = 0; channel < MOTION_CHANNELS; channel++) {
      *samples++ = (int32_t)(number % 50u * 100u + channel);
    }
    number++;
    count++;
  }
  return count;
}
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory):
    """The image of an export's CMake project, by model and board."""

    def build(name, data, place, sensor=None):
        folder = tmp_path_factory.mktemp("project")
        export(data, "cmake", folder, name=name, linked=True)
        if sensor is not None:
            (folder / "sensor.c").write_text(sensor)
        options = (
            f"-DBOARD={place}",
            f"-D{name.upper()}_EMULATED=ON",
            "-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake",
            "-DCMAKE_C_FLAGS=-Werror",
        )
        run("cmake", "-S", folder, "-B", folder / "build", *options)
        run("cmake", "--build", folder / "build")
        return (folder / f"build/{name}_app.elf").read_bytes()

    return build


def invoke(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)


@needs_boards
@pytest.mark.slow
def test_a_cmake_project_in_qemu_is_monitored_recorded_and_tested(elf, tmp_path, monkeypatch):
    line = EmulatedLine(board("mps2-an386"), elf("motion", motion(), "mps2-an386", SENSOR))
    port = Pty(line)
    try:
        seen = invoke(monitor, "--port", port.name, "--seconds", 2)
        takes = tmp_path / "takes"
        options = ("--label", "a", "--group", "b", "--seconds", 0.5, "-o", takes)
        taken = invoke(record, "--port", port.name, *options)
        deployed = deployed_over(port, tmp_path, monkeypatch)
    finally:
        port.close()
    assert seen.exception is None, seen.output
    told = [json.loads(text) for text in seen.output.splitlines()]
    scores = [one for one in told if "scores" in one]
    assert len(scores) > 10
    assert {"event", "label", "score"} <= set(next(one for one in told if "event" in one))
    status = next(one for one in told if "stack_size" in one)
    assert 0 < status["stack"] < status["stack_size"]
    assert taken.exception is None, taken.output
    (recording,) = read_recordings(takes, FRONT_END)
    raw = FRONT_END.from_real(recording.samples)
    assert len(raw) == 50
    np.testing.assert_array_equal(raw % 100, np.tile([0, 1, 2], (50, 1)))
    np.testing.assert_array_equal(np.diff(raw[:, 0] // 100) % 50, 1)
    assert deployed.return_value == 0, deployed.output
    assert "self-test passed: 12 steps, every value exact" in deployed.output
    assert "bytes were used" in deployed.output


def deployed_over(port, tmp_path, monkeypatch):
    """`deploy --project` whose tool does nothing: the board at the port has the program already."""
    file, project, tools = tmp_path / "motion.tflite", tmp_path / "p", tmp_path / "bin"
    file.write_bytes(motion())
    export(motion(), "platformio", project, name="motion", linked=True)
    tools.mkdir()
    (tools / "pio").write_text("#!/bin/sh\n")
    (tools / "pio").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    arguments = ("--board", "teensy41", "--project", project, "--port", port.name)
    file_of_another = tmp_path / "plain.tflite"
    file_of_another.write_bytes(plain())
    refused = invoke(deploy, file_of_another, *arguments)
    assert "is a project of another model" in str(refused.exception)
    return invoke(deploy, file, *arguments)


@needs_boards
@pytest.mark.slow
def test_frames_of_a_cmake_project_are_those_of_the_host(elf):
    model = load(plain())
    frames = np.random.default_rng(5).integers(-32768, 32768, (30, 5)).astype(np.int16)
    with Device(EmulatedLine(board("netduinoplus2"), elf("plain", plain(), "netduinoplus2"))) as d:
        assert d.hello.model == model.hash
        assert (d.hello.name, d.hello.board) == ("plain", "any board")
        assert d.boot.passed
        np.testing.assert_array_equal(
            d.frames(frames), model.stream("native").push_raw(frames).reshape(30, -1)
        )


_ARDUINO = """\
#pragma once
#include <stdint.h>
#include <stddef.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
struct Port {
  void begin(unsigned long) {}
  int read() {
    struct pollfd one = {0, POLLIN, 0};
    uint8_t byte;
    return poll(&one, 1, 0) == 1 && ::read(0, &byte, 1) == 1 ? byte : -1;
  }
  size_t write(const uint8_t *bytes, size_t size) { return (size_t)::write(1, bytes, size); }
  explicit operator bool() const { return true; }
  bool operator!() const { return false; }
};
extern Port Serial;
inline unsigned long micros() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long)(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
inline unsigned long millis() { return micros() / 1000; }
"""

_CALLER = """\
Port Serial;
int main() {
  for (setup();;) {
    loop();
  }
}
"""


class Program:
    """A program of this machine whose standard input and output are the line."""

    def __init__(self, path):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([path], bufsize=0, **pipes)

    def write(self, data):
        self.process.stdin.write(data)

    def receive(self, timeout):
        ready = select.select([self.process.stdout], [], [], timeout)[0]
        return os.read(self.process.stdout.fileno(), 4096) if ready else b""

    def close(self):
        self.process.kill()
        self.process.communicate()


@needs_cxx
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arduino", "platformio"])
def test_a_sketch_speaks_the_link(tmp_path, kind):
    """The library as C, the sketch as C++, as the tools of the board build them."""
    folder = tmp_path / "p"
    export(motion(), kind, folder, name="motion", linked=True)
    library = folder / ("src" if kind == "arduino" else "lib/motion/src")
    sketch = folder / ("examples/motion_stream" if kind == "arduino" else "src")
    main = sketch / ("motion_stream.ino" if kind == "arduino" else "main.cpp")
    (tmp_path / "Arduino.h").write_text(_ARDUINO)
    (tmp_path / "main.cpp").write_text(f'#include "Arduino.h"\n{main.read_text()}{_CALLER}')
    (tmp_path / "sensor.c").write_text(SENSOR)
    sources = [*library.rglob("*.c"), tmp_path / "sensor.c"]
    flags = ("-O1", "-Wall", "-Werror", f"-I{tmp_path}", f"-I{library}")
    run("gcc", "-std=gnu11", *flags, "-c", *sources, cwd=tmp_path)
    objects = [path.name for path in tmp_path.glob("*.o")]
    run("g++", "-std=gnu++11", *flags, "main.cpp", *objects, "-o", "a", cwd=tmp_path)
    run("g++", "-std=gnu++11", *flags, "-c", sketch / "sensor.cpp", "-o", "hook", cwd=tmp_path)
    model = load(motion())
    with Device(Program(tmp_path / "a")) as device:
        assert device.self_test().passed
        assert device.hello.model == model.hash
        device.start(Wanted.SCORES | Wanted.EVENTS | Wanted.STATUS)
        scores = [c for c in device.listen(1.3) if isinstance(c, Scores)]
        device.stop()
        assert len(scores) > 20
        assert device.load().stack_size == 0
        samples = np.random.default_rng(3).integers(-2000, 2000, (60, 3)).astype(np.int32)
        device.reset()
        there, _ = device.samples(samples)
    seen = []
    pipeline = model.pipeline("native")
    pipeline.watch = lambda one: seen.append(one.raw.reshape(len(one), -1))
    pipeline.push(samples)
    got = np.concatenate([device.hello.prediction.parse(one.raw) for one in there])
    np.testing.assert_array_equal(got, np.concatenate(seen))


def test_names_are_those_of_the_project():
    text = (
        '#include "device_board.h"\n#include "model_pipeline.h"\n/* device.c */ uart_get(model_x)'
    )
    expected = '#include "device_board.h"\n#include "model_pipeline.h"\n'.replace("model", "m")
    assert named(text, "m") == f"{expected}/* device.c */ m_uart_get(m_x)"
    assert named("/* uart_NAME.c */ union device_answer MODEL_A", "device") == (
        "/* uart_NAME.c */ union device_device_answer DEVICE_A"
    )


def test_formats_without_a_link_are_named(tmp_path):
    with pytest.raises(InputError, match="zephyr speaks no link; those of cmake, arduino, platfo"):
        export(motion(), "zephyr", tmp_path / "p", linked=True)


def test_a_program_with_a_link_is_counted_for_its_board(tmp_path):
    file = tmp_path / "motion.tflite"
    file.write_bytes(motion())
    options = ("--format", "cmake", "--board", "microbit", "-o", tmp_path / "p")
    result = invoke(export_command, file, *options, "--link")
    assert result.exception is None, result.output
    assert "flash: " in result.output
    readme = (tmp_path / "p/README.md").read_text()
    assert "edgernn monitor --port" in readme
    assert "self-test passed" not in readme
    if sys.platform == "linux":
        assert not (tmp_path / "p/boards/console.h").exists()
