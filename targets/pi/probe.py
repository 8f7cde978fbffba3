"""What a device is and whether it can run a service, before anything is made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import DeviceError
from targets.pi.device_tool import call
from targets.pi.remote import Remote

OLDEST_SYSTEMD: Final = 247
"""Of Debian 11; older ones know less of the sandbox."""
_NATIVE: Final = ("aarch64", "armv7l", "x86_64")


@dataclass(frozen=True)
class Device:
    """A device: its machine and libraries, its systemd, what is on it.

    `machine` is what programs see (`aarch64`, `armv7l`, `armv6l`, `x86_64`), `python` as `3.11`,
    `free` in bytes, `systemd` its version or 0, `packages` what its own Python can import, with
    versions, `root` what stands before every path (in tests), `signed` whether a bundle has to be.
    """

    host: str
    machine: str
    glibc: str
    python: str
    board: str
    root: str
    free: int
    systemd: int
    groups: tuple[str, ...]
    packages: Mapping[str, str]
    keygen: bool
    signed: bool
    releases: tuple[str, ...]
    current: str

    @property
    def has_library(self) -> bool:
        """Whether the C of a model can be compiled for it."""
        return self.machine in _NATIVE

    @property
    def interpreters(self) -> tuple[str, ...]:
        """TFLite interpreters that are there already."""
        return tuple(n for n in ("ai-edge-litert", "tflite-runtime") if n in self.packages)

    def __str__(self) -> str:
        """One line for people."""
        parts = [
            self.board or self.machine,
            *([self.machine] if self.board else []),
            f"Python {self.python}",
            f"glibc {self.glibc}" if self.glibc else "no glibc",
            f"systemd {self.systemd}",
            f"{self.free / 1e9:.1f} GB free",
        ]
        return ", ".join(parts)


def probe(remote: Remote, name: str) -> Device:
    """Ask a device what it is; `name` is the service's.

    Raises:
        DeviceError: it cannot be asked, or root is not to be had there.
    """
    return parse(remote.host, call(remote, ["facts", "--name", name]))


def parse(host: str, found: Mapping[str, Any]) -> Device:
    """A device from what `edgernn.releases.facts` says.

    Raises:
        DeviceError: something is missing or odd.
    """
    try:
        return Device(
            host=host,
            machine=_text(found["machine"]),
            glibc=_text(found["glibc"]),
            python=_text(found["python"]),
            board=_text(found["board"]),
            root=_text(found["root"]),
            free=int(found["free"]),
            systemd=int(found["systemd"]),
            groups=tuple(_text(group) for group in found["groups"]),
            packages={_text(k): _text(v) for k, v in found["packages"].items()},
            keygen=bool(found["keygen"]),
            signed=bool(found["signed"]),
            releases=tuple(_text(release) for release in found["releases"]),
            current=_text(found["current"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceError(f"{host}: says odd things of itself ({error!r})") from None


def check_device(device: Device, *, need: int, native: bool, signing: bool) -> None:
    """Refuse a device that cannot run a service.

    `need` is the room in bytes, `native` whether a library is asked for, `signing` whether the
    bundle will be signed.

    Raises:
        DeviceError: it cannot; the message says what to do.
    """
    where = device.host
    if not device.systemd:
        raise DeviceError(f"{where}: has no systemd, which the service needs")
    if device.systemd < OLDEST_SYSTEMD:
        raise DeviceError(
            f"{where}: has systemd {device.systemd}, and {OLDEST_SYSTEMD} or newer is needed "
            "(Debian 11, Raspberry Pi OS of 2021)"
        )
    if native and not device.has_library:
        raise DeviceError(
            f"{where}: there is no native library for {device.machine}: deploy with --no-native"
        )
    if not device.glibc and not native:
        raise DeviceError(f"{where}: has another C library than glibc, for which no wheels are")
    if device.free < need:
        raise DeviceError(
            f"{where}: has {device.free >> 20} MiB free for /opt, and {need >> 20} are needed: "
            "remove what is not used, `edgernn device remove` removes a service"
        )
    if (device.signed or signing) and not device.keygen:
        raise DeviceError(
            f"{where}: cannot check signatures: sudo apt install openssh-client there"
        )
    if device.signed and not signing:
        raise DeviceError(f"{where}: takes signed bundles only: deploy with --sign KEY")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r:.60}")
    return value
