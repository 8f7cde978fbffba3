"""A running service: events as the pipeline's own, restarts, new settings, failures."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgernn.errors import InputError
from edgernn.service import availability, loop
from edgernn.service.availability import Attempt
from edgernn.service.event_log import read_log
from edgernn.service.loop import Service
from edgernn.service.places import read_release
from edgernn.service.settings import FILE, LogSettings, ViewSettings, read_settings
from edgernn.sinks import told
from tests.edgernn.service.releases import (
    NAME,
    PATIENCE,
    answers,
    command,
    placed,
    release,
    sound,
    started,
    status,
    wait_until,
    write_settings,
    write_wav,
)
from tests.edgernn.tones import tone_model

KEYS = ("event", "label", "score", "start", "end")


def without_clock(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: event[key] for key in KEYS} for event in events]


def expected(samples: Any) -> list[dict[str, Any]]:
    return [told(event) for event in tone_model().pipeline().push(samples)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter is not tried in a process of its own."""
    monkeypatch.setattr(loop, "remembered_backend", lambda *_: "litert")


@contextmanager
def serving(folder: Path, root: Path) -> Iterator[Service]:
    """A service in a thread of this process."""
    made = read_release(folder, NAME)
    places = placed(root)
    service = Service(made, read_settings(folder / FILE, places.override), places, (0.02, 0.2))
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_until(places.socket.exists)
        yield service
    finally:
        service.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def looped(tmp_path: Path, **settings: Any) -> Path:
    """A release that hears a recording again and again, as if it were live."""
    path = write_wav(tmp_path / "sound.wav", sound(2.0))
    return release(tmp_path, str(path), repeat=True, options={"realtime": True}, **settings)


def test_a_recording_gives_the_events_of_the_pipeline_to_log_journal_and_sinks(
    tmp_path: Path,
) -> None:
    samples = sound(4.0)
    spec = str(write_wav(tmp_path / "sound.wav", samples))
    folder = release(tmp_path, spec, publish=("events.jsonl",))
    done = subprocess.run(
        command(folder, tmp_path, "run"), capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    places = placed(tmp_path)
    logged, damaged = read_log(places.log)
    wanted = expected(samples)
    assert damaged == 0
    assert len(wanted) > 2
    assert without_clock(logged) == wanted
    assert all(abs(entry["clock"] - time.time()) < 600 for entry in logged)
    lines = done.stdout.decode().splitlines()
    journal = [json.loads(line[3:]) for line in lines if line.startswith('<6>{"event"')]
    assert without_clock(journal) == wanted
    sent = (places.state / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in sent] == wanted
    assert not places.snapshot.exists()


def test_restarts_in_the_middle_change_no_event(tmp_path: Path) -> None:
    """SIGTERM, and a new process that goes on: the same events as in one go."""
    samples = sound(6.0)
    folder = release(tmp_path, "stdin:int16", keep_state=True)
    for part in (samples[:17_001], samples[17_001:30_000], samples[30_000:]):
        with started(folder, tmp_path, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(part.tobytes())
            process.stdin.flush()
            wait_until(lambda: placed(tmp_path).socket.exists())
            wait_until(lambda: status(tmp_path)["seconds"] >= round(len(part) / 8000, 2))  # noqa: B023
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert without_clock(read_log(placed(tmp_path).log)[0]) == expected(samples)


def test_systemd_is_told_of_start_life_new_settings_and_end(tmp_path: Path) -> None:
    folder = looped(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        heard: list[str] = []

        def hear(text: str) -> None:
            while not heard or text not in heard[-1]:
                heard.append(systemd.recv(4096).decode())

        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with started(folder, tmp_path, env=env) as process:
            hear("READY=1")
            assert "STATUS=running" in heard[-1]
            hear("WATCHDOG=1")
            write_settings(folder, str(tmp_path / "sound.wav"), repeat=True, users=("pi",))
            process.send_signal(signal.SIGHUP)
            hear("RELOADING=1")
            assert "MONOTONIC_USEC=" in heard[-1]
            hear("READY=1")
            process.send_signal(signal.SIGTERM)
            hear("STOPPING=1")
            assert process.wait(PATIENCE) == 0


@pytest.mark.usefixtures("quick")
def test_status_tells_how_it_is(tmp_path: Path) -> None:
    folder = looped(tmp_path, keep_state=True, users=("pi",))
    with serving(folder, tmp_path) as service:
        wait_until(lambda: status(tmp_path)["frames"] > 20)
        found = status(tmp_path)
        assert found["name"] == NAME
        assert found["release"] == "release"
        assert found["model"] == tone_model().hash
        assert (found["state"], found["backend"]) == ("running", "litert")
        assert found["input"]["state"] == "open"
        assert found["pid"] == os.getpid()
        assert found["memory"] > 10_000_000
        assert 0 < found["load"] < 1000
        assert found["last_error"] is None
        assert found["snapshot"]["restored"] == ""
        wait_until(lambda: status(tmp_path)["events"] > 1)
        assert len(answers(tmp_path, "logs 1")) == 1
        assert answers(tmp_path, "logs 100") == service.log.newest(100)


@pytest.mark.usefixtures("quick")
def test_who_watches_sees_scores_events_and_status(tmp_path: Path) -> None:
    from edgernn.service.client import ask

    folder = looped(tmp_path)
    with serving(folder, tmp_path):
        kinds: dict[str, dict[str, Any]] = {}
        for line in ask(placed(tmp_path).socket, "watch", PATIENCE):
            found = json.loads(line)
            kinds.setdefault(next(iter(found)), found)
            if {"hello", "time", "event", "status"} <= set(kinds):
                break
        assert kinds["hello"]["hello"]["labels"] == ["a", "b", "c", "d"]
        assert list(kinds["time"]["scores"]) == ["a", "b", "c", "d"]
        assert kinds["status"]["status"]["state"] == "running"
        assert set(kinds["event"]) == {*KEYS, "clock"}


@pytest.mark.usefixtures("quick")
def test_new_settings_are_taken_while_it_runs(tmp_path: Path) -> None:
    folder = looped(tmp_path)
    spec = str(tmp_path / "sound.wav")
    same: dict[str, Any] = {"repeat": True, "options": {"realtime": True}}
    with serving(folder, tmp_path) as service:
        assert answers(tmp_path, "reload") == [{"reloaded": []}]
        changed = {"publish": ("a.jsonl",), "log": LogSettings(8192, 0), "view": ViewSettings(0)}
        write_settings(folder, spec, **same, **changed)
        assert answers(tmp_path, "reload") == [{"reloaded": ["publish", "log", "view"]}]
        assert status(tmp_path)["view"].startswith("http://127.0.0.1:")
        wait_until(lambda: (placed(tmp_path).state / "a.jsonl").stat().st_size > 0)
        assert service.page is not None
        other = write_wav(tmp_path / "other.wav", sound(1.0, seed=1))
        write_settings(folder, str(other), **same)
        assert answers(tmp_path, "reload") == [{"reloaded": ["input", "publish", "log", "view"]}]
        assert (service.page, service.sinks) == (None, [])
        wait_until(lambda: status(tmp_path)["state"] == "running")
        assert status(tmp_path)["input"]["spec"] == str(other)


@pytest.mark.usefixtures("quick")
def test_bad_settings_are_refused_and_the_old_ones_go_on(tmp_path: Path) -> None:
    folder = looped(tmp_path, publish=("a.jsonl",), view=ViewSettings(0))
    spec = str(tmp_path / "sound.wav")
    same: dict[str, Any] = {"repeat": True, "options": {"realtime": True}}
    with serving(folder, tmp_path) as service:
        wait_until(lambda: status(tmp_path)["frames"] > 0)
        before = service.settings, service.sinks, service.log
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for bad in (
                {"spec": str(tmp_path / "missing.wav"), "publish": ("b.jsonl",), **same},
                {"spec": spec, **same, "options": {"chanel": 1}},
                {"spec": spec, **same, "publish": ("b.jsonl", "no/such/folder")},
                {"spec": spec, **same, "publish": (), "view": ViewSettings(port)},
                {"spec": spec, **same, "model": "other.tflite"},
                {"spec": "nonsense", "view": ViewSettings(0, "localhost")},
            ):
                write_settings(folder, **bad)
                (answer,) = answers(tmp_path, "reload")
                assert "error" in answer, bad
                assert (service.settings, service.sinks, service.log) == before
                assert service.page is not None
        (folder / "run.toml").write_text("input = 3")
        assert "input is 3" in answers(tmp_path, "reload")[0]["error"]
        frames = status(tmp_path)["frames"]
        wait_until(lambda: status(tmp_path)["frames"] > frames)
        assert status(tmp_path)["input"]["spec"] == spec


@pytest.mark.usefixtures("quick")
def test_an_input_that_is_away_is_waited_for(tmp_path: Path) -> None:
    spec = tmp_path / "sound.wav"
    folder = release(tmp_path, str(spec), repeat=True, options={"realtime": True})
    with serving(folder, tmp_path):
        wait_until(lambda: status(tmp_path)["input"]["failures"] > 2)
        found = status(tmp_path)
        assert found["state"] == "waiting"
        assert "sound.wav" in found["input"]["error"]
        assert "sound.wav" in found["last_error"]["text"]
        write_wav(spec, sound(1.0))
        wait_until(lambda: status(tmp_path)["frames"] > 100)  # of several openings
        found = status(tmp_path)
        assert (found["state"], found["input"]["error"]) == ("running", "")


@pytest.mark.usefixtures("quick")
def test_sinks_and_a_log_that_fail_are_told_and_do_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = looped(tmp_path, publish=("/dev/full", "good.jsonl"))
    with serving(folder, tmp_path) as service:
        monkeypatch.setattr(service.log, "append", raise_full)
        wait_until(lambda: status(tmp_path)["counters"].get("events_refused", 0) > 1)
        found = status(tmp_path)
        assert found["state"] == "running"
        assert found["counters"]["events_not_logged"] > 1
        assert "/dev/full" in found["last_error"]["text"]
        assert (placed(tmp_path).state / "good.jsonl").read_text().count("\n") > 1


def raise_full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("quick")
def test_a_state_with_which_the_service_fails_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = str(write_wav(tmp_path / "sound.wav", sound(1.0)))
    folder = release(tmp_path, spec, keep_state=True)
    places = placed(tmp_path)
    made = read_release(folder, NAME)
    settings = read_settings(folder / FILE)
    assert Service(made, settings, places).run() == 0
    assert places.snapshot.exists()
    second = Service(made, settings, places)
    monkeypatch.setattr(second.pipeline, "push", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        second.run()
    assert not places.snapshot.exists()
    assert places.snapshot.with_name("state.snapshot.damaged").exists()
    assert "the service failed with it" in capfd.readouterr().out
    assert Service(made, settings, places).run() == 0


def test_two_services_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = looped(tmp_path)
    with started(folder, tmp_path):
        wait_until(lambda: placed(tmp_path).socket.exists())
        done = subprocess.run(
            command(folder, tmp_path, "run"), capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 2
        assert b"is running already" in done.stderr
        assert status(tmp_path)["state"] == "running"


def test_wrong_settings_end_it_with_one_line_and_code_2(tmp_path: Path) -> None:
    folder = release(tmp_path, "sound.wav")
    (folder / "run.toml").write_text('inputt = "x"\n')
    done = subprocess.run(
        command(folder, tmp_path, "run"), capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"no field 'inputt'" in done.stderr


def test_asking_a_service_that_does_not_run_is_one_line_and_code_1(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "edgernn.service"]
    done = subprocess.run(
        [*program, "status", NAME, "--root", str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"no service answers there" in done.stderr
    done = subprocess.run([*program, "status", "../x"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"no service's name" in done.stderr


def test_check_says_which_interpreter_runs_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgernn.service.check import check

    folder = release(tmp_path, "microphone:")
    found = check(folder, NAME, str(tmp_path))
    assert (found["ok"], found["backend"], found["error"]) == (True, "litert", "")
    monkeypatch.setattr(availability, "ORDER", ("tflite-runtime", "litert"))
    tried = availability.find_backend(folder / "model.tflite")
    assert [one.backend for one in tried] == ["tflite-runtime", "litert"]
    assert "not available" in tried[0].error
    write_settings(folder, "microphone:", backend="native")
    monkeypatch.setenv("EDGERNN_LIBRARY", str(tmp_path))
    found = check(folder, NAME, str(tmp_path))
    assert not found["ok"]
    assert "holds no library of this model" in found["error"]
    (folder / "model.tflite").write_bytes(b"TFL3")
    assert not check(folder, NAME, str(tmp_path))["ok"]


def test_the_interpreter_that_was_found_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = release(tmp_path, "microphone:") / "model.tflite"
    note, tried = tmp_path / "backend.json", []

    def attempt(_: Path, backend: str) -> Attempt:
        tried.append(backend)
        return Attempt(backend)

    monkeypatch.setattr(availability, "attempt", attempt)
    assert availability.remembered_backend(model, "auto", note) == "litert"
    assert availability.remembered_backend(model, "auto", note) == "litert"
    assert tried == ["litert"]
    assert availability.remembered_backend(model, "tflite-runtime", note) == "tflite-runtime"
    model.write_bytes(model.read_bytes() + b" ")
    availability.remembered_backend(model, "tflite-runtime", note)
    monkeypatch.setattr(availability.native, "processor", lambda: b"another one")
    availability.remembered_backend(model, "tflite-runtime", note)
    note.write_text("{")
    availability.remembered_backend(model, "tflite-runtime", note)
    assert tried == ["litert", *4 * ["tflite-runtime"]]
    note.unlink()
    note.mkdir()  # cannot be written
    assert availability.remembered_backend(model, "auto", note) == "litert"


def test_an_interpreter_that_dies_or_hangs_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = release(tmp_path, "microphone:")
    program = tmp_path / "python"
    for body, wanted in (
        ("kill -ILL $$", "signal 4"),
        ("exit 3", "code 3"),
        ("exec sleep 60", "gives no answer"),
    ):
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setattr(availability.sys, "executable", str(program))
        monkeypatch.setattr(availability, "PATIENCE", 0.5 if "sleep" in body else 30.0)
        with pytest.raises(InputError.__bases__[0], match=wanted):
            availability.find_backend(folder / "model.tflite", "litert")
