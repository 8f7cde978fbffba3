"""Whether a device takes a bundle: signed as it must be, meant for it, and not an old one."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from edgernn.bundles.archive import Bundle
from edgernn.bundles.manifest import Manifest
from edgernn.bundles.signature import verify
from edgernn.errors import BundleError


@dataclass(frozen=True)
class Platform:
    """A device: machine as `uname -m` says for its programs, glibc as `2.36`, Python as `3.11`.

    `glibc` is empty where there is another C library.
    """

    machine: str
    glibc: str
    python: str


def this_platform() -> Platform:
    """The machine that this program runs on."""
    try:
        library = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition("glibc ")[2]
    except (ValueError, OSError):
        library = ""
    python = "{}.{}".format(*sys.version_info)
    return Platform(machine_of_programs(platform.machine(), sys.maxsize > 1 << 32), library, python)


def machine_of_programs(machine: str, wide: bool) -> str:
    """What a machine is for a program: a 32-bit one on a 64-bit kernel runs on a smaller machine.

    `machine` is as `uname -m` says, `wide` whether the program has 64-bit addresses.
    """
    if not wide and machine in ("aarch64", "armv8l"):  # a 32-bit Raspberry Pi OS on a Pi 4
        return "armv7l"
    return machine


def misfit(manifest: Manifest, device: Platform) -> str:
    """Why a release cannot run on a device, in a sentence; empty if it can."""
    if manifest.machine not in ("", device.machine):
        return f"the bundle is for {manifest.machine}, this is {device.machine}"
    if manifest.python not in ("", device.python):
        return (
            f"the bundle's wheels are for Python {manifest.python}, the device has {device.python}"
        )
    if manifest.glibc and _numbers(manifest.glibc) > _numbers(device.glibc):
        there = f"glibc {device.glibc}" if device.glibc else "another C library"
        return f"the bundle needs glibc {manifest.glibc}, the device has {there}"
    return ""


def accept(
    bundle: Bundle,
    *,
    name: str,
    installed: Iterable[Manifest],
    allowed_signers: str | os.PathLike[str],
    no_downgrade: bool = False,
    device: Platform | None = None,
) -> str:
    """Who signed a bundle that may be installed as the service `name`; "" if nobody had to.

    `installed` are the releases that are there already, rolled back ones too: with `no_downgrade`
    nothing older than the newest of them is taken. If the file `allowed_signers` exists, whatever
    is in it, the bundle must be signed by a key in it. The bundle's files are not looked at yet:
    `extract` compares them with the manifest that was accepted here.

    Raises:
        BundleError: the bundle is refused; the message says why.
    """
    manifest = bundle.manifest
    signer = ""
    if os.path.lexists(allowed_signers):
        signer = verify(manifest.document, bundle.signature, allowed_signers)
    if manifest.name != name:
        raise BundleError(f"the bundle is of the service {manifest.name}, not of {name}")
    reason = misfit(manifest, device or this_platform())
    if reason:
        raise BundleError(f"{reason}: make one for this device")
    newest = max((other.created for other in installed), default="")
    if no_downgrade and manifest.created < newest:
        raise BundleError(
            f"the bundle is of {manifest.created}, older than an installed release of {newest}: "
            "without --no-downgrade it is taken"
        )
    return signer


def _numbers(version: str) -> tuple[int, ...]:
    """A version as numbers; of an empty one, none, which is less than any."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
