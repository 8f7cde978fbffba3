"""The whole way onto a device and back, over real OpenSSH, into a Debian root of this machine.

systemd is a stand-in that starts what the unit says (standins.py); the unit itself is judged by
systemd's own tools in test_unit.py. What is not exercised: a sandbox that is really applied,
restarts by systemd, and the processors of a Raspberry Pi (test_foreign.py emulates them).
"""

import json
import re
import subprocess
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edgernn.cli import group
from edgernn.errors import DeviceError
from edgernn.service.settings import ViewSettings
from targets.pi.deploying import deploy, service_name
from tests.targets.pi.devices import SETTINGS, model_file
from tests.targets.pi.standins import calls

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_file(tmp_path_factory.mktemp("model") / "tones.tflite")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "run.toml"
    path.write_text(SETTINGS.to_toml())
    return path


@pytest.fixture
def run(amd64):
    def command(*words, device=amd64):
        words = [*map(str, words), "--ssh-config", str(device.config)]
        return CliRunner().invoke(group, words, standalone_mode=False)

    return command


def status_of(run, name="tones"):
    done = run("device", "status", "pi", "--name", name, "--json")
    return json.loads(done.stdout)[name]


@pytest.fixture(scope="module")
def deployed(amd64, model):
    return deploy(model, SETTINGS, "pi", config=amd64.config, native=True)


def test_the_service_runs_the_release_that_passed_its_test_there(amd64, deployed, run):
    assert deployed.check["ok"]
    (attempt,) = deployed.check["attempts"]
    assert (attempt["backend"], attempt["steps"], attempt["difference"]) == ("native", 32, 0.0)
    assert amd64.link("tones", "current") == deployed.release == deployed.status["release"]
    assert deployed.status["state"] == "running"
    assert status_of(run)["active"] == "active"


def test_only_root_writes_a_release_and_anybody_reads_it(amd64, deployed):
    folder = amd64.folder("tones") / "releases" / deployed.release
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if not path.is_symlink()}
    assert modes <= {0o644, 0o755}
    assert (amd64.folder("tones") / "keys").stat().st_mode & 0o777 == 0o700


def test_systemd_knows_the_unit_of_the_current_release(amd64, deployed):
    unit = amd64.own / "etc/systemd/system/edgernn-tones.service"
    assert str(unit.readlink()) == "/opt/edgernn/tones/current/edgernn-tones.service"
    probed, pip, *rest = calls(amd64.own)
    assert probed == "--version"
    assert re.fullmatch(
        r"pip --no-input .* install .*/wheels/edgernn-[0-9.]+-py3-none-any.whl", pip
    )
    assert rest[:4] == [
        "daemon-reload",
        "enable edgernn-tones.service",
        "reset-failed edgernn-tones.service",
        "restart edgernn-tones.service",
    ]


def test_status_tells_of_the_service(deployed, run):
    done = run("device", "status", "pi")
    assert done.return_value == 0
    assert "tones: active, running" in done.stdout
    assert "/var/lib/tones.wav: open" in done.stdout
    assert re.search(r"release +" + deployed.release, done.stdout)


def test_logs_are_what_the_service_wrote(deployed, run):
    assert deployed.release in run("device", "logs", "pi").stdout


def test_events_are_those_of_the_event_log(deployed, run):
    lines = run("device", "logs", "pi", "--name", "tones", "--events").stdout.splitlines()
    assert {json.loads(line)["label"] for line in lines} <= {"b", "d"}


def test_watching_shows_scores_events_and_the_load(deployed, run):
    done = run("monitor", "pi", "--name", "tones", "--seconds", "4", "--json")
    assert done.exception is None
    hello, *lines = map(json.loads, done.stdout.splitlines())
    assert hello["hello"]["release"] == deployed.release
    assert {"b", "d"} >= {line["label"] for line in lines if "event" in line}
    assert any(line.get("scores", {}).keys() == set("abcd") for line in lines)
    assert any("status" in line for line in lines)


def test_new_settings_are_taken_and_wrong_ones_refused(amd64, deployed, run):
    override = amd64.own / "etc/edgernn/tones.toml"
    reload = ("device", "reload", "pi", "--name", "tones")
    override.write_text('publish = ["more.jsonl"]\n')
    assert "tones: took new publish" in run(*reload).stdout
    override.write_text("publish = 3\n")
    assert "publish is 3 and must be a list" in str(run(*reload).exception)
    override.unlink()
    assert "tones: took new publish" in run(*reload).stdout
    assert "nothing has changed" in run(*reload).stdout


def test_a_second_release_stands_beside_the_first_and_goes_back(
    amd64, deployed, model, settings, run
):
    done = run("deploy", model, "pi", "--settings", settings, "--native", "--keep-state")
    assert done.return_value == 0, done.exception
    second = amd64.link("tones", "current")
    assert f"tones runs on pi: release {second}" in done.stdout
    assert "self-test passed there with native: 32 steps, every value exact" in done.stdout
    assert amd64.link("tones", "previous") == deployed.release
    back = run("device", "rollback", "pi")
    assert back.return_value == 0
    assert amd64.link("tones", "current") == deployed.release == status_of(run)["status"]["release"]
    assert amd64.link("tones", "previous") == second


def test_a_release_that_fails_its_test_there_changes_nothing(amd64, deployed, tmp_path):
    wrong = model_file(tmp_path / "tones.tflite", off_by=3)
    before, pid = amd64.link("tones", "current"), (amd64.own / "standins/edgernn-tones.service.pid")
    seen = pid.read_text()
    with pytest.raises(DeviceError, match=r"self-test failed on the device: .*off by 3 last bits"):
        deploy(wrong, SETTINGS, "pi", config=amd64.config, native=True)
    assert amd64.link("tones", "current") == before
    assert pid.read_text() == seen
    assert not list((amd64.folder("tones") / "releases").glob(".*"))


def test_a_service_that_does_not_come_up_is_rolled_back_and_says_why(amd64, deployed, model, run):
    before = amd64.link("tones", "current")
    # It passes the self-test, which opens neither the input nor the page.
    bad = replace(SETTINGS, view=ViewSettings(token_file="/nonexistent"))
    with pytest.raises(DeviceError, match=r"did not come up: .*/nonexistent.*runs again") as error:
        deploy(model, bad, "pi", config=amd64.config, native=True)
    assert before in str(error.value)
    assert amd64.link("tones", "current") == before
    assert status_of(run)["status"]["release"] == before
    assert not status_of(run)["interrupted"]


def test_an_input_that_is_not_there_is_said(run, model):
    done = run("deploy", model, "pi", "--input", "/no.wav", "--native", "--name", "deaf")
    assert done.return_value == 0
    assert "it waits for its input, /no.wav: /no.wav: cannot be read" in done.stderr
    # Two services: which one is meant has to be said.
    refused = run("device", "rollback", "pi")
    assert "which service? these are there: deaf, tones; name one" in str(refused.exception)
    assert run("device", "remove", "pi", "--name", "deaf").return_value == 0


def test_who_signs_once_has_to_sign_from_then_on(amd64, run, model, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    words = ["deploy", model, "pi", "--input", "/no.wav", "--native", "--name", "vault"]
    done = run(*words, "--sign", key)
    assert (done.return_value, "signed by " in done.stdout) == (0, True), done.exception
    assert "takes signed bundles only: deploy with --sign KEY" in str(run(*words).exception)
    assert len(amd64.releases("vault")) == 1
    assert run("device", "remove", "pi", "--name", "vault").return_value == 0


def test_only_three_releases_stay(amd64, deployed, model):
    assert len(amd64.releases("tones")) == 3  # the one that did not come up is still there
    deploy(model, SETTINGS, "pi", config=amd64.config, native=True)
    assert len(amd64.releases("tones")) == 3
    assert amd64.link("tones", "previous") in amd64.releases("tones")


def test_removed_means_gone_but_for_its_state(amd64, deployed, run):
    assert run("device", "remove", "pi", "--name", "tones").return_value == 0
    assert not amd64.folder("tones").exists()
    assert not list((amd64.own / "etc/systemd/system").rglob("*.service"))
    assert (amd64.own / "var/lib/edgernn/tones").is_dir()
    done = run("device", "status", "pi")
    assert (done.return_value, done.stdout) == (1, "no service of edgernn is on pi\n")


@pytest.mark.parametrize(
    ("file", "name"),
    [("Hey_Mycroft v2.tflite", "hey-mycroft-v2"), ("7.keyword.tflite", "keyword"), ("-x-", "x")],
)
def test_a_service_is_called_as_its_model(file, name):
    assert service_name(file) == name
