"""Sources that are devices: a serial port on a pty, a microphone without a driver, a fake sysfs."""

import os
import pty
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from edgernn.errors import InputError, MissingDependencyError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.sources import iio, iio_buffer, microphone, open_source
from edgernn.sources.clock import SampleClock

SOUND = SimpleNamespace(kind="audio", sample_dtype="int16", rate=8000.0, channels=1)
SENSOR = SensorFrontEnd(rate=50.0, names=("accel_x", "accel_y"))


def later(seconds, function, *arguments):
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()


def take(source, samples):
    """Blocks until there are so many samples."""
    blocks, count = [], 0
    for block in source:
        blocks.append(block)
        count += len(block.samples)
        if count >= samples:
            break
    return blocks


def joined(blocks):
    return np.concatenate([block.samples for block in blocks])


class Port:
    """A name that stands for one pty after another, as a port that is unplugged does."""

    def __init__(self, path):
        self.path, self.main = path, None

    def plug(self):
        self.main, device = pty.openpty()
        self.path.symlink_to(os.ttyname(device))
        self._device = device

    def unplug(self):
        self.path.unlink()
        os.close(self._device)
        os.close(self.main)

    def write(self, data):
        os.write(self.main, data)


@pytest.fixture
def port(tmp_path):
    pytest.importorskip("serial", reason="pip install 'edgernn[serial]'")
    port = Port(tmp_path / "ttyACM0")
    port.plug()
    return port


def test_serial_lines(port):
    with open_source(f"serial:{port.path}@9600", SENSOR) as source:
        assert source.live
        port.write(b"accel_y,accel_x\n1,2\n3,")
        later(0.1, port.write, b"4\nrubbish\n5,6\n")
        blocks = take(source, 3)
        np.testing.assert_array_equal(joined(blocks), [[2, 1], [4, 3], [6, 5]])
        times = np.concatenate([block.times for block in blocks])
        assert times.tolist() == [20_000, 40_000, 60_000]
        assert source.counters["bad_lines"] == 1


@pytest.mark.parametrize("first", [b"Hello! I am here\nready\naccel_x,accel_y\n", b"5\n", b",1\n"])
def test_serial_that_does_not_begin_with_a_sample(port, first):
    with open_source(f"serial:{port.path}", SENSOR) as source:
        port.write(first + b"1,2\n3,4\n")
        np.testing.assert_array_equal(joined(take(source, 2)), [[1, 2], [3, 4]])
        assert source.counters["bad_lines"] == (2 if b"ready" in first else 0)


def test_serial_that_gives_something_else(port):
    with open_source(f"serial:{port.path}", SENSOR) as source:
        port.write(b"1,2,3,4\n" * 9)
        with pytest.raises(InputError, match=r"serial:.* has 4 values a line"):
            take(source, 1)
    with open_source(f"serial:{port.path}", SENSOR) as source:
        port.write(b"accel_x,accel_z\n1,2\n")
        with pytest.raises(InputError, match="no column 'accel_y', it has accel_x, accel_z"):
            take(source, 1)


def test_serial_integers(port):
    with open_source(f"serial:{port.path}", SOUND, format="int16") as source:
        time.sleep(0.1)
        port.write(np.array([1, -2, 300], "<i2").tobytes())
        blocks = take(source, 3)
    assert joined(blocks).tolist() == [1, -2, 300]
    assert blocks[0].times is None


def test_serial_unplugged_and_back(port):
    def again():
        port.unplug()
        time.sleep(0.5)
        port.plug()
        time.sleep(0.6)
        port.write(b"55,5\n5,6\n7,8\n")

    with open_source(f"serial:{port.path}", SENSOR) as source:
        port.write(b"77,1\n1,2\n3,4\n9")
        before = take(source, 2)
        later(0.0, again)
        after = take(source, 2)
        assert source.counters == {"unplugged": 1, "reconnects": 1, "bad_lines": 1}
    np.testing.assert_array_equal(joined(after), [[5, 6], [7, 8]])
    stream = SENSOR.stream()
    for block in before + after:
        stream.push(block.samples, block.times)
    assert stream.counters["gaps"] == 1
    assert 400_000 < stream.counters["largest_gap_us"] < 5_000_000


def test_serial_ends_while_it_waits_for_the_port(port):
    with open_source(f"serial:{port.path}", SENSOR) as source:
        port.unplug()
        later(0.3, source.close)
        begun = time.monotonic()
        assert list(source) == []
        assert time.monotonic() - begun < 3
        assert source.counters["unplugged"] == 1


def test_serial_ends_while_nothing_comes(port):
    with open_source(f"serial:{port.path}", SENSOR) as source:
        later(0.2, source.close)
        assert list(source) == []


def test_no_serial_port(tmp_path):
    pytest.importorskip("serial", reason="pip install 'edgernn[serial]'")
    with pytest.raises(InputError, match=r"nothing: cannot be opened.*ports: "):
        open_source(f"serial:{tmp_path}/nothing", SENSOR)
    with pytest.raises(InputError, match="baud rate 'fast'"):
        open_source("serial:/dev/tty0@fast", SENSOR)


@pytest.mark.parametrize(
    ("spec", "front_end", "package"),
    [("serial:/dev/tty0", SENSOR, "serial"), ("microphone:", SOUND, "sounddevice")],
)
def test_a_package_that_is_missing(monkeypatch, spec, front_end, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgernn\["):
        open_source(spec, front_end)


def test_times_without_a_clock():
    now = [100.0]
    clock = SampleClock(50.0, lambda: now[0])
    assert clock.stamps(2).tolist() == [20_000, 40_000]
    now[0] += 3
    assert clock.stamps(1).tolist() == [60_000]
    clock.resume()
    assert clock.stamps(1).tolist() == [3_060_000]
    clock.resume()  # at once: time does not go back
    assert clock.stamps(1).tolist() == [3_080_000]


@pytest.fixture
def driver(monkeypatch):
    """A `sounddevice` whose callback the test calls."""

    class PortAudioError(Exception):
        pass

    class RawInputStream:
        def __init__(self, **chosen):
            if chosen["device"] == 7:
                raise PortAudioError("Invalid device")
            module.chosen, module.arrived = chosen, chosen["callback"]
            module.closed = 0

        def start(self):
            pass

        def close(self):
            module.closed += 1

    module = ModuleType("sounddevice")
    module.PortAudioError, module.RawInputStream = PortAudioError, RawInputStream
    module.query_devices = lambda: [
        {"name": "speaker", "max_input_channels": 0, "default_samplerate": 48000.0},
        {"name": "mic", "max_input_channels": 2, "default_samplerate": 44100.0},
    ]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


GOOD, OVERFLOW = SimpleNamespace(input_overflow=False), SimpleNamespace(input_overflow=True)


def test_microphone(driver):
    with open_source("microphone:", SOUND, channel="1") as source:
        frames = np.arange(480, dtype=np.int16).reshape(240, 2)
        driver.arrived(frames.tobytes(), 240, None, GOOD)
        driver.arrived(frames.tobytes(), 240, None, OVERFLOW)
        blocks = take(source, 480)
    np.testing.assert_array_equal(joined(blocks), np.tile(frames[:, 1], 2))
    assert source.counters == {"overruns": 1, "dropped_samples": 0}
    assert driver.chosen["samplerate"] == 8000
    assert driver.chosen["device"] is None
    assert driver.closed == 1


def test_microphone_whose_reader_is_slow(driver):
    with open_source("microphone:mic", SOUND) as source:
        block = np.ones(240, np.int16).tobytes()
        for _ in range(400):
            driver.arrived(block, 240, None, GOOD)
        assert source.counters["dropped_samples"] == (400 - 333) * 240
        first = take(source, 333 * 240)
        driver.arrived(block, 240, None, GOOD)
        rest = take(source, (400 - 333 + 1) * 240)
    samples = joined(first + rest)
    assert len(samples) == 401 * 240  # the time of all that was recorded
    assert samples.sum() == (333 + 1) * 240


def test_microphone_that_falls_silent(driver, monkeypatch):
    monkeypatch.setattr(microphone, "SILENT", 0.3)
    with open_source("microphone:", SOUND) as source, pytest.raises(InputError, match="unplugged"):
        list(source)


def test_microphone_ends_while_it_waits(driver):
    with open_source("microphone:", SOUND) as source:
        later(0.2, source.close)
        assert list(source) == []


def test_no_microphone(driver):
    with pytest.raises(InputError, match=r"Invalid device.*devices: 1 mic \(44100\)"):
        open_source("microphone:7", SOUND)
    with pytest.raises(InputError, match="gives sound"):
        open_source("microphone:", SENSOR)


@pytest.fixture
def accelerometer(tmp_path, monkeypatch):
    """A device with three channels, as the kernel shows it."""
    folder = tmp_path / "devices" / "iio:device0"
    folder.mkdir(parents=True)
    files = {
        "name": "adxl345",
        "in_accel_scale": "0.5",
        "in_accel_x_raw": "10",
        "in_accel_y_raw": "-4",
        "in_accel_y_scale": "0.25",
        "in_accel_y_offset": "2",
        "in_temp_raw": "7",
        "sampling_frequency": "50.000000",
    }
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    monkeypatch.setattr(iio, "DEVICES", tmp_path / "devices")
    monkeypatch.setattr(iio_buffer, "NODES", tmp_path)
    return folder


def add_buffer(folder, types):
    """Scan elements in the order of their index, and the node: a pipe."""
    (folder / "scan_elements").mkdir()
    (folder / "buffer").mkdir()
    for index, (name, kind) in enumerate(types.items()):
        (folder / "scan_elements" / f"in_{name}_en").write_text("0")
        (folder / "scan_elements" / f"in_{name}_index").write_text(f"{index}\n")
        (folder / "scan_elements" / f"in_{name}_type").write_text(f"{kind}\n")
    (folder / "scan_elements" / f"in_{next(iter(types))}_en").write_text("1")
    (folder / "buffer" / "enable").write_text("0\n")
    (folder / "buffer" / "length").write_text("2\n")
    node = folder.parents[1] / folder.name
    os.mkfifo(node)
    return os.open(node, os.O_RDWR)


def test_iio_read_one_by_one(accelerometer):
    with open_source("iio:adxl345", SENSOR) as source:
        begun = time.monotonic()
        blocks = take(source, 5)
        assert time.monotonic() - begun > 0.07
    np.testing.assert_array_equal(joined(blocks), [[5.0, -0.5]] * 5)
    times = np.concatenate([block.times for block in blocks])
    assert abs(np.median(np.diff(times)) - 20_000) < 10_000


def test_iio_device_that_goes(accelerometer):
    with open_source("iio:0", SENSOR) as source:
        take(source, 2)
        (accelerometer / "in_accel_y_raw").unlink()
        with pytest.raises(InputError, match="iio:0: gives no more values"):
            take(source, 2)
        assert source.counters == {"failed_reads": 1}


def test_iio_read_that_fails_once(accelerometer):
    with open_source("iio:0", SENSOR) as source:
        (accelerometer / "in_accel_y_raw").write_text("")
        later(0.2, (accelerometer / "in_accel_y_raw").write_text, "0")
        np.testing.assert_array_equal(joined(take(source, 1)), [[5.0, 0.5]])
        assert source.counters["failed_reads"] > 0


LAYOUT = {
    "temp": "le:u8/8>>0",
    "accel_y": "be:s12/16>>4",
    "accel_x": "le:s16/32>>8",
    "timestamp": "le:s64/64>>0",
}


def test_iio_buffer(accelerometer):
    node = add_buffer(accelerometer, LAYOUT)
    enable = accelerometer / "buffer" / "enable"
    switches = accelerometer / "scan_elements"
    with open_source("iio:device0", SENSOR, mode="buffer") as source:
        assert enable.read_text() == "1"
        on = [p.name for p in sorted(switches.glob("*_en")) if p.read_text() == "1"]
        assert on == ["in_accel_x_en", "in_accel_y_en", "in_timestamp_en"]
        raw = b""
        for x, y, t in [(3, -2, 1_000_000), (-32768, 2047, 21_000_999)]:
            raw += ((y << 4 | 5) & 0xFFFF).to_bytes(2, "big") + b"\xaa\xaa"
            raw += ((x << 8 | 9) & 0xFFFFFFFF).to_bytes(4, "little") + t.to_bytes(8, "little")
        os.write(node, raw[:20])
        later(0.1, os.write, node, raw[20:])
        blocks = take(source, 2)
    np.testing.assert_array_equal(joined(blocks), [[1.5, 0.0], [-16384, 2049 * 0.25]])
    assert np.concatenate([b.times for b in blocks]).tolist() == [1000, 21_000]
    assert enable.read_text() == "0\n".strip()
    assert (switches / "in_temp_en").read_text() == "1"
    assert (switches / "in_accel_x_en").read_text() == "0"
    os.close(node)


def test_iio_buffer_ends_while_nothing_comes(accelerometer):
    node = add_buffer(accelerometer, LAYOUT)
    with open_source("iio:0", SENSOR) as source:
        later(0.2, source.close)
        assert list(source) == []
    os.close(node)


def test_iio_rates(accelerometer):
    add_buffer(accelerometer, {"accel_x": "le:s16/16>>0", "accel_y": "le:s16/16>>0"})
    (accelerometer / "sampling_frequency").write_text("100")
    with pytest.raises(InputError, match=r"100 samples a second without times.*takes 50"):
        open_source("iio:0", SENSOR)
    (accelerometer / "sampling_frequency").write_text("12.5")
    with pytest.raises(InputError, match=r"12\.5 samples a second.*takes 50.*higher"):
        open_source("iio:0", SENSOR)
    assert (accelerometer / "buffer" / "enable").read_text().strip() == "0"


def test_no_iio(accelerometer):
    with pytest.raises(InputError, match="no such device; devices: device0 adxl345"):
        open_source("iio:bmp280", SENSOR)
    other = SensorFrontEnd(rate=50.0, names=("x",))
    with pytest.raises(InputError, match="no channel 'x', it has accel_x, accel_y, temp"):
        open_source("iio:0", other)
    with open_source("iio:0", other, columns="temp") as source:
        assert joined(take(source, 1)).tolist() == [[7.0]]
    with pytest.raises(InputError, match="its buffer cannot be used"):
        open_source("iio:0", SENSOR, mode="buffer")
    with pytest.raises(InputError, match="mode 'fast' is not one of"):
        open_source("iio:0", SENSOR, mode="fast")
