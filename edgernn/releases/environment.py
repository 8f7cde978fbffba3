"""A release's own Python environment, beside its files.

The device's packages show through (`python3-numpy` of a 32-bit Raspberry Pi OS, say); what the
release brings comes before them.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Final

from edgernn.errors import DeviceError, MissingDependencyError

_PIP_SECONDS: Final = 1800
"""A Raspberry Pi Zero takes its time."""
_DATA: Final = ("purelib", "platlib")


def make_environment(release: Path, extras: Sequence[str], offline: bool) -> None:
    """Make `venv` in a release out of the wheels in it.

    With `offline` everything is in them, and they are unpacked. Otherwise `pip` takes from its
    index what is missing.

    Raises:
        MissingDependencyError: the device lacks Python's `venv`, or `pip`.
        DeviceError: a package cannot be installed.
    """
    try:
        import venv
    except ImportError:
        raise MissingDependencyError(
            "Python's venv is not there; on the device: sudo apt install python3-venv"
        ) from None
    folder = release / "venv"
    venv.EnvBuilder(system_site_packages=True, symlinks=True).create(folder)
    wheels = sorted((release / "wheels").glob("*.whl"))
    site = next(folder.glob("lib/python3*/site-packages"))
    if offline:
        for wheel in wheels:
            unpack(wheel, site)
        return
    own = next((wheel for wheel in wheels if wheel.name.startswith("edgernn-")), None)
    if own is None:
        raise DeviceError("the release does not bring edgernn: make a new bundle")
    wanted = f"{own}[{','.join(extras)}]" if extras else str(own)
    _pip(folder, ["install", "--quiet", "--find-links", str(own.parent), wanted])


def unpack(wheel: Path, site: Path) -> None:
    """Put a wheel's modules into a folder of packages; its scripts are left out.

    Raises:
        DeviceError: it is no wheel, or the disk has no room for it.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            # More than its headers say does not come out of an archive.
            size, free = sum(m.file_size for m in archive.infolist()), disk_usage(site).free
            if size > free:
                raise DeviceError(
                    f"{wheel.name}: takes {size >> 20} MiB, and {free >> 20} are free for /opt"
                )
            for member in archive.infolist():
                parts = member.filename.split("/")
                if parts[0].endswith(".data"):
                    if len(parts) < 3 or parts[1] not in _DATA:
                        continue
                    member.filename = "/".join(parts[2:])
                # `extract` drops "..", drive letters and a first "/".
                archive.extract(member, site)
    # zipfile's errors for damage, for a compression it does not know, and for encryption.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DeviceError(f"{wheel.name}: cannot be unpacked ({error})") from None


def _pip(folder: Path, arguments: list[str]) -> None:
    """Pip, the device's own, for the packages of an environment."""
    python = folder / "bin/python"
    if importlib.util.find_spec("pip") is None:
        made = subprocess.run(
            [python, "-I", "-m", "ensurepip", "--default-pip"], capture_output=True
        )
        if made.returncode:
            raise MissingDependencyError(
                "pip is not there; on the device: sudo apt install python3-pip; "
                "or deploy with --offline"
            )
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    environment |= {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    try:
        done = subprocess.run(
            [python, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=_PIP_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(f"pip did not end in {_PIP_SECONDS / 60:.0f} minutes") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or done.stderr.splitlines() or ["no reason given"])[-1]
        raise DeviceError(f"pip could not install what the release needs: {reason}; or --offline")


def python_of(release: Path) -> str:
    """The release's Python."""
    return str(release / "venv/bin/python")
