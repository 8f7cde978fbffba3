"""The unit under a real systemd: its sandbox, its watchdog, its restarts, its journal.

Not exercised, unless the kernel here gives control groups of version 2 their controllers: the
limits on memory and processor. Never here: devices (`DeviceAllow`), and a Raspberry Pi's kernel.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgernn.cli import group
from edgernn.errors import DeviceError
from edgernn.service.settings import ViewSettings
from targets.pi.deploying import deploy
from tests.targets.pi.booted import booted
from tests.targets.pi.devices import SETTINGS, model_file

pytestmark = pytest.mark.slow
UNIT = "edgernn-tones.service"


@pytest.fixture(scope="module")
def machine(roots, tmp_path_factory):
    with booted(roots, tmp_path_factory.mktemp("booted")) as made:
        yield made


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_file(tmp_path_factory.mktemp("model") / "tones.tflite")


@pytest.fixture(scope="module")
def deployed(machine, model):
    settings = replace(SETTINGS, keep_state=True, snapshot_seconds=1.0)
    return deploy(model, settings, "pi", config=machine.config, native=True)


def run(machine, *words):
    return CliRunner().invoke(
        group, [*words, "--ssh-config", str(machine.config)], standalone_mode=False
    )


def shown(machine, *names):
    done = machine.run("systemctl", "show", UNIT, *(f"--property={name}" for name in names))
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


def wait(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def state_of(machine):
    (state,) = json.loads(run(machine, "device", "status", "pi", "--json").stdout).values()
    return state


def test_systemd_runs_it_as_a_service_that_said_it_is_ready(machine, deployed):
    found = shown(machine, "ActiveState", "SubState", "Type", "UnitFileState", "NRestarts")
    assert found == {
        "ActiveState": "active",
        "SubState": "running",
        "Type": "notify",
        "UnitFileState": "enabled",
        "NRestarts": "0",
    }
    assert "listens to /var/lib/tones.wav" in run(machine, "device", "logs", "pi").stdout


def test_it_runs_as_a_user_of_its_own_with_no_rights(machine, deployed):
    pid = shown(machine, "MainPID")["MainPID"]
    lines = machine.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert all(61184 <= int(user) <= 65519 for user in status["Uid"].split())
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_it_can_write_its_own_folders_alone_and_reach_no_network(machine, deployed):
    pid = shown(machine, "MainPID")["MainPID"]
    mounts = [
        line.split() for line in machine.run("cat", f"/proc/{pid}/mounts").stdout.splitlines()
    ]
    writable = {words[1] for words in mounts if words[3].split(",")[0] == "rw"}
    assert "/" not in writable
    assert {"/var/lib/private/edgernn/tones", "/run/edgernn/tones"} <= writable
    assert not [place for place in writable if place.startswith(("/opt", "/etc", "/usr"))]
    net = machine.run("readlink", f"/proc/{pid}/ns/net", "/proc/1/ns/net").stdout.split()
    assert net[0] != net[1]


def test_a_kill_is_followed_by_a_restart_that_goes_on_with_the_state(machine, deployed):
    before = state_of(machine)["status"]
    wait(lambda: state_of(machine)["status"].get("snapshot", {}).get("age", 99) < 5)
    machine.run("systemctl", "kill", "--signal=SIGKILL", UNIT)
    wait(lambda: state_of(machine)["status"].get("pid", before["pid"]) != before["pid"])
    after = state_of(machine)
    assert after["active"] == "active"
    assert after["status"]["snapshot"]["restored"]
    assert shown(machine, "NRestarts")["NRestarts"] == "1"


def test_a_hang_is_ended_by_the_watchdog(machine, model):
    from targets.pi.unit import Limits

    deploy(model, SETTINGS, "pi", config=machine.config, native=True,
           limits=Limits(watchdog_seconds=5))  # fmt: skip
    pid = shown(machine, "MainPID")["MainPID"]
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=SIGSTOP", UNIT)
    wait(lambda: shown(machine, "MainPID")["MainPID"] not in (pid, "0"))
    log = machine.run("journalctl", "--unit", UNIT, "--output", "cat").stdout
    assert "Watchdog timeout" in log


def test_one_that_does_not_come_up_is_rolled_back(machine, deployed, model):
    before = machine.link("tones", "current")
    bad = replace(SETTINGS, view=ViewSettings(token_file="/nonexistent"))
    with pytest.raises(DeviceError, match=rf"did not come up: .*/nonexistent.*{before} runs again"):
        deploy(model, bad, "pi", config=machine.config, native=True)
    assert state_of(machine)["status"]["release"] == before


def test_removed_means_that_systemd_knows_nothing_of_it(machine, deployed):
    done = run(machine, "device", "remove", "pi", "--name", "tones", "--purge")
    assert done.return_value == 0
    assert shown(machine, "LoadState")["LoadState"] == "not-found"
    for place in ("opt/edgernn/tones", "var/lib/edgernn/tones", "var/lib/private/edgernn/tones"):
        assert not Path(machine.own / place).exists()
    assert not list((machine.own / "etc/systemd/system").rglob("edgernn*"))
