"""Sources of files and of stdin: what comes out, what is counted, and what is refused."""

import io
import logging
import os
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.sources import open_source
from edgernn.sources.columns import Columns
from edgernn.sources.resampling import Resampler


class Sound:
    """As much of an audio front end as a source looks at."""

    kind, sample_dtype, rate, channels = "audio", "int16", 8000.0, 1


SOUND = Sound()
SENSOR = SensorFrontEnd(rate=50.0, names=("x", "y"))


def everything(source):
    with source:
        blocks = list(source)
    times = [block.times for block in blocks if block.times is not None]
    return (
        np.concatenate([block.samples for block in blocks]),
        np.concatenate(times) if times else None,
    )


def write_wav(path, samples, width, channels=1, rate=8000):
    """Samples are integers of `width` bytes."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        if width == 1:
            raw = (samples + 128).astype(np.uint8).tobytes()
        else:
            raw = samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
        file.writeframes(raw)
    return str(path)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channel", [0, 1])
def test_wav_of_each_width(tmp_path, width, channel):
    top = np.random.default_rng(3).integers(-128, 128, 9000)
    path = write_wav(tmp_path / "a.wav", top << 8 * (width - 1), width, channels=2)
    source = open_source(path, SOUND, channel=channel)
    samples, times = everything(source)
    assert samples.dtype == np.int16
    assert times is None
    np.testing.assert_array_equal(samples, (top << 8)[channel::2])
    assert not any(source.counters.values())


def test_flac_is_its_wav(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    samples = np.random.default_rng(4).integers(-30000, 30000, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", samples, 8000)
    soundfile.write(tmp_path / "float.wav", samples / 32768, 8000, subtype="FLOAT")
    for name in ("a.flac", "float.wav"):
        found, _ = everything(open_source(str(tmp_path / name), SOUND))
        np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize("rate", [44100, 16000, 48000, 6000, 11025])
def test_sound_of_another_rate(tmp_path, rate):
    def tone(rate):
        return 20000 * np.sin(2 * np.pi * 700 * np.arange(rate) / rate)

    path = write_wav(tmp_path / "a.wav", np.rint(tone(rate)).astype(np.int64), 2, rate=rate)
    found, _ = everything(open_source(path, SOUND, resample=True))
    assert len(found) == 8000  # both are a second
    np.testing.assert_allclose(found[100:-100], tone(8000)[100:-100], atol=5)
    if rate > 12000:  # what 8 kHz cannot hold
        high = 20000 * np.sin(2 * np.pi * 5000 * np.arange(rate) / rate)
        path = write_wav(tmp_path / "b.wav", np.rint(high).astype(np.int64), 2, rate=rate)
        found, _ = everything(open_source(path, SOUND, resample="yes"))
        assert np.abs(found[100:-100]).max() <= 5


@pytest.mark.parametrize("rates", [(44100, 8000), (8000, 44100), (16000, 8000), (100, 99)])
def test_resampling_in_pieces(rates):
    samples = np.random.default_rng(6).integers(-30000, 30000, 3000).astype(np.int16)
    whole = Resampler(*rates).run(samples, last=True)
    pieces = Resampler(*rates)
    cuts = np.split(samples, [1, 2, 2, 40, 700, 1999])
    found = [pieces.run(cut) for cut in cuts] + [pieces.run(samples[:0], last=True)]
    np.testing.assert_array_equal(np.concatenate(found), whole)
    assert len(whole) == -(-3000 * rates[1] // rates[0])


def test_rates_without_a_ratio():
    with pytest.raises(InputError, match=r"44099\.9 samples a second cannot be made 16000"):
        Resampler(44099.9, 16000)


def test_a_wav_that_was_cut_short_is_counted(tmp_path):
    path = Path(write_wav(tmp_path / "a.wav", np.arange(1000), 2))
    path.write_bytes(path.read_bytes()[:-500])
    source = open_source(str(path), SOUND)
    assert len(everything(source)[0]) == 750
    assert source.counters == {"missing_samples": 250}


def test_sound_that_does_not_fit(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.arange(10), 2, rate=44100)
    with pytest.raises(InputError, match=r"44100.*8000.*resample=yes"):
        open_source(path, SOUND)
    path = write_wav(tmp_path / "b.wav", np.arange(10), 2)
    with pytest.raises(InputError, match="no channel 1: there are 1"):
        open_source(path, SOUND, channel=1)
    with pytest.raises(InputError, match="is sound"):
        open_source(path, SENSOR)
    with pytest.raises(InputError, match=r"no option 'loud'; its options: channel, resample"):
        open_source(path, SOUND, loud=True)
    with pytest.raises(InputError, match=r"channel='left'"):
        open_source(path, SOUND, channel="left")
    (tmp_path / "c.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no WAV file"):
        open_source(str(tmp_path / "c.wav"), SOUND)
    with pytest.raises(InputError, match=r"nothing: no source .*\.wav"):
        open_source("nothing", SOUND)


@pytest.mark.parametrize(
    ("header", "step"),
    [
        ("timestamp", 20),  # milliseconds fit 50 Hz best
        ("t", 0.02),
        ("time", 20_000),
        ("Time [us]", 20_000),
        ("time_s", 20),  # told, though it does not fit
        ("timestamp (ns)", 20_000_000),
    ],
)
def test_units_of_times(tmp_path, header, step):
    rows = "".join(f"{i},{i * step},{-i},SEATED\n" for i in range(100))
    (tmp_path / "a.csv").write_text(f"x,{header},y,label\n{rows}")
    samples, times = everything(open_source(str(tmp_path / "a.csv"), SENSOR))
    np.testing.assert_array_equal(samples, [[i, -i] for i in range(100)])
    apart = 20_000_000 if header == "time_s" else 20_000
    np.testing.assert_array_equal(times, np.arange(100) * apart)


def test_columns_are_chosen(tmp_path):
    (tmp_path / "a.csv").write_text(
        "when;b;a;c\n2020-01-01 00:00:01;1;2;3\n2020-01-01 00:00:03;4;5;6"
    )
    path = str(tmp_path / "a.csv")
    samples, times = everything(open_source(path, SENSOR, columns="a, c", time="when"))
    np.testing.assert_array_equal(samples, [[2, 3], [5, 6]])
    assert times.tolist() == [1577836801_000_000, 1577836803_000_000]
    with pytest.raises(InputError, match="no column 'x', it has when, b, a, c"):
        open_source(path, SENSOR)
    with pytest.raises(InputError, match="1 columns are chosen, the front end takes 2"):
        open_source(path, SENSOR, columns="a")
    with pytest.raises(InputError, match="is a table"):
        open_source(path, SOUND)


def test_channels_without_names_are_the_columns_that_are_left():
    class Unnamed:
        rate, channels = 10.0, 2

    columns = Columns("here", ["time", "label", "room", "a", "b"], Unnamed(), labels=["room"])
    assert columns.channels == [3, 4]


def test_bad_rows_are_counted_and_the_first_is_named(tmp_path, caplog):
    text = "t_ms,x,y\n0,1,2\n20,3\n\n40,nan,5\nnever,6,7\n60,\xff,9\n80,8,9\n"
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        source = open_source(str(tmp_path / "a.csv"), SENSOR)
        samples, times = everything(source)
    assert source.counters == {"bad_rows": 2}
    assert "line 3: has 2 values, not 3" in caplog.text
    assert "never" not in caplog.text
    assert times.tolist() == [0, 40_000, 60_000, 80_000]
    np.testing.assert_array_equal(samples, [[1, 2], [np.nan, 5], [np.nan, 9], [8, 9]])
    stream = SENSOR.stream()
    stream.push(samples, times)
    assert stream.counters["bad_values"] == 2
    with pytest.raises(InputError, match=r"a\.csv, line 3: has 2 values"):
        everything(open_source(str(tmp_path / "a.csv"), SENSOR, strict="yes"))


def test_a_clock_that_jumps_is_passed_on_and_counted_by_the_front_end(tmp_path):
    times = [*range(0, 1000, 20), *range(500, 1000, 20)]
    (tmp_path / "a.csv").write_text("t_ms,x,y\n" + "".join(f"{t},0,0\n" for t in times))
    samples, found = everything(open_source(str(tmp_path / "a.csv"), SENSOR))
    stream = SENSOR.stream()
    frames = stream.push(samples, found)
    assert stream.counters["clock_jumps"] == 1
    assert frames.breaks.sum() == 1


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3", b"1,2,3\n4,5,6\n", b"\n"])
def test_no_table(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"no CSV|begins with numbers"):
        open_source(str(tmp_path / "a.csv"), SENSOR)


def test_a_recording_at_its_own_pace(tmp_path):
    samples = np.arange(2000)
    path = write_wav(tmp_path / "a.wav", samples, 2)
    begun = time.monotonic()
    with open_source(path, SOUND, realtime=True) as source:
        assert source.live
        found = [(time.monotonic() - begun, block.samples) for block in source]
    np.testing.assert_array_equal(np.concatenate([part for _, part in found]), samples)
    given = 0
    for at, part in found:
        given += len(part)
        assert at >= given / 8000 - 0.005
    assert "late_blocks" in source.counters


def test_closing_ends_a_wait(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.arange(80000), 2)
    source = open_source(path, SOUND, realtime=True)
    threading.Timer(0.2, source.close).start()
    assert len(everything(source)[0]) < 8000


def test_slowness_of_the_consumer_is_counted(tmp_path):
    with open_source(write_wav(tmp_path / "a.wav", np.arange(2400), 2), SOUND, realtime=True) as s:
        for _ in s:
            time.sleep(0.12)
        assert s.counters["late_blocks"] > 0


@pytest.fixture
def pipe(monkeypatch):
    """Writes to what is stdin."""
    read, write = os.pipe()
    with open(read) as stdin, open(write, "wb", buffering=0) as file:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield file


def lines_of(pipe, text, front_end=SENSOR, spec="-", **options):
    source = open_source(spec, front_end, **options)
    pipe.write(text)
    pipe.close()
    return (*everything(source), source.counters)


@pytest.mark.parametrize(
    "text",
    [
        b"1,2\n3,4\n5,6",
        b"y;x\r\n2;1\r\n4;3\r\n6;5\r\n",
        b"[1, 2]\n\n[3, 4]\n[5, 6]\n",
        b'{"y": 2, "room": "a", "x": 1}\n{"x": 3, "y": 4}\n{"x": 5, "y": 6}\n',
    ],
)
def test_lines(pipe, text):
    samples, times, counters = lines_of(pipe, text)
    np.testing.assert_array_equal(samples, [[1, 2], [3, 4], [5, 6]])
    assert times is None
    assert counters == {"bad_lines": 0}


@pytest.mark.parametrize("text", [b"0.5,1,2\n0.52,3,4\n", b"x,y,t\n1,2,500\n3,4,520\n"])
def test_lines_with_times(pipe, text):
    samples, times, _ = lines_of(pipe, text)
    np.testing.assert_array_equal(samples, [[1, 2], [3, 4]])
    assert times.tolist() == [500_000, 520_000]


def test_bad_lines_are_counted(pipe, caplog):
    text = b'1,2\n3\n{"x"\n' + b"9" * 200_000 + b'\n{"z": 1}\n4,NaN\n5,null\n7,8'
    with caplog.at_level(logging.WARNING):
        samples, _, counters = _threaded(pipe, text)
    np.testing.assert_array_equal(samples, [[1, 2], [4, np.nan], [5, np.nan], [7, 8]])
    assert counters == {"bad_lines": 4}
    assert "line 2: has 1 values, not 2" in caplog.text


def _threaded(pipe, text, front_end=SENSOR, spec="-"):
    """As `lines_of`, for more than a pipe holds."""
    source = open_source(spec, front_end)

    def write():
        pipe.write(text)
        pipe.close()

    threading.Thread(target=write).start()
    return (*everything(source), source.counters)


def test_sound_as_text_and_as_integers(pipe):
    samples, _, counters = lines_of(pipe, b"1\n-2\n[3, 4]\n40000\n1.5\nnan\nhum\n5\n", SOUND)
    assert samples.tolist() == [1, -2, 3, 4, 5]
    assert samples.dtype == np.int16
    assert counters == {"bad_lines": 4}


@pytest.mark.parametrize(("front_end", "width"), [(SOUND, 1), (SENSOR, 2)])
def test_raw_integers_cut_anywhere(pipe, front_end, width):
    samples = np.random.default_rng(5).integers(-32768, 32768, 3000).astype("<i2")
    source = open_source("stdin:int16", front_end)

    def write():
        raw = samples.tobytes() + b"\1"
        for i in range(0, len(raw), 777):
            pipe.write(raw[i : i + 777])
            time.sleep(0.001)
        pipe.close()

    threading.Thread(target=write).start()
    found, _ = everything(source)
    np.testing.assert_array_equal(found.reshape(-1), samples)
    assert found.shape == ((3000,) if width == 1 else (1500, 2))
    assert source.counters == {"cut_samples": 1}


@pytest.mark.parametrize(
    ("spec", "front_end", "data", "message"),
    [
        ("-", SOUND, b"\0\1\0\1", "stdin:int16"),
        ("stdin:int16", SOUND, b"RIFF\0\0\0\0WAVE", "WAV file.*arecord -t raw"),
        ("-", SENSOR, b"1,2,3,4\n", "has 4 values a line"),
        ("-", SENSOR, b"x,z\n1,2\n", "no column 'y', it has x, z"),
    ],
)
def test_lines_that_do_not_fit(pipe, spec, front_end, data, message):
    with pytest.raises(InputError, match=message):
        lines_of(pipe, data, front_end, spec)


def test_formats(pipe):
    with pytest.raises(InputError, match="format 'mp3' is not one of lines, int16"):
        open_source("stdin:mp3", SOUND)


def test_closing_a_blocked_reader(pipe):
    source = open_source("-", SENSOR)
    assert source.live
    threading.Timer(0.1, source.close).start()
    begun = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - begun < 2


def test_a_file_on_stdin_is_not_live(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with open(tmp_path / "a.csv") as file:
        monkeypatch.setattr(sys, "stdin", file)
        source = open_source("-", SENSOR)
        assert not source.live
        assert everything(source)[0].tolist() == [[1, 2]]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(InputError, match="is closed"):
        open_source("-", SENSOR)


def test_the_core_needs_no_package_of_a_source():
    code = (
        "import sys, edgernn.sources, edgernn.sources.lines, edgernn.sources.table\n"
        "print([m for m in ('sounddevice', 'serial', 'paho', 'soundfile') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr
