"""What a device says of itself over real OpenSSH, and which devices are refused."""

import platform
import sys
from dataclasses import replace

import pytest

from edgernn.errors import DeviceError
from targets.pi.device_tool import call
from targets.pi.probe import check_device, parse, probe
from targets.pi.remote import connect
from tests.targets.pi.loopback import ssh_server

FOUND = {
    "machine": "aarch64",
    "glibc": "2.36",
    "python": "3.11",
    "board": "Raspberry Pi 4 Model B Rev 1.4",
    "root": "",
    "free": 4_000_000_000,
    "systemd": 252,
    "groups": ["audio", "dialout"],
    "packages": {"numpy": "1.24.2", "tflite-runtime": "2.14.0"},
    "keygen": True,
    "signed": False,
    "releases": ["20261121T171500-ab12cd34"],
    "current": "20261121T171500-ab12cd34",
}
DEVICE = parse("pi", FOUND)
ENOUGH = {"need": 1 << 20, "native": True, "signing": False}


@pytest.fixture
def device(tmp_path):
    """This machine, by ssh; programs in `bin` come before its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python3"
    python.symlink_to(sys.executable)

    def program(name, text):
        path = programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    program("systemctl", "echo systemd 252 '(252.39-1~deb12u2)'")
    folder = tmp_path / "ssh"
    folder.mkdir()
    script = (
        f'PATH={programs}:$PATH EDGERNN_ROOT={tmp_path}/root; export PATH EDGERNN_ROOT; eval "$1"'
    )
    with (
        ssh_server(folder, ["sh", "-c", script, "sh"]) as server,
        connect("pi", server.config) as remote,
    ):
        yield remote, program


def test_a_device_says_what_it_is(device):
    found = probe(device[0], "kitchen")
    assert found.machine == platform.machine()
    assert found.python == "{}.{}".format(*sys.version_info)
    assert (found.systemd, found.current, found.signed) == (252, "", False)
    assert found.free > 1 << 20
    assert found.keygen


def test_one_without_systemd_is_found_out(device, tmp_path):
    device[1]("systemctl", "exit 127")
    assert probe(device[0], "kitchen").systemd == 0


def test_root_that_is_not_to_be_had_is_said(device):
    remote, program = device
    program("id", "echo 1000")
    program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    with pytest.raises(DeviceError, match=r"a password is required; root is needed.*docs/rasp"):
        probe(remote, "kitchen")


def test_sudo_is_asked_without_a_question(device, tmp_path):
    remote, program = device
    program("id", "echo 1000")
    program("sudo", f'echo "$1 $2 $3" > {tmp_path}/asked; shift 2; exec "$@"')
    assert probe(remote, "kitchen").systemd == 252
    assert (tmp_path / "asked").read_text() == "-n -- python3\n"


def test_a_device_without_python_is_told_what_to_install(device):
    device[1]("python3", "echo 'sh: 1: exec: python3: not found' >&2; exit 127")
    with pytest.raises(DeviceError, match=r"python3: not found; install it there: sudo apt"):
        probe(device[0], "kitchen")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="needs a Python that is new enough")
def test_an_old_python_is_named(device):
    old = "import sys; sys.version_info = (3, 9, 2); sys.argv.pop(0); exec(sys.argv.pop(1))"
    # The words are: -I -c LOADER SIZE …
    device[1]("python3", f'shift 2; exec {sys.executable} -c "{old}" -c "$@"')
    with pytest.raises(DeviceError, match=r"^pi: Python 3.9 is there, 3.10 or newer is needed"):
        probe(device[0], "kitchen")


def test_what_a_login_prints_does_no_harm(device):
    remote, program = device
    program("id", "echo 0; echo 'Welcome to your Pi!' >&2; echo '{\"result\": 1' >&2")
    assert probe(remote, "kitchen").systemd == 252


def test_no_name_leads_elsewhere(device):
    with pytest.raises(DeviceError, match="is no service's name"):
        call(device[0], ["facts", "--name", "../../etc"])


@pytest.mark.parametrize(
    "wrong",
    [{"machine": None}, {"free": "much"}, {"groups": "audio\n"}, {"packages": []},
     {"board": "\x1b[2J"}, {"groups": [1]}, {"root": "/a\nb"}],
)  # fmt: skip
def test_odd_answers_are_refused(wrong):
    with pytest.raises(DeviceError, match="pi: says odd things of itself"):
        parse("pi", {**FOUND, **wrong})


def test_a_missing_answer_is_refused():
    with pytest.raises(DeviceError, match="systemd"):
        parse("pi", {key: value for key, value in FOUND.items() if key != "systemd"})


def test_one_line_for_people():
    assert str(DEVICE) == (
        "Raspberry Pi 4 Model B Rev 1.4, aarch64, Python 3.11, glibc 2.36, systemd 252, 4.0 GB free"
    )
    assert DEVICE.interpreters == ("tflite-runtime",)


@pytest.mark.parametrize(
    ("device", "asked", "says"),
    [
        ({"systemd": 0}, {}, "has no systemd"),
        ({"systemd": 232}, {}, "has systemd 232, and 247"),
        ({"machine": "armv6l"}, {}, "no native library for armv6l: deploy with --no-native"),
        ({"glibc": ""}, {"native": False}, "another C library than glibc"),
        ({"free": 100 << 20}, {"need": 200 << 20}, "has 100 MiB free for /opt, and 200 are needed"),
        ({"keygen": False}, {"signing": True}, "cannot check signatures"),
        ({"signed": True}, {}, "takes signed bundles only: deploy with --sign KEY"),
    ],
)
def test_devices_that_cannot_run_it_are_refused(device, asked, says):
    with pytest.raises(DeviceError, match=says):
        check_device(replace(DEVICE, **device), **{**ENOUGH, **asked})


@pytest.mark.parametrize(
    ("device", "asked"),
    [({}, {}), ({"machine": "armv6l"}, {"native": False}), ({"signed": True}, {"signing": True})],
)
def test_devices_that_can_are_not(device, asked):
    check_device(replace(DEVICE, **device), **{**ENOUGH, **asked})
