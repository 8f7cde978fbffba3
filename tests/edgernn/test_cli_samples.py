"""`edgernn configure`, and `edgernn run` from samples to events."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from edgernn import load
from edgernn.metadata import Metadata, Output
from tests.edgernn.stepfile import build
from tests.edgernn.test_cli import run

LABELS = ("still", "walk", "run", "fall")
FRONT_END = {"kind": "sensor", "rate": 50, "names": list("abcd"), "sample_scale": 0.001}
DETECTOR = {"kind": "trigger", "threshold": 0.6, "release": 0.55, "report": "both"}
SAMPLES = 1.5 * np.sin(np.arange(600)[:, np.newaxis] / [20, 30, 40, 50])


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bare.tflite").write_bytes(build(metadata=Metadata(outputs=(Output(labels=LABELS),))))
    Path("fe.json").write_text(json.dumps(FRONT_END))
    Path("det.json").write_text(json.dumps(DETECTOR))
    write("x.csv", SAMPLES)
    parts = ("--front-end", "fe.json", "--detector", "det.json")
    assert run("configure", "bare.tflite", *parts, "-o", "m.tflite") == 0
    assert capsys.readouterr().out == "m.tflite: front end: sensor, detector: trigger\n"
    return tmp_path


def write(path, samples, header="a,b,c,d"):
    np.savetxt(path, samples, delimiter=",", header=header, comments="", fmt="%.4f")


def told(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_run_tells_the_events_of_the_pipeline(folder, capsys):
    assert run("run", "m.tflite", "--input", "x.csv") == 0
    lines = told(capsys)
    events = load("m.tflite").pipeline().push(np.round(SAMPLES, 4))
    assert {event.phase for event in events} == {"on", "off"}
    assert [(line["event"], line["label"]) for line in lines] == [
        (event.phase, event.label) for event in events
    ]
    assert [line["start"] for line in lines] == [round(event.start, 6) for event in events]


@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
def test_run_on_a_board_tells_the_same(folder, capsys):
    for options in ((), ("--scores",)):
        assert run("run", "m.tflite", "--input", "x.csv", "--backend", "tflm", *options) == 0
        expected = capsys.readouterr().out
        assert run("run", "m.tflite", "--input", "x.csv", "--board", "mps2-an386", *options) == 0
        assert capsys.readouterr().out == expected
    assert run("run", "m.tflite", "--input", "x.csv", "--board", "microbit", "--state", "s") == 2
    assert "neither --view nor --state" in capsys.readouterr().err


def test_run_carries_the_whole_chain_in_a_file(folder, capsys):
    assert run("run", "m.tflite", "--input", "x.csv") == 0
    whole = told(capsys)
    for name, part in (("1.csv", SAMPLES[:251]), ("2.csv", SAMPLES[251:])):
        write(name, part)
        assert run("run", "m.tflite", "--input", name, "--state", "s.bin") == 0
    assert told(capsys) == whole


def test_inspect_tells_of_the_parts(folder, capsys):
    assert run("inspect", "m.tflite") == 0
    text = capsys.readouterr().out
    assert "Front end: sensor, fraction 12, max_gap 0.0, names a b c d, policy inter" in text
    assert "Detector: trigger, release 0.55, report both, threshold 0.6" in text


def test_what_went_wrong_is_told_at_the_end(folder, capsys):
    Path("bad.csv").write_text("a,b,c,d\n1,2,3,4\n1,2\n1,x,3,4\n1,2,3,nan\n")
    assert run("run", "m.tflite", "--input", "bad.csv") == 0
    assert "on the way: bad rows 1, bad values 2" in capsys.readouterr().err


def test_events_go_to_several_sinks(folder, capsys):
    assert run("run", "m.tflite", "-i", "x.csv", "--to", "-", "--to", "e.jsonl") == 0
    lines = told(capsys)
    assert lines
    assert [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()] == lines


def test_options_of_a_source(folder, capsys):
    assert run("run", "m.tflite", "--input", "x.csv") == 0
    lines = told(capsys)
    write("other.csv", SAMPLES, "p,q,r,s")
    assert run("run", "m.tflite", "-i", "other.csv", "--option", "columns=p,q,r,s") == 0
    assert told(capsys) == lines


def test_a_full_disk_ends_in_a_line(folder, capsys):
    assert run("run", "m.tflite", "-i", "x.csv", "--to", "/dev/full") == 2
    assert "/dev/full: cannot be written (no space left" in capsys.readouterr().err


def test_events_that_no_broker_took_are_told(folder, capsys, monkeypatch):
    pytest.importorskip("paho.mqtt", reason="pip install 'edgernn[mqtt]'")
    monkeypatch.setattr("edgernn.sinks.mqtt.PATIENCE", 0.2)
    assert run("run", "m.tflite", "-i", "x.csv", "--to", "mqtt://127.0.0.1:1/a") == 1
    lost = load("m.tflite").pipeline().push(np.round(SAMPLES, 4))
    assert f"undelivered events {len(lost)}" in capsys.readouterr().err


def command(*arguments, **redirected):
    code = "from edgernn.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, **redirected
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_source_cleanly(folder, number):
    process = command(
        *("run", "m.tflite", "--input", "-", "--state", "s.bin"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for row in SAMPLES.tolist():
        process.stdin.write(",".join(map(str, row)) + "\n")
    process.stdin.write("1,2\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["label"] in LABELS
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(20) == 0
    assert process.stderr.read().splitlines()[-1] == "edgernn: on the way: bad lines 1"
    stream = load("m.tflite").pipeline()
    stream.push(SAMPLES)
    stream.restore(Path("s.bin").read_bytes())


def test_a_reader_of_stdout_that_leaves(folder):
    read, write_end = os.pipe()
    os.close(read)
    process = command("run", "m.tflite", "--input", "x.csv", stdout=write_end)
    os.close(write_end)
    assert process.wait(60) in (1, 141)  # click's own code, or that of a last flush
    assert process.stderr.read() == ""


def test_stdout_on_a_full_disk(folder):
    with open("/dev/full", "w") as full:
        process = command("run", "m.tflite", "--input", "x.csv", stdout=full)
        assert process.wait(60) == 2
    assert process.stderr.read() == "edgernn: stdout: cannot be written (no space left on device)\n"


def test_the_page_shows_a_recording_at_its_own_pace(folder):
    write("short.csv", SAMPLES[:150])
    command = [sys.executable, "-m", "edgernn", "run", "m.tflite", "-i", "short.csv", "--view"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            url = process.stderr.readline().decode().split()[-1]
            with urllib.request.urlopen(url + "events", timeout=10) as page:
                text = page.read().decode()
            lines = [json.loads(line) for line in process.stdout]
            assert process.wait(10) == 0
        finally:
            process.kill()
    messages = re.findall("event: (.*)\ndata: (.*)\n", text)
    assert [messages[0][0], messages[-1][0]] == ["hello", "end"]
    hello, *updates = [json.loads(data) for _, data in messages[:-1]]
    assert hello["labels"] == list(LABELS)
    assert hello["channels"] == list("abcd")
    assert hello["title"].startswith("m.tflite")
    assert len(updates) > 10  # of three seconds
    last = updates[-1]
    assert last["times"][-1] == 3.0
    np.testing.assert_allclose(last["high"][-1], SAMPLES[149], atol=1e-3)
    assert max(max(row) for one in updates for row in one["scores"]) > 0.6
    assert last["counters"]["gaps"] == 0
    assert 0 < last["latency"] < 3
    assert 0 < last["real_time_factor"] < 10
    events = [*hello["events"], *(event for one in updates for event in one.get("events", []))]
    assert [(e["phase"], e["label"]) for e in events] == [(e["event"], e["label"]) for e in lines]
    assert events


MISTAKES = {
    "view": (["run", "m.tflite", "-i", "x.csv", "--view-address", "0.0.0.0", "--view"], "a token"),
    "frames": (
        ["run", "m.tflite", "-i", "x.npy", "--frames", "--view", "0"],
        "--view is for samples",
    ),
    "port": (["run", "m.tflite", "-i", "x.csv", "--view", "70000"], "a port, 0 to 65535"),
    "no port": (["run", "--view", "m.tflite", "-i", "x.csv"], "--view m.tflite: what follows"),
    "option": (["run", "m.tflite", "-i", "x.csv", "--option", "a=1"], "x.csv: has no option 'a'"),
    "form": (["run", "m.tflite", "-i", "x.csv", "--option", "a"], "of the form NAME=VALUE"),
    "to": (["run", "bare.tflite", "-i", "x.csv", "--to", "-"], "--to is for samples"),
    "sink": (["run", "m.tflite", "-i", "x.csv", "--to", "no/a"], "no/a: cannot be written"),
    "no column": (["run", "m.tflite", "-i", "ab.csv"], "ab.csv: has no column 'c', it has a, b"),
    "header only": (["run", "m.tflite", "-i", "none.csv"], "none.csv: holds no samples"),
    "folder": (["run", "m.tflite", "-i", "."], ".: is a folder: name one recording"),
    "other file": (["run", "m.tflite", "-i", "x.npy"], "x.npy: no source of samples"),
    "last": (["run", "m.tflite", "-i", "x.csv", "--last"], "--last is for frames.*--frames"),
    "raw": (["run", "m.tflite", "-i", "x.csv", "--raw"], "--raw is for frames.*--frames"),
    "state": (["run", "m.tflite", "-i", "x.csv", "--state", "x.csv"], "x.csv: .*not a saved"),
    "nothing": (["configure", "m.tflite"], "nothing to do: pass --front-end"),
    "both": (["configure", "m.tflite", "--no-detector", "--detector", "det.json"], "not both"),
    "missing": (["configure", "m.tflite", "--detector", "no.json"], "no.json: cannot be read"),
    "no json": (["configure", "m.tflite", "--detector", "x.csv"], "x.csv: "),
    "field": (["configure", "m.tflite", "--detector", "typo.json"], "its fields are.*threshold"),
    "never": (["configure", "m.tflite", "--detector", "never.json"], "never reached.*0.996"),
    "nan": (["configure", "m.tflite", "--detector", "nan.json"], "detector: holds a value"),
    "kind": (["configure", "m.tflite", "--detector", "kind.json"], "kind .'x'. is not one of"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_the_model_alone(folder, capsys, name):
    write("ab.csv", SAMPLES[:, :2], "a,b")
    write("none.csv", SAMPLES[:0])
    np.save("x.npy", SAMPLES)
    Path("typo.json").write_text('{"kind": "trigger", "treshold": 0.5}')
    Path("never.json").write_text('{"kind": "trigger", "labels": {"run": 1.0}}')
    Path("nan.json").write_text('{"kind": "trigger", "threshold": NaN}')
    Path("kind.json").write_text('{"kind": ["x"]}')
    before = Path("m.tflite").read_bytes()
    arguments, words = MISTAKES[name]
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(words, error), error
    assert Path("m.tflite").read_bytes() == before
