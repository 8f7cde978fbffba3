"""What a device is, before anything is made for it."""

from __future__ import annotations

import grp
import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from edgernn.bundles.policy import this_platform
from edgernn.errors import MissingDependencyError
from edgernn.releases.store import Store
from edgernn.releases.supervisor import systemctl

SOURCE_GROUPS = ("audio", "dialout", "iio")


def facts(root: Path, name: str) -> dict[str, Any]:
    """The device as JSON: platform, packages of its Python, room, systemd, and what is installed.

    `packages` are names, as packages write them, with versions; `systemd` is its version, 0 if
    there is none; `free` is in bytes.
    """
    platform, store = this_platform(), Store(root, name)
    known = {group.gr_name for group in grp.getgrall()}
    return {
        "machine": platform.machine,
        "glibc": platform.glibc,
        "python": platform.python,
        "board": _board(),
        "root": "" if root == Path("/") else str(root),
        "free": _free(store.base),
        "systemd": _systemd(),
        "groups": [group for group in SOURCE_GROUPS if group in known],
        "packages": _packages(),
        "keygen": shutil.which("ssh-keygen") is not None,
        "signed": os.path.lexists(store.signers),
        "releases": store.releases(),
        "current": store.read("current"),
    }


def _board() -> str:
    """`Raspberry Pi 4 Model B Rev 1.4`, if it is one."""
    try:
        text = Path("/proc/device-tree/model").read_text("utf-8", "replace")
    except OSError:
        return ""
    return "".join(character for character in text if character.isprintable())[:80]


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _systemd() -> int:
    try:
        words = systemctl("--version").stdout.split()
    except MissingDependencyError:
        return 0
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0


def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name and one.version:
            found.setdefault(name, one.version)
    return found
