"""A device over the system's OpenSSH: the user's keys, config, jump hosts and known_hosts apply.

Nothing passes through a shell on this side: `ssh` is started with a list of arguments. The device's
login shell gets one command, of which every word is quoted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edgernn.errors import DeviceError, InputError, MissingDependencyError

CONNECT_SECONDS: Final = 15
"""For a connection to stand, each jump host included."""
_ALIVE: Final = 10
"""Seconds between signs of life; three that are missed end a connection."""

_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_NAME: Final = r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*"
_HOST: Final = re.compile(rf"(?:ssh://)?(?:{_USER}@)?(?:{_NAME}|\[{_NAME}\](?::\d+)?)/?", re.ASCII)


def check_host(text: str) -> str:
    """The host as given: `pi@raspberrypi.local`, an alias of ssh_config, or `ssh://pi@host:2222`.

    ssh_config may hand a host's name to a shell (ProxyCommand, Match exec), so a name can only hold
    letters, digits and `_ . : % -`, and cannot begin like an option.

    Raises:
        InputError: it has any other character.
    """
    if len(text) > 255 or _HOST.fullmatch(text) is None:
        raise InputError(
            f"{text!r} is no host for ssh: name it as USER@HOST, as an alias of ~/.ssh/config, or "
            "as ssh://USER@HOST:PORT, of letters, digits and _ . : % -"
        )
    return text


@dataclass(frozen=True)
class Reply:
    """What a command on the device ended with."""

    code: int
    errors: str
    """What it wrote to stderr."""


class Remote:
    """A connection: `with connect("pi@host") as remote: remote.run([...])`."""

    def __init__(self, host: str, options: Sequence[str], ssh: str) -> None:
        self.host = host
        self._options, self._ssh = tuple(options), ssh

    def command(self, *words: str) -> list[str]:
        """What is started here for a command there."""
        there = [shlex.join(words)] if words else []
        return [self._ssh, *self._options, "-T", "--", self.host, *there]

    def run(
        self,
        words: Sequence[str],
        feed: Iterable[bytes] = (),
        line: Callable[[str], None] = lambda text: None,
        seconds: float | None = None,
    ) -> Reply:
        """Run a command; `feed` goes to its stdin, `line` is called with each line of its stdout.

        It is ended when `line` raises, or after `seconds`.

        Raises:
            DeviceError: the connection failed or was lost, or the time was over.
        """
        process = subprocess.Popen(
            self.command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        late = threading.Event()
        said: list[bytes] = []
        threads = [
            threading.Thread(target=_write, args=(process.stdin, feed), daemon=True),
            threading.Thread(target=_read, args=(process.stderr, said), daemon=True),
        ]

        def stop() -> None:
            late.set()
            process.kill()

        clock = threading.Timer(seconds or 0, stop)
        try:
            for thread in threads:
                thread.start()
            if seconds is not None:
                clock.start()
            assert process.stdout is not None
            for text in process.stdout:
                line(text.decode("utf-8", "replace").rstrip("\n"))
            code = process.wait()
            threads[1].join(1)
        finally:
            clock.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
        errors = b"".join(said).decode("utf-8", "replace").strip()
        if late.is_set():
            raise DeviceError(f"{self.host}: no end after {seconds:g} seconds")
        if code == 255 or code < 0:  # ssh's own; nothing of ours ends with it
            raise DeviceError(f"{self.host}: {explain(errors)}")
        return Reply(code, errors)


@contextlib.contextmanager
def connect(host: str, config: str | os.PathLike[str] | None = None) -> Iterator[Remote]:
    """Connect to a host; the commands share the connection, which ends with the block.

    `config` replaces the user's ssh_config.

    Raises:
        InputError: the host's name cannot be one.
        MissingDependencyError: there is no `ssh` on the PATH.
        DeviceError: the device cannot be reached, is unknown to ssh, or lets nobody in.
    """
    check_host(host)
    ssh = shutil.which("ssh")
    if ssh is None:
        raise MissingDependencyError(
            "ssh is not on the PATH; install with: apt-get install openssh-client"
        )
    options = ["-F", os.fspath(config)] if config is not None else []
    options += [
        # No question is asked, so no unknown host key is accepted.
        "-oBatchMode=yes",
        f"-oConnectTimeout={CONNECT_SECONDS}",
        f"-oServerAliveInterval={_ALIVE}",
        "-oServerAliveCountMax=3",
        # Nothing of the user's other uses of this host comes along.
        "-oClearAllForwardings=yes",
        "-oForwardAgent=no",
        "-oForwardX11=no",
        "-oPermitLocalCommand=no",
        "-oRemoteCommand=none",
        "-oRequestTTY=no",
        "-oLogLevel=ERROR",
    ]
    with tempfile.TemporaryDirectory(prefix="edgernn-", dir=_short_folder()) as folder:
        socket = Path(folder) / "s"
        shared = ["-oControlMaster=no", f"-oControlPath={socket}"]
        master = subprocess.Popen(
            [ssh, *options, "-M", "-S", str(socket), "-oControlPersist=no", "-N", "--", host],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _wait(master, socket, host)
            yield Remote(host, [*options, *shared], ssh)
        finally:
            master.terminate()
            try:
                master.wait(5)
            except subprocess.TimeoutExpired:
                master.kill()
                master.wait()


def _short_folder() -> str | None:
    """A socket's path has room for about 100 characters."""
    return "/tmp" if len(tempfile.gettempdir()) > 50 and Path("/tmp").is_dir() else None


def _wait(master: subprocess.Popen[bytes], socket: Path, host: str) -> None:
    """Until the connection stands; ssh makes the socket after it logged in."""
    end = time.monotonic() + 4 * CONNECT_SECONDS
    while not socket.exists():
        if master.poll() is not None:
            assert master.stderr is not None
            errors = master.stderr.read().decode("utf-8", "replace").strip()
            raise DeviceError(f"{host}: {explain(errors)}")
        if time.monotonic() > end:
            raise DeviceError(f"{host}: no connection after {4 * CONNECT_SECONDS} seconds")
        time.sleep(0.02)


_CAUSES: Final = (
    ("Host key verification failed", "connect once by hand and compare its host key: ssh HOST"),
    ("Permission denied", "it lets nobody in with your keys: ssh-copy-id HOST, or ssh-add the key"),
    ("Could not resolve", "is the name right, and the device on this network?"),
    ("timed out", "is it switched on, and on this network?"),
    ("No route to host", "is it switched on, and on this network?"),
    ("Connection refused", "is ssh switched on there (raspi-config, Interface options)?"),
)


def explain(errors: str) -> str:
    """What ssh said, in one line, and what may be done."""
    lines = [text.strip() for text in errors.splitlines() if text.strip()]
    said = lines[-1] if lines else "the connection was lost"
    for text, remedy in _CAUSES:
        if text in errors:
            return f"{said}; {remedy}"
    return said


def _write(stream: IO[bytes], feed: Iterable[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        for part in feed:
            stream.write(part)


def _read(stream: IO[bytes], said: list[bytes]) -> None:
    """All of stderr; the first 64 KiB are kept."""
    for text in stream:
        if sum(map(len, said)) < 1 << 16:
            said.append(text)
