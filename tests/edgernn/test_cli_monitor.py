"""`edgernn monitor`, `edgernn record` and `Device`, with devices behind a pseudo terminal."""

import io
import json
import shutil
import struct
import threading
import wave
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from edgernn.cli.monitor import command as monitor
from edgernn.cli.record import command as record
from edgernn.errors import InputError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.link import device as link_device
from edgernn.link.device import Device
from edgernn.link.framing import Message, Receiver, encode
from edgernn.link.messages import Hello, LinkError, Type, Values, Wanted
from edgernn.link.ports import PacedLine, SerialLine
from edgernn.link.recording import write_take
from edgernn.recordings import read_recordings
from edgernn.sources import open_source
from tests.edgernn.pty_port import Pty
from tests.edgernn.test_link import HELLO

SOUND = replace(
    HELLO, rate=8000.0, frame_rate=100.0, sample=Values("int16", 1, 1 / 32768), sensor=True,
    score_unit=1 / 32768,
)  # fmt: skip
MOTION = replace(
    SOUND, rate=50.0, frame_rate=50.0, sample=Values("int32", 2, 2.0**-10), columns=("x", "y")
)
LOAD = struct.pack("<3IQ5I", 40, 16800, 33600, 40 * 16800, 2, 3, 1, 400, 1024)


class Fake:
    """A device in Python; `script` is what it sends when it is started."""

    def __init__(self, hello: Hello, script: list[tuple[int, bytes]] = (), mute: int = 0) -> None:
        self.hello, self.script, self.mute = hello, list(script), mute
        self.receiver, self.out = Receiver(), b"garbage\0"
        self.requests: list[Message] = []
        self._lock = threading.Lock()

    def write(self, data):
        with self._lock:
            for message in self.receiver.feed(data):
                self.requests.append(message)
                if self.mute:
                    self.mute -= 1
                    continue
                self._answer(message)

    def _answer(self, message):
        answers = {Type.HELLO: self.hello.to_json(), Type.LOAD: LOAD}
        payload = answers.get(message.type, b"")
        self.out += encode(Message(message.type | 0x80, message.sequence, payload))
        if message.type == Type.START:
            for number, (kind, content) in enumerate(self.script):
                self.out += encode(Message(kind, number, content))

    def receive(self, timeout):
        with self._lock:
            data, self.out = self.out, b""
        if not data:
            threading.Event().wait(min(timeout, 0.01))
        return data

    def close(self):
        pass


@pytest.fixture
def port():
    opened = []

    def plug(fake):
        opened.append(Pty(fake))
        return opened[-1].name

    yield plug
    for one in opened:
        one.close()


def run(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)


def sound(count, first=0, size=80):
    samples = np.arange(first, first + count, dtype=np.int16) * 7
    return samples, [
        (
            Type.DATA,
            struct.pack("<I", start) + samples[start - first : start - first + size].tobytes(),
        )
        for start in range(first, first + count, size)
    ]


# The device object


def test_a_request_without_an_answer_is_repeated_with_its_number(monkeypatch):
    monkeypatch.setattr(link_device, "ATTEMPTS", 3)
    fake = Fake(HELLO, mute=2)
    device = Device(fake, timeout=0.05)
    assert device.hello == HELLO
    assert device.again == 2
    assert len({message.sequence for message in fake.requests}) == 1
    fake.mute = 3
    with pytest.raises(LinkError, match=r"no answer to RESET .* is a device program there"):
        device.reset()


def test_what_is_lost_on_the_line_is_counted():
    device = Device(Fake(HELLO))
    for number in (0xFFFE, 0xFFFF, 2, 3):
        device._port.out += encode(Message(Type.STATUS, number, LOAD))
    assert len(list(device.listen(0.05))) == 4
    assert device.lost == 2
    device._port.out += encode(Message(Type.BOOT, 0, bytes(20)))
    device._port.out += encode(Message(Type.STATUS, 1, LOAD))
    assert len(list(device.listen(0.05))) == 2
    assert (device.lost, device.boots) == (2, 1)


def test_refusals_and_faults_are_errors():
    device = Device(Fake(HELLO))
    number = (device._sequence + 1) & 0xFFFF
    device._port.out = encode(Message(Type.ERROR, number, b"\x03"))
    with pytest.raises(LinkError, match="refuses START: it has no sensor"):
        device.start(Wanted.DATA)
    device._port.out = encode(Message(Type.FAULT, 0, b""))
    with pytest.raises(LinkError, match="stopped at a fault"):
        list(device.listen(0.1))


def test_a_paced_line_takes_as_long_as_a_serial_one():
    import time

    line = PacedLine(Fake(HELLO), baud=9600)
    line.receive(0.0)
    begin = time.monotonic()
    line.write(b"x" * 96)
    assert time.monotonic() - begin >= 0.1
    assert line.sent == 96


def test_a_port_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"/dev/nowhere: cannot be opened .* ports: "):
        SerialLine("/dev/nowhere")


def test_what_an_earlier_run_left_on_the_line_is_dropped():
    fake = Fake(SOUND, sound(80)[1])
    device = Device(fake)
    fake.out += encode(Message(Type.DATA, 0, struct.pack("<I", 900) + bytes(160)))
    device.start(Wanted.DATA)
    assert [content.first for content in device.listen(0.05)] == [0]


# The commands


def test_monitor_tells_what_the_device_sends(port):
    scores = struct.pack("<Iq", 7, 250_000) + bytes([0x80, 0, 1, 0x7F])
    event = struct.pack("<iiqqi", 1, 16384, 100_000, 250_000, 1)
    fake = Fake(SOUND, [(Type.SCORES, scores), (Type.EVENT, event), (Type.STATUS, LOAD)])
    result = run(monitor, "--port", port(fake), "--seconds", "0.3")
    assert result.exception is None, result.output
    told = [json.loads(line) for line in result.output.splitlines()]
    values = {"still": 0.0, "walk": 0.5, "2": 0.5039, "3": 0.9961}
    assert told[0] == {"time": 0.25, "scores": values}
    assert told[1] == {"event": "on", "label": "walk", "score": 0.5, "start": 0.1, "end": 0.25}
    assert told[2] == {
        "steps": 40, "overruns": 2, "lost": 3, "damaged": 1, "stack": 400, "stack_size": 1024,
        "step_us": 100.0, "mean_us": 100.0, "worst_us": 200.0, "lost_on_the_line": 0,
    }  # fmt: skip
    start, stop = (m for m in fake.requests if m.type in (Type.START, Type.STOP))
    assert stop.type == Type.STOP
    assert start.payload == bytes((Wanted.SCORES | Wanted.EVENTS | Wanted.STATUS,))


def test_monitor_of_a_device_without_a_sensor_shows_its_load(port):
    fake = Fake(replace(SOUND, sensor=False), [(Type.STATUS, LOAD)])
    result = run(monitor, "--port", port(fake), "--seconds", "0.2")
    assert json.loads(result.stdout)["overruns"] == 2
    assert "no sensor" in result.stderr
    assert next(m for m in fake.requests if m.type == Type.START).payload == bytes((4,))


def test_the_screen_shows_all_of_it():
    from rich.console import Console

    from edgernn.cli.monitor import _Screen
    from edgernn.link.messages import DeviceEvent, Scores, parse

    screen = _Screen(Device(Fake(SOUND)), emulated=False)
    screen.take(Scores(7, 250_000, bytes([0x80, 0, 1, 0x7F])))
    screen.take(DeviceEvent(1, 16384, 100_000, 250_000, 0))
    screen.take(parse(Type.STATUS, LOAD))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(screen.render())
    text = console.export_text()
    for part in (
        "motion on netduinoplus2 (cortex-m4)", "walk (over)", "50.0 %", "2 of 40 steps",
        "100.0 µs, at most 200.0 µs", "400 of 1,024 bytes", "3 on the device",
    ):  # fmt: skip
        assert part in text


def test_record_writes_what_train_reads_and_never_twice(port, tmp_path):
    samples, script = sound(1600)
    name = port(Fake(SOUND, script))
    arguments = ("--label", "stop", "--group", "anna", "--seconds", "0.2", "-o", tmp_path)
    for take in ("001", "002"):
        result = run(record, "--port", name, *arguments)
        assert result.exception is None, result.output
        assert f"stop/anna_{take}.wav: 1,600 samples, 0.2 s" in result.output
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    assert files == ["stop/anna_001.wav", "stop/anna_002.wav"]
    with wave.open(str(tmp_path / "stop/anna_002.wav")) as file:
        assert file.getframerate() == 8000
        np.testing.assert_array_equal(np.frombuffer(file.readframes(9999), "<i2"), samples)


def test_motion_comes_back_from_its_table_sample_by_sample(tmp_path):
    samples = np.random.default_rng(0).integers(-9999, 9999, (100, 2)).astype(np.int32)
    path = write_take(MOTION, samples, tmp_path, "walk", "bo")
    front_end = SensorFrontEnd(50.0, ("x", "y"), sample_scale=2.0**-10)
    (recording,) = read_recordings(tmp_path, front_end)
    assert recording.path == path
    np.testing.assert_array_equal(front_end.from_real(recording.samples), samples)
    np.testing.assert_array_equal(recording.times, np.arange(100) * 20_000)
    with open_source(str(path), front_end) as source:
        assert source.counters == {"bad_rows": 0}


def test_a_gap_is_refused_and_nothing_written(port, tmp_path):
    _, begin = sound(160)
    _, later = sound(1600, first=240)
    result = run(
        record, "--port", port(Fake(SOUND, begin + later)), "--label", "a", "--group", "b",
        "--seconds", "0.1", "-o", tmp_path / "out",
    )  # fmt: skip
    assert isinstance(result.exception, LinkError)
    assert str(result.exception).startswith("80 samples were lost, and nothing was written")
    assert "a line of at least 176,000 baud" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_device_that_falls_silent_is_an_error(port, tmp_path, monkeypatch):
    monkeypatch.setattr("edgernn.link.recording._PATIENCE", 0.2)
    name = port(Fake(SOUND, sound(160)[1]))
    result = run(record, "--port", name, "--label", "a", "--group", "b", "-o", tmp_path / "out")
    assert "no samples from motion" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value"), [("label", "../x"), ("label", ""), ("group", "a_b"), ("group", ".a")]
)
def test_names_that_are_none_are_refused_before_recording(option, value, tmp_path):
    names = {"label": "a", "group": "b", option: value}
    options = [part for key, name in names.items() for part in (f"--{key}", name)]
    result = run(record, "--port", "/dev/nowhere", *options, "-o", tmp_path)
    assert f"--{option}" in str(result.exception)


def test_frames_cannot_be_recorded(port, tmp_path):
    name = port(Fake(HELLO))
    result = run(record, "--port", name, "--label", "a", "--group", "b", "-o", tmp_path)
    assert "takes frames, not samples" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--port PORT"),
        (("--port", "p", "--emulate", "f"), "--port PORT"),
        (("--emulate", "f"), "needs a --board"),
        (("--port", "p", "--board", "b"), "--board is for --emulate"),
    ],
)
def test_the_device_must_be_named(arguments, says):
    assert says in str(run(monitor, *arguments).exception)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is missing")
def test_an_emulated_sensor_is_recorded_sample_by_sample(tmp_path):
    from converters.flatfile import add_metadata
    from edgernn import load
    from tests.targets.build import step_model

    data = step_model("gru", "int8", features=2, units=8, classes=3)
    front_end = {"kind": "sensor", "rate": 200.0, "names": ["x", "y"], "sample_scale": 2.0**-10}
    file = tmp_path / "model.tflite"
    file.write_bytes(add_metadata(data, replace(load(data).metadata, front_end=front_end)))
    result = run(
        record, "--emulate", file, "--board", "mps2-an386", "--label", "a", "--group", "b",
        "--seconds", "1", "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exception is None, result.output
    (recording,) = read_recordings(tmp_path / "out", SensorFrontEnd(200.0, ("x", "y")))
    phase = np.arange(200)[:, None] * (1801 + 97 * np.arange(2)) & 0xFFFF
    height = np.where(phase < 0x8000, phase, 0xFFFF - phase)
    triangles = np.trunc((height - 0x4000) / 4)
    np.testing.assert_array_equal(recording.samples * 1024, triangles)
