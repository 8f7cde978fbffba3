"""Device programs on emulated boards, and the tools that flash real ones, which are faked here."""

import dataclasses
import functools
import os
import shutil
import stat
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import targets.boards
import targets.device
from converters.flatfile import add_metadata
from edgernn import load, metadata
from edgernn.cli.deploy import command as deploy
from edgernn.errors import EdgernnError, InputError, MissingDependencyError
from edgernn.link.device import Device
from edgernn.link.messages import LinkError, Wanted
from edgernn.metadata import Golden
from targets import flash, qemu
from targets.boards import board, boards
from targets.device import build_device
from targets.emulated import COUNTED, emulated_device, emulated_line
from targets.native import load_native
from targets.stack import worst_stack
from tests.edgernn.pty_port import Pty
from tests.edgernn.test_audio import speech_like
from tests.targets.build import step_model
from tests.targets.speech import speech_model

needs_qemu = pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
SMALL = {"features": 12, "units": 16, "classes": 5}
STEPS = 5


def with_golden(data, golden_steps=STEPS, **more):
    """The model with a golden sequence of its own C, and more metadata."""
    plain = load(data)
    x = np.random.default_rng(1).integers(-100, 100, (golden_steps, *plain.frames.shape))
    raw = x.astype(plain.frames.dtype)
    native = load_native(data)
    y = np.concatenate([native.step(frame)[0].ravel() for frame in raw])
    golden = Golden(golden_steps, raw.tobytes(), y.tobytes(), 2.0, "tflite-micro")
    return add_metadata(data, replace(plain.metadata, golden=golden, **more))


@pytest.fixture(scope="module")
def small():
    return with_golden(step_model("gru", "int8", **SMALL))


@pytest.fixture(scope="module")
def motion():
    """From samples of three channels to events."""
    data = step_model("gru", "int8", features=3, units=8, classes=3)
    front_end = {"kind": "sensor", "rate": 50.0, "names": ["x", "y", "z"], "sample_scale": 2.0**-9}
    detector = {"kind": "trigger", "threshold": 0.5, "smoothing": 2, "report": "both"}
    outputs = (metadata.Output("y", ("a", "b", "c")),)
    return with_golden(data, front_end=front_end, detector=detector, outputs=outputs)


def program(data, name="netduinoplus2", sensor="none"):
    return targets.device.build_device(load(data), name, "small", emulated=True, sensor=sensor)


@pytest.fixture(autouse=True, scope="module")
def _built_once():
    """Each program is built once for all tests of this file."""

    @functools.cache
    def build(data, name, called, emulated, place):
        return build_device(load(data), name, called, emulated=emulated)

    def cached(model, name, called, *, sensor, emulated, cc=None):
        return build(model.data, name, called, emulated, targets.boards.board(name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets.device, "build_device", cached)
        yield


def run(*arguments):
    return CliRunner().invoke(deploy, list(map(str, arguments)), standalone_mode=False)


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "small.tflite"
    path.write_bytes(small)
    return path


# Images


@pytest.mark.parametrize("name", ["microbit-v2", "stm32f4-discovery"])
def test_boards_that_nobody_emulates_get_a_program_too(small, name):
    made = build_device(load(small), name, "small")
    assert made.firmware.ram_bytes < made.firmware.board.ram_bytes
    assert made.hello.ticks == board(name).ticks_hz


def test_every_board_with_drivers_has_a_timer():
    folder = Path(targets.__file__).parent / "firmware"
    for place in boards().values():
        assert (folder / f"clock_{place.clock}.c").is_file()


def test_the_sizes_are_the_linkers(small):
    firmware = program(small).firmware
    symbols = firmware.image.symbols
    held = sum(len(content) for _, content, _ in firmware.image.segments)
    assert firmware.flash_bytes == held
    variables = symbols["bss_end"].address - symbols["data_start"].address
    assert firmware.ram_bytes == variables + firmware.stack_bytes
    assert symbols["stack_top"].address - symbols["stack_bottom"].address == firmware.stack_bytes


def test_what_has_no_program_is_refused(small, motion):
    with pytest.raises(EdgernnError, match="export"):
        build_device(load(small), "pico")
    with pytest.raises(InputError, match=r"--sensor missing.c: is neither none nor synthetic"):
        build_device(load(motion), "microbit", sensor="missing.c")


# Talking


@needs_qemu
@pytest.mark.parametrize("name", ["netduinoplus2", "mps2-an386", "microbit"])
def test_frames_on_a_board_are_those_of_the_host(small, name):
    made = program(small, name)
    model = load(small)
    frames = np.random.default_rng(2).integers(-128, 128, (60, 12)).astype(np.int8)
    native = load_native(small)
    expected = np.stack([native.step(frame)[0].ravel() for frame in frames])
    with emulated_device(made, COUNTED) as device:
        assert device.hello == made.hello
        assert device.hello.model == model.hash
        test = device.self_test()
        assert test.passed
        assert (test.steps, test.first) == (STEPS, 0)
        assert test.total_ticks == pytest.approx(device.boot.total_ticks, rel=0.05, abs=5)
        np.testing.assert_array_equal(device.frames(frames[:40]), expected[:40])
        np.testing.assert_array_equal(device.frames(frames[40:]), expected[40:])
        device.reset()
        np.testing.assert_array_equal(device.frames(frames[:3]), expected[:3])
        load_ = device.load()
        assert load_.steps == 3
        assert load_.damaged == device.damaged == device.lost == 0
        worst = worst_stack(made.firmware.image, "main")
        assert 0 < load_.stack <= worst + 128 <= load_.stack_size
        with pytest.raises(LinkError, match="no sensor"):
            device.start(Wanted.DATA)


@needs_qemu
def test_a_self_test_that_fails_is_told(small, file):
    model = load(small)
    golden = model.metadata.golden
    wrong = bytes((golden.outputs[6] ^ 1,))
    changed = replace(golden, outputs=golden.outputs[:6] + wrong + golden.outputs[7:])
    file.write_bytes(add_metadata(small, replace(model.metadata, golden=changed)))
    result = run(file, "--board", "mps2-an386", "--emulate")
    assert "self-test FAILED: 1 values differ, the first in step 2 of 5" in result.output
    assert result.return_value == 1


def events_of(model, samples):
    """Raw scores, their times and the events of the pipeline in Python around native code."""
    seen = []
    pipeline = model.pipeline("native")
    pipeline.watch = seen.append
    events = pipeline.push(samples)
    raw = np.concatenate([s.raw.reshape(len(s), -1) for s in seen])
    times = np.concatenate([s.times for s in seen]).tolist()
    return raw, times, [(e.label, e.score, e.start, e.end) for e in events]


def triangles(count):
    samples = np.random.default_rng(3).integers(-2000, 2000, (count, 3)).astype(np.int32)
    samples[40:80] = 900
    return samples


@needs_qemu
@pytest.mark.parametrize("name", ["netduinoplus2", "mps2-an386"])
@pytest.mark.parametrize("kind", ["motion", "speech"])
def test_samples_on_a_board_are_those_of_python(motion, kind, name):
    data = motion if kind == "motion" else speech_model()
    samples = triangles(150) if kind == "motion" else speech_like(8000, 0.5)
    raw, times, expected = events_of(load(data), samples)
    assert expected
    with emulated_device(program(data, name), COUNTED) as device:
        scores, events = device.samples(samples)
        hello = device.hello
    got = np.concatenate([hello.prediction.parse(s.raw) for s in scores])
    np.testing.assert_array_equal(got, raw)
    assert [s.time_us for s in scores] == times
    assert [
        (hello.label(e.label), e.score * hello.score_unit, e.start_us / 1e6, e.end_us / 1e6)
        for e in events
    ] == expected


@needs_qemu
def test_a_line_with_noise_is_asked_again_and_nothing_runs_twice(small):
    class Noisy:
        """Damages every fifth write and drops every seventh read."""

        def __init__(self, line):
            self.line, self.writes, self.reads = line, 0, 0

        def write(self, data):
            self.writes += 1
            broken = self.writes % 5 == 0 and len(data) > 8
            self.line.write(data[:5] + b"\x11" + data[6:] if broken else data)

        def receive(self, timeout):
            data = self.line.receive(timeout)
            self.reads += bool(data)
            return data[:-3] + b"\0" if self.reads % 7 == 0 and len(data) > 4 else data

        def close(self):
            self.line.close()

    frames = np.random.default_rng(4).integers(-128, 128, (40, 12)).astype(np.int8)
    native = load_native(small)
    expected = np.stack([native.step(frame)[0].ravel() for frame in frames])
    with Device(Noisy(emulated_line(program(small, "mps2-an386"))), timeout=0.3) as device:
        device.reset()
        got = np.concatenate([device.frames(frame) for frame in frames])
        np.testing.assert_array_equal(got, expected)
        assert device.again
        assert device.load().steps == 40


# The command


@needs_qemu
def test_deploy_into_an_emulator(file):
    result = run(file, "--board", "netduinoplus2", "--emulate")
    assert result.return_value == 0, result.output
    assert "flash" in result.output
    assert "1,048,576" in result.output
    assert "self-test passed: 5 steps, every value exact" in result.output
    assert "instructions" in result.output


def test_a_board_too_small_is_refused_with_its_bars_and_the_bytes(file, monkeypatch):
    place = dataclasses.replace(board("netduinoplus2"), flash_bytes=4096)
    monkeypatch.setattr(targets.boards, "board", lambda name: place)
    monkeypatch.setattr(targets.device, "board", lambda name: place)
    result = run(file, "--board", "netduinoplus2", "--emulate")
    assert isinstance(result.exception, InputError)
    assert "lacks" in str(result.exception)
    assert "bytes of flash" in str(result.exception)
    assert "4,096" in result.output


TOOLS = ("pyocd", "picotool", "esptool.py", "idf.py", "arduino-cli", "pio", "cp")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Executables that write down how they were called."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    for name in TOOLS:
        path = folder / name
        fails = f'test -e {tmp_path}/fail-{name} && {{ echo "Error: no board" >&2; exit 3; }}'
        path.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n{fails}\nexit 0\n')
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return log


@pytest.mark.parametrize(
    ("name", "port", "calls"),
    [
        ("nucleo-l4r5zi", None, [
            "pio run --project-dir {p} --environment nucleo_l4r5zi",
            "pio run --project-dir {p} --environment nucleo_l4r5zi --target upload"]),
        ("teensy41", "/dev/x", [
            "pio run --project-dir {p} --environment teensy41",
            "pio run --project-dir {p} --environment teensy41 --target upload "
            "--upload-port /dev/x"]),
        ("pico", None, [
            "arduino-cli compile --fqbn {b.arduino} --library {p} --output-dir {p}/build "
            "{p}/examples/small_stream",
            "picotool load -f -x {p}/build/small_stream.ino.uf2"]),
        ("arduino-nano-33-ble-sense", "/dev/x", [
            "arduino-cli compile --fqbn {b.arduino} --library {p} --output-dir {p}/build "
            "{p}/examples/small_stream",
            "arduino-cli upload --fqbn {b.arduino} --port /dev/x --input-dir {p}/build "
            "{p}/examples/small_stream"]),
        ("esp32-s3-devkit", "/dev/x", [
            "idf.py -C {p} -D IDF_TARGET={b.esp_idf} build",
            "idf.py -C {p} -D IDF_TARGET={b.esp_idf} merge-bin",
            "esptool.py --chip {b.esp_idf} --port /dev/x write_flash 0x0 "
            "{p}/build/merged-binary.bin"]),
    ],
)  # fmt: skip
def test_projects_are_built_and_flashed_by_their_own_tools(tools, tmp_path, name, port, calls):
    project = tmp_path / "project"
    sketch = project / "examples/small_stream/small_stream.ino"
    sketch.parent.mkdir(parents=True)
    sketch.touch()
    built = flash.build(board(name), project)
    assert built.suffix == ".elf"
    flash.flash(board(name), project, port)
    expected = [call.format(p=project, b=board(name)) for call in calls]
    assert tools.read_text().splitlines() == expected


@pytest.mark.parametrize(("said", "code"), [("passed, 5 steps", 0), ("FAILED in step 2", 1)])
def test_an_exported_program_is_heard(tools, file, tmp_path, said, code):
    class Program:
        """Says something when it starts, which it does over and over."""

        def write(self, data):
            pass

        def receive(self, timeout):
            time.sleep(0.05)
            return f"boot\x1b\r\nedgernn small: self-test {said}\r\nmore".encode()

        def close(self):
            pass

    port = Pty(Program())
    try:
        result = run(file, "--board", "teensy41", "--project", tmp_path, "--port", port.name)
    finally:
        port.close()
    assert result.return_value == code, result.output
    assert f"edgernn small: self-test {said}" in result.output


def test_our_own_image_is_written_by_pyocd(tools, file):
    result = run(file, "--board", "microbit")
    assert result.return_value == 0, result.output
    load_call, reset = tools.read_text().splitlines()
    assert load_call.startswith("pyocd load --target nrf51 ")
    assert load_call.endswith("/small.elf")
    assert reset == "pyocd reset --target nrf51"
    assert "name its serial port with --port" in result.output


def test_a_tool_that_fails_is_told_in_one_line(tools, file, tmp_path):
    (tmp_path / "fail-pyocd").touch()
    result = run(file, "--board", "microbit")
    assert str(result.exception) == "pyocd failed with 3: Error: no board"


def test_a_tool_that_is_missing_is_named(file, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match="pip install pyocd"):
        flash.flash(board("microbit"), file)
    with pytest.raises(MissingDependencyError, match="pip install platformio"):
        flash.flash(board("teensy41"), file)


def test_a_board_without_drivers_needs_a_project(file):
    result = run(file, "--board", "pico")
    assert "edgernn export FILE --format arduino --board pico" in str(result.exception)


@needs_qemu
def test_a_flashed_board_is_asked_over_its_port(tools, file, small):
    """The board is QEMU behind a pseudo terminal, and pyOCD does nothing."""
    port = Pty(emulated_line(program(small, "microbit")))
    try:
        result = run(file, "--board", "microbit", "--port", port.name)
        other = run_other(file, small, port)
    finally:
        port.close()
    assert result.return_value == 0, result.output
    assert f"small answers at {port.name}" in result.output
    assert "self-test passed: 5 steps" in result.output
    assert "µs" in result.output
    assert "runs another model (small," in str(other.exception)


def run_other(file, small, port):
    changed = replace(load(small).metadata, provenance={"edgernn": "another"})
    file.write_bytes(add_metadata(small, changed))
    return run(file, "--board", "microbit", "--port", port.name)
