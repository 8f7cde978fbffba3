"""A device with a systemd of its own: Debian, booted in namespaces of this machine.

It needs root, since systemd mounts and watches over control groups. The groups of this machine are
seen by nobody else in there, and limits on memory and processor are only kept where the kernel has
given them to the second version of control groups.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.pi import debian, loopback
from tests.targets.pi.devices import SOUND, TestDevice, write_tones
from tests.targets.pi.standins import write_pip

_WRITTEN = ("etc", "opt", "var", "usr/local")

# Arguments: the base, the device's folder.
_BOOT = f"""
set -e
base=$1 own=$2
mount --make-rprivate /
mount --bind "$base" "$base"
for one in {" ".join(_WRITTEN)}; do mount --bind "$own/$one" "$base/$one"; done
mount -o remount,bind,ro "$base"
cd "$base"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for one in null zero full random urandom tty; do
    touch dev/$one
    mount --bind /dev/$one dev/$one
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
exec {shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")} . /usr/bin/env -i \\
    container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=basic.target --log-target=journal
"""


@contextlib.contextmanager
def booted(cache: Path, folder: Path) -> Iterator[TestDevice]:
    """A fresh device that was booted; it is gone at the end, with all that ran on it."""
    if os.getuid() != 0:
        pytest.skip("only root can boot a systemd in namespaces")
    base = debian.debian("booted", cache)
    own = folder / "device"
    for name in _WRITTEN:
        shutil.copytree(base / name, own / name, symlinks=True)
    (own / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    write_pip(own)
    write_tones(own / SOUND)
    log = folder / "boot.log"
    with open(log, "wb") as errors:
        outer = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts",
             "sh", "-c", _BOOT, "sh", str(base), str(own)],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        init = _first_process(outer, log)
        enter = ["nsenter", "-t", str(init), "-a", "-r", "-w", "env", "-i",
                 "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/tmp"]  # fmt: skip
        _wait_for_systemd(enter, log)
        ssh = folder / "ssh"
        ssh.mkdir()
        with loopback.ssh_server(ssh, [*enter, "sh", "-c"]) as server:
            yield TestDevice("booted", base, own, server.config, server.pid, shlex.join(enter))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(outer.pid, signal.SIGKILL)
        outer.wait()


def _first_process(outer: subprocess.Popen[bytes], log: Path) -> int:
    """Process 1 of the device, as this machine counts."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    for _ in range(100):
        if outer.poll() is not None:
            loopback.does_not_start(f"no systemd can be booted here: {log.read_text()[-300:]}")
        found = children.read_text().split()
        if found and "systemd" in Path(f"/proc/{found[0]}/cmdline").read_text():
            return int(found[0])
        time.sleep(0.1)
    raise AssertionError(f"nothing was booted: {log.read_text()}")


def _wait_for_systemd(enter: list[str], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(
            [*enter, "systemctl", "is-system-running"], capture_output=True, text=True, check=False
        )
        if done.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.2)
    reason = f"systemd does not get ready here: {done.stdout} {done.stderr} {log.read_text()}"
    loopback.does_not_start(reason)
