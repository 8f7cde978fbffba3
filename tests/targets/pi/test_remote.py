"""Commands on a device over real OpenSSH, with what a hostile name or a strange host may do."""

import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.errors import DeviceError, InputError, MissingDependencyError
from targets.pi.remote import Remote, check_host, connect, explain
from tests.targets.pi.loopback import ssh_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ssh_server(tmp_path_factory.mktemp("ssh"), ["sh", "-c"]) as running:
        yield running


@pytest.fixture(scope="module")
def remote(server):
    with connect("pi", server.config) as connected:
        yield connected


def lines_of(remote, *words, **more):
    said = []
    reply = remote.run(words, line=said.append, **more)
    return reply.code, said, reply.errors


@pytest.mark.parametrize(
    "host",
    "pi raspberrypi.local pi@10.0.0.7 a_b.c@x-y pi@[fe80::1%eth0] ssh://pi@host:2222 "
    "fe80::1 ssh://host/".split(),
)
def test_hosts_that_people_have_are_taken(host):
    assert check_host(host) == host


@pytest.mark.parametrize(
    "host",
    ["", "-oProxyCommand=id", "pi@-oProxyCommand=id", "pi@host;id", "$(id)", "`id`", "a b", "a\nb",
     "a\tb", "pi@host\0", "pi|id",
     "pi@a@b", "a/b", "~root", "'x", '"x', "pi@ho\u00a0st", "ｐi", "a" * 256,
     "ssh://-x", "{a,b}", "*", "a&b", "a>b", "a\\b", "host\r"],
)  # fmt: skip
def test_hosts_that_a_shell_or_ssh_could_misread_are_refused(host):
    with pytest.raises(InputError, match="is no host for ssh"):
        check_host(host)


@given(st.text(max_size=30))
def test_no_host_that_is_taken_holds_what_a_shell_reads(host):
    try:
        check_host(host)
    except InputError:
        return
    # The one quoting rule of all shells: these characters stand for themselves.
    assert set(host) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:%@+-/[]"
    )
    assert not any(part.startswith("-") for part in host.replace("ssh://", "").split("@"))


@given(words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=4))
def test_words_arrive_as_they_are(words):
    there = Remote("pi", [], "ssh").command("printf", "%s\\0", *words)[-1]
    done = subprocess.run(["sh", "-c", there], capture_output=True, check=True)
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words or [""])


def test_a_command_gets_its_words_and_its_input_and_tells_how_it_ended(remote):
    words = ["sh", "-c", 'printf "%s\\n" "$@"; cat; echo oops >&2; exit 7', "sh", "a b", "$HOME;id"]
    reply = lines_of(remote, *words, feed=[b"one\n", b"two\n"])
    assert reply == (7, ["a b", "$HOME;id", "one", "two"], "oops")


def test_lines_come_while_the_command_runs(remote):
    times = []
    remote.run(
        ["sh", "-c", "echo a; sleep 0.6; echo b"], line=lambda text: times.append(time.monotonic())
    )
    assert times[1] - times[0] > 0.3


def test_much_input_that_nobody_reads_does_not_block(remote):
    assert lines_of(remote, "true", feed=[bytes(1 << 20)] * 8)[0] == 0


def test_a_command_that_does_not_end_is_ended(remote):
    start = time.monotonic()
    with pytest.raises(DeviceError, match="pi: no end after 1 seconds"):
        remote.run(["sleep", "60"], seconds=1)
    assert time.monotonic() - start < 10


def test_a_line_that_is_refused_ends_the_command(remote):
    def refuse(text):
        raise ValueError(text)

    with pytest.raises(ValueError, match="first"):
        remote.run(["sh", "-c", "echo first; sleep 60"], line=refuse)


def test_a_host_key_that_is_not_known_is_not_accepted(server, tmp_path):
    config = tmp_path / "config"
    text = server.config.read_text()
    (tmp_path / "empty").touch()
    config.write_text(
        text.replace(f"{server.folder}/known_hosts", f"{tmp_path}/empty").replace(
            "StrictHostKeyChecking yes", "StrictHostKeyChecking ask"
        )
    )
    with pytest.raises(DeviceError, match=r"pi: Host key verification failed.*its host key"):  # noqa: SIM117
        with connect("pi", config):
            pass
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_host_key_that_changed_is_not_accepted(server, tmp_path):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True
    )
    known = (tmp_path / "other.pub").read_text().split()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {known[0]} {known[1]}\n")
    config = tmp_path / "config"
    config.write_text(
        server.config.read_text().replace(f"{server.folder}/known_hosts", f"{tmp_path}/known")
    )
    with pytest.raises(DeviceError, match="Host key verification failed"):  # noqa: SIM117
        with connect("pi", config):
            pass


def test_a_key_that_is_not_let_in_is_said(server, tmp_path):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True
    )
    config = tmp_path / "config"
    config.write_text(
        server.config.read_text().replace(f"{server.folder}/user", f"{tmp_path}/other")
    )
    with pytest.raises(DeviceError, match=r"Permission denied.*ssh-copy-id"):  # noqa: SIM117
        with connect("pi", config):
            pass


def test_nobody_there_is_said(tmp_path):
    config = tmp_path / "config"
    config.write_text("Host pi\n  HostName 127.0.0.1\n  Port 9\n")
    with pytest.raises(DeviceError, match=r"pi: .*Connection refused.*raspi-config"):  # noqa: SIM117
        with connect("pi", config):
            pass


def test_without_ssh_its_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingDependencyError, match="openssh-client"):  # noqa: SIM117
        with connect("pi"):
            pass


def test_the_connection_ends_with_the_block(server):
    with connect("pi", server.config) as remote:
        socket = next(o for o in remote.command("true") if "ControlPath" in o).split("=")[1]
        threads = threading.active_count()
        assert lines_of(remote, "echo", "x") == (0, ["x"], "")
    assert threading.active_count() <= threads
    assert not Path(socket).parent.exists()


def test_a_connection_that_is_lost_is_said(server):
    with connect("pi", server.config) as remote, pytest.raises(DeviceError, match=r"^pi: "):
        # The server's process for this connection is the shell's grandparent.
        remote.run(["sh", "-c", "kill -9 $(ps -o ppid= -p $PPID) $PPID; sleep 5"], seconds=20)


def test_what_ssh_says_is_kept():
    assert explain("") == "the connection was lost"
    assert explain("a\nssh: connect to host x port 22: No route to host\n").startswith(
        "ssh: connect"
    )
