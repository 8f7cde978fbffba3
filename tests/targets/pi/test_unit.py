"""The unit, judged by systemd's own tools, with settings that want to break out of it."""

import configparser
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import InputError
from edgernn.service.settings import Settings, ViewSettings
from targets.pi.unit import Limits, quoted, unit, unit_name

KINDS = {
    "microphone:": "audio",
    "serial:/dev/ttyACM0@9600": "dialout",
    "serial:/dev/serial/by-id/usb-Arduino_Nano-if00": "dialout",
    "iio:adxl345": "iio",
    "/srv/recording.wav": None,
}
FULL = {
    "publish": ("mqtt://broker/topic", "/srv/my data/50%/$HOME/events.jsonl", "here.jsonl"),
    "view": ViewSettings(address="0.0.0.0", token_file="token", certificate="/c", key="key"),
}

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (package systemd)",
)


def fields(text):
    """What a unit sets, as lists."""
    found = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def judged(text, tmp_path, *command):
    """What systemd-analyze says of a unit whose program is there."""
    program = tmp_path / "opt/edgernn/tones/current/venv/bin/python"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / unit_name("tones")
    file.write_text(text)
    return subprocess.run(
        ["systemd-analyze", *command, str(file)], capture_output=True, text=True, check=False
    )


@analyze
@pytest.mark.parametrize("more", [{}, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("spec", KINDS)
def test_systemd_finds_nothing_to_say(spec, more, tmp_path):
    text = unit("tones", Settings(spec, **more), groups=("audio", "iio"), root=str(tmp_path))
    done = judged(text, tmp_path, "verify", "--man=no")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@analyze
def test_systemd_says_what_is_wrong_with_a_spoiled_one(tmp_path):
    text = unit("tones", Settings("microphone:"), root=str(tmp_path)) + "[Service]\nNonsense=1\n"
    assert "Nonsense" in judged(text, tmp_path, "verify", "--man=no").stderr


@analyze
@pytest.mark.parametrize("spec", KINDS)
def test_systemd_calls_the_sandbox_ok(spec, tmp_path):
    text = unit("tones", Settings(spec, **FULL), root=str(tmp_path))
    done = judged(text, tmp_path, "security", "--offline=true", "--threshold=25")
    assert done.returncode == 0, done.stdout[-200:]  # 2.5 of 10; a plain service has 9.6


@pytest.mark.parametrize(("spec", "group"), KINDS.items())
def test_only_the_group_that_the_input_needs(spec, group):
    everything = ("audio", "dialout", "iio")
    found = fields(unit("tones", Settings(spec), groups=everything))
    assert found.get("SupplementaryGroups", []) == ([group] if group else [])
    assert found["PrivateDevices"] == ["no" if group else "yes"]


def test_no_group_that_the_device_does_not_have():
    assert "SupplementaryGroups" not in fields(unit("tones", Settings("iio:x"), groups=("audio",)))


def test_a_port_that_is_plugged_in_later_may_be_opened():
    (allowed,) = fields(unit("tones", Settings("serial:/dev/ttyUSB1@9600")))["DeviceAllow"]
    assert allowed == "char-ttyUSB rw"


@pytest.mark.parametrize("port", ["ttyACM0", "/dev/../etc/passwd", "/dev/sda", "/dev/tty0 x", ""])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(InputError, match="name a port as it is called on the device"):
        unit("tones", Settings(f"serial:{port}"))


@pytest.mark.parametrize(
    ("chosen", "reaches"),
    [
        (Settings("microphone:"), False),
        (Settings("microphone:", publish=("events.jsonl",)), False),
        (Settings("microphone:", publish=("mqtt://host/topic",)), True),
        (Settings("microphone:", view=ViewSettings()), True),
    ],
)
def test_the_network_only_where_something_goes_over_it(chosen, reaches):
    found = fields(unit("tones", chosen))
    assert ("PrivateNetwork" in found) is not reaches
    assert ("AF_INET" in found["RestrictAddressFamilies"][0]) is reaches


def test_limits_are_in_the_unit():
    found = fields(unit("tones", Settings("microphone:"), limits=Limits(64, 50, 10)))
    assert (found["MemoryMax"], found["CPUQuota"]) == (["64M"], ["50%"])
    assert found["WatchdogSec"] == ["10"]


@pytest.mark.parametrize("wrong", [(8, 100, 30), (64, 0, 30), (64, 100, 1)])
def test_limits_that_nothing_could_run_in_are_refused(wrong):
    with pytest.raises(InputError, match="must be from"):
        Limits(*wrong)


def test_secrets_come_as_credentials():
    found = fields(unit("tones", Settings("microphone:", **FULL)))
    assert found["LoadCredential"] == [
        "token:/opt/edgernn/tones/keys/token",
        "key:/opt/edgernn/tones/keys/key",
    ]


PRINTABLE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.isprintable)


@settings(deadline=None)  # the first one reads the template
@given(path=PRINTABLE, options=st.dictionaries(st.just("x"), PRINTABLE), spec=PRINTABLE)
def test_no_text_of_the_settings_makes_a_line_of_its_own(path, options, spec):
    plain = unit("tones", Settings("microphone:", publish=("/a/b",)))
    hostile = Settings("microphone:", publish=(f"/{path}/b",), options=options)
    text = unit("tones", hostile)
    assert [line.partition("=")[0] for line in text.splitlines()] == [
        line.partition("=")[0] for line in plain.splitlines()
    ]
    # Nothing of the input is in the unit at all.
    assert unit("tones", Settings(f"microphone:{spec}")) == unit("tones", Settings("microphone:"))


@given(PRINTABLE)
def test_a_quoted_text_is_one_word_and_stays_what_it_was(text):
    word = quoted(text)
    assert not re.search(r"(?<!%)(%%)*%[A-Za-z]", word)
    inner = word[1:-1] if word.startswith('"') else word
    assert re.sub(r"\\(.)", r"\1", inner).replace("%%", "%") == text


@pytest.mark.parametrize("text", ["a\nExecStart=/bin/sh", "a\0", "a\x1b[0m"])
def test_no_control_character_comes_in(text):
    with pytest.raises(InputError, match="cannot stand in a unit file"):
        quoted(text)


def test_it_is_an_ini_file_of_three_sections():
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.read_string(unit("tones", Settings("microphone:")))
    assert parser.sections() == ["Unit", "Service", "Install"]
