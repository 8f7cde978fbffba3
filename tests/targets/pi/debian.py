"""Debian roots of another architecture, without an installation: packages, unpacked.

Programs in them run through qemu-user, which the kernel starts by itself (binfmt_misc). That is
set up in a user namespace, so nothing of the machine is changed, and no right is needed that an
ordinary user lacks.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
}
_QEMU = {"arm64": ("qemu-aarch64-static", 2, 0xB7), "armhf": ("qemu-arm-static", 1, 0x28)}
# What a Raspberry Pi OS has anyway; NumPy, because there are no wheels of it for 32 bits.
_PACKAGES = """
dash coreutils python3-minimal libpython3.11-stdlib libstdc++6 python3-numpy
""".split()
_MORE = {"amd64": ["openssh-client"], "booted": ["systemd", "util-linux", "mount"]}
_TOOLS = ("apt-get", "dpkg-deb", "unshare", "chroot")
_WRITTEN = ("opt", "var/lib", "run", "etc/systemd", "etc/edgernn", "tmp", "standins", "usr/local")

# Runs in fresh namespaces: arguments are the base, the device's folder, the line that registers
# the emulator, and the command.
_ENTER = f"""
set -e
base=$1 own=$2 emulator=$3; shift 3
if [ -n "$emulator" ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    printf '%s' "$emulator" > /proc/sys/fs/binfmt_misc/register
fi
mount --bind "$base" "$base"
for one in proc dev; do mount --rbind /$one "$base/$one"; done
for one in {" ".join(_WRITTEN)}; do mount --bind "$own/$one" "$base/$one"; done
mount -o remount,bind,ro "$base"
export PATH=/standins:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp
unset PYTHONPATH PYTHONHOME EDGERNN_ROOT TMPDIR PIP_FIND_LINKS
exec {shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")} "$base" "$@"
"""


def missing(architecture: str) -> str:
    """Why there can be no such root here; "" if there can."""
    tools = [*_TOOLS, *(_QEMU[architecture][:1] if architecture in _QEMU else ())]
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        return f"a Debian {architecture} root needs {', '.join(absent)}"
    mount = "mount -t binfmt_misc x /proc/sys/fs/binfmt_misc" if architecture in _QEMU else "true"
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-c", mount], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"user namespaces do not allow it here: {tried.stderr.strip()}"
    return ""


_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


def debian(architecture: str, cache: Path) -> Path:
    """The root's folder, made once; skips the test where it cannot be had.

    `booted` is one for amd64 with systemd.
    """
    if reason := missing(architecture):
        pytest.skip(reason)
    base = cache / architecture
    with open(cache / f"{architecture}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [*_PACKAGES, *_MORE.get(architecture, [])]
        done = base / "packages"
        if not done.exists() or done.read_text().split() != wanted:
            shutil.rmtree(base, ignore_errors=True)
            _unpack("amd64" if architecture == "booted" else architecture, wanted, base)
            done.write_text(" ".join(wanted))
    return base


def _unpack(architecture: str, wanted: list[str], base: Path) -> None:
    work = base / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources").write_text(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
        "http://deb.debian.org/debian bookworm main\n"
    )
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::State::lists": str(work / "lists"),
        "Dir::State::status": str(work / "status"),
        "Dir::Cache": str(work),
        "Dir::Etc::sourcelist": str(work / "sources"),
        "Dir::Etc::sourceparts": "/dev/null",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    for command in (["update"], ["install", "--yes", "--download-only", *wanted]):
        done = subprocess.run([*apt, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Debian's {architecture} packages cannot be had: {done.stderr[-300:]}")
    for package in sorted((work / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, base], check=True, capture_output=True)
    shutil.rmtree(work)
    # What the packages' own scripts would have done.
    triplet = base / "usr/lib" / TRIPLETS[architecture]
    for name in ("blas/libblas.so.3", "lapack/liblapack.so.3"):
        (triplet / Path(name).name).symlink_to(name)
    if not (base / "bin/sh").exists():
        (base / "bin/sh").symlink_to("dash")
    for folder in ("proc", "sys/fs/cgroup", "dev", "etc", "var/tmp", "var/log", *_WRITTEN):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (base / "etc/group").write_text("root:x:0:\naudio:x:29:\ndialout:x:20:\n")


def device_folder(own: Path) -> Path:
    """What a device may write, in a folder of its own; the root itself is shared."""
    for folder in _WRITTEN:
        (own / folder).mkdir(parents=True, exist_ok=True)
    return own


def command(architecture: str, base: Path, own: Path, *words: str) -> list[str]:
    """What runs a command in the root, as its root user, with a device's own folders."""
    return [
        *_UNSHARE,
        "sh",
        "-c",
        _ENTER,
        "sh",
        str(base),
        str(own),
        _emulator(architecture),
        *words,
    ]


def _emulator(architecture: str) -> str:
    """What is written to binfmt_misc: programs of this ELF class and machine go to qemu."""
    if architecture not in _QEMU:
        return ""
    name, bits, machine = _QEMU[architecture]
    magic = f"\\x7fELF\\x{bits:02x}\\x01\\x01" + "\\x00" * 9 + f"\\x02\\x00\\x{machine:02x}\\x00"
    mask = "\\xff" * 7 + "\\x00" + "\\xff" * 8 + "\\xfe\\xff\\xff\\xff"
    return f":{name}:M::{magic}:{mask}:{shutil.which(name)}:F"


if __name__ == "__main__":  # a shell in one: python -m tests.targets.pi.debian arm64 FOLDER
    import sys

    where = Path(sys.argv[2])
    where.mkdir(exist_ok=True)
    root = debian(sys.argv[1], where)
    line = command(sys.argv[1], root, device_folder(where / "device"), *(sys.argv[3:] or ["sh"]))
    os.execvp(line[0], line)
