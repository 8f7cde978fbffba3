"""A real OpenSSH server on this machine, in a folder of its own, whose commands run on a device."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

_SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the ssh_config that knows it as the host `pi`."""

    folder: Path
    port: int
    config: Path
    pid: int


def missing() -> str:
    """Why there can be no server; "" if there can."""
    if _SSHD is None or shutil.which("ssh") is None:
        return "OpenSSH's server and client are not installed (openssh-server, openssh-client)"
    return ""


def does_not_start(reason: str) -> NoReturn:
    """Skip for what is installed and does not start; in CI that fails, if nothing was forbidden."""
    if os.environ.get("CI") and not re.search("not permitted|denied", reason):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def ssh_server(folder: Path, command: Sequence[str]) -> Iterator[Server]:
    """A server with keys of its own; what a client asks for becomes `command`'s last argument."""
    if reason := missing():
        pytest.skip(reason)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    shutil.copy(folder / "user.pub", folder / "authorized")
    wrapper = folder / "command.sh"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$SSH_ORIGINAL_COMMAND"\n')
    wrapper.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        f"ForceCommand {wrapper}\nLogLevel ERROR\nMaxStartups 100\n"
    )
    host_key = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    config = folder / "ssh_config"
    config.write_text(
        f"Host pi\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile none\n"
        "  StrictHostKeyChecking yes\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists on this one
    assert _SSHD is not None
    log = folder / "sshd.log"
    with open(log, "w") as errors:
        server = subprocess.Popen(
            [_SSHD, "-D", "-e", "-f", folder / "sshd_config"],
            stderr=errors,
            stdin=subprocess.DEVNULL,
        )
    try:
        _listening(port, server, log)
        yield Server(folder, port, config, server.pid)
    finally:
        server.terminate()
        server.wait()


def _listening(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if server.poll() is not None:
            does_not_start(f"sshd does not start here: {log.read_text()[-200:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
