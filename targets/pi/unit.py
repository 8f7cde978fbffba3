"""The systemd unit of a service: what it may reach is what its settings need, and nothing else."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgernn.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Template

    from edgernn.service.settings import Settings

_GROUPS: Final = {"microphone": ("audio",), "serial": ("dialout",), "iio": ("iio",)}
"""Groups that own the devices of a source, on Debian and Raspberry Pi OS."""
_DEVICES: Final = {"microphone": ("char-alsa",), "iio": ("char-iio",)}
"""Classes of devices as /proc/devices names them."""


@dataclass(frozen=True)
class Limits:
    """What the service may take: memory in MiB, per cent of one core, seconds without a sign."""

    memory_mib: int = 512
    cpu_percent: int = 100
    watchdog_seconds: int = 30

    def __post_init__(self) -> None:
        for what, value, low, high in (
            ("memory limit in MiB", self.memory_mib, 32, 1 << 16),
            ("CPU limit in per cent", self.cpu_percent, 1, 1600),
            ("watchdog's time in seconds", self.watchdog_seconds, 5, 3600),
        ):
            if not low <= value <= high:
                raise InputError(f"the {what} is {value} and must be from {low} to {high}")


def unit_name(name: str) -> str:
    """The unit's file, in a release and in /etc/systemd/system."""
    return f"edgernn-{name}.service"


def unit(
    name: str,
    settings: Settings,
    *,
    groups: Iterable[str] = ("audio", "dialout"),
    limits: Limits | None = None,
    root: str = "",
) -> str:
    """The text of the unit that runs a service with these settings.

    `groups` are those that the device has: systemd starts nothing with a group that it does not
    know. `root` stands before every path of ours, in tests.

    Raises:
        InputError: the input is a serial port that no device can have.
    """
    kind, colon, rest = settings.input.partition(":")
    kind = kind if colon else ""
    there = set(groups)
    view, credentials = settings.view, []
    if view is not None:
        names = (view.token_file, view.certificate, view.key)
        credentials = [name for name in names if name and "/" not in name]
    files = [Path(sink) for sink in settings.publish if sink.startswith("/")]
    paths = [*files, Path(settings.input)] if not colon else files
    return (
        _template()
        .render(
            name=name,
            base=f"{root}/opt/edgernn/{name}",
            root=root,
            kind=kind,
            network=view is not None or any("://" in sink for sink in settings.publish),
            limits=limits or Limits(),
            groups=[group for group in _GROUPS.get(kind, ()) if group in there],
            devices=_devices(kind, rest),
            written=sorted({str(path.parent) for path in files}),
            credentials=credentials,
            home=any(path.parts[:2] in (("/", "home"), ("/", "root")) for path in paths),
            quoted=quoted,
        )
        .lstrip("\n")
    )


def quoted(text: str) -> str:
    """A text as one word of a unit file, with none of systemd's specifiers in it."""
    word = text.replace("%", "%%")
    word = word.replace("\\", "\\\\").replace('"', '\\"')
    if any(not character.isprintable() for character in word):
        raise InputError(f"{text!r} cannot stand in a unit file")
    return f'"{word}"' if word != text or " " in word or "'" in word else word


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("targets", "pi"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    return environment.get_template("service.unit.j2")


def _devices(kind: str, rest: str) -> tuple[str, ...]:
    """What systemd lets the program open; classes, since a device may be plugged in later."""
    if kind != "serial":
        return _DEVICES.get(kind, ())
    port = rest.partition("@")[0]
    if re.fullmatch(r"/dev/serial/[A-Za-z0-9_.:+-]+/[A-Za-z0-9_.:+-]+", port):
        return ("char-ttyACM", "char-ttyUSB")
    tty = re.fullmatch(r"/dev/(tty[A-Za-z]+)\d+", port, re.ASCII)
    if tty is None:
        raise InputError(
            f"serial:{rest}: name a port as it is called on the device: /dev/ttyACM0, or one in "
            "/dev/serial/by-id"
        )
    return (f"char-{tty[1]}",)
