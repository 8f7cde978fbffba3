"""What systemd, the journal and the machine are told and tell."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgernn.errors import InputError
from edgernn.service import health, journal
from edgernn.service.health import Meter, temperature
from edgernn.service.notify import notify, reloading
from edgernn.service.places import places, read_release, running_places
from edgernn.view.tap import Pushed


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_gets_fields_of_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"edgernn-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else name)
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        notify(ready=1, status="two\nlines")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=two lines"
        reloading()
        assert systemd.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "relative", "/no/such/socket"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify(ready=1)
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify(ready=1)


def test_a_line_for_the_journal_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    journal.say(journal.WARNING, "two\nlines\x1b[31m \ud800")
    journal.say(journal.INFO, {"label": "é\n"})
    journal.take_logging()
    logging.getLogger("edgernn.sources").warning("%s: was unplugged", "serial")
    first, second, third = capfd.readouterr().out.splitlines()
    assert first == "<4>two lines?[31m ?"
    assert second.startswith("<6>")
    assert json.loads(second[3:]) == {"label": "é\n"}
    assert third == "<4>serial: was unplugged"


def test_a_journal_that_is_away_holds_nothing_up() -> None:
    program = (
        "from edgernn.service import journal\n"
        "for i in range(9): journal.say(4, 'x')\n"
        "import sys; sys.exit(7)"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, check=False)
    os.close(write)
    assert done.returncode == 7


def test_the_processors_temperature_is_told(tmp_path: Path) -> None:
    assert temperature(tmp_path) is None
    for number, kind, value in (
        (0, "battery", "61000"),
        (1, "x86_pkg_temp", "55500"),
        (2, "a", ""),
    ):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(value + "\n")
    assert temperature(tmp_path) == 61.0
    (tmp_path / "thermal_zone1/type").write_text("cpu-thermal\n")
    assert temperature(tmp_path) == 55.5


def test_load_and_overruns_are_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    meter = Meter()
    for _ in range(30):
        meter.add(Pushed([], {}, 10, 0.5, 1.0))
        now += 1.0
        meter.tick()
    assert meter.load == pytest.approx(0.5)
    assert (meter.frames, meter.overruns, meter.slowest) == (300, 0, 0.5)
    for _ in range(health.WINDOW):
        meter.add(Pushed([], {}, 10, 2.0, 1.0))
        now += 1.0
        meter.tick()
    assert meter.load == pytest.approx(2.0)
    assert meter.overruns == 10
    assert meter.uptime == 40.0


def test_places_are_those_of_systemd_or_below_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running_places("stop", tmp_path)
    assert found == places("stop", tmp_path)
    assert found.socket == tmp_path / "run/edgernn/stop/control.sock"
    assert found.state.is_dir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "s"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "r"))
    assert running_places("stop", tmp_path).snapshot == tmp_path / "s/state.snapshot"
    monkeypatch.setenv("EDGERNN_ROOT", "/elsewhere")
    assert places("stop").override == Path("/elsewhere/etc/edgernn/stop.toml")
    for name in ("", "Stop", "../x", "a/b", "1a", "a" * 33):
        with pytest.raises(InputError):
            places(name)


def test_a_release_is_called_like_its_manifest_and_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "20261121T171500-ab12cd34"
    folder.mkdir()
    (tmp_path / "current").symlink_to(folder.name)
    with pytest.raises(InputError, match="no manifest"):
        read_release(tmp_path / "current")
    (folder / "manifest.json").write_text('{"name": "stop"}')
    found = read_release(tmp_path / "current")
    assert (found.folder, found.name, found.id) == (folder, "stop", folder.name)
    for wrong in ("[]", "{", '{"name": "../x"}', '{"name": 3}'):
        (folder / "manifest.json").write_text(wrong)
        with pytest.raises(InputError):
            read_release(folder)
    with pytest.raises(InputError, match="no folder of a release"):
        read_release(tmp_path / "nothing")
