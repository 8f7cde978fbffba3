"""The wheels of everything that edgernn needs on a device, fetched by `pip` for that device.

`pip download --platform` chooses files for another machine, but weighs the conditions in a
package's dependencies ("on armv7l", "before Python 3.12") on this one. So here `pip` only fetches
what it is told, and what each wheel needs *there* is read from the wheel, until nothing is missing.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgernn.errors import InputError, MissingDependencyError
from targets.pi.own_wheel import own_metadata

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_PIWHEELS: Final = "https://www.piwheels.org/simple"
"""Where Raspberry Pi OS gets its 32-bit wheels: PyPI has few of them."""
_OLDEST: Final = 17
"""The first manylinux with aarch64 and armv7l is that of glibc 2.17."""


@dataclass(frozen=True)
class Place:
    """Where wheels are to run: machine, CPython as `3.11`, glibc as `2.36`."""

    machine: str
    python: str
    glibc: str

    def markers(self, extra: str) -> dict[str, str]:
        """What a dependency's conditions are weighed with."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": extra,
        }

    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there, the best first."""
        newest = int(self.glibc.split(".")[1])
        named = [f"manylinux_2_{minor}" for minor in range(newest, _OLDEST - 1, -1)]
        return [f"{tag}_{self.machine}" for tag in [*named, "manylinux2014", "linux"]]


def wheels(
    place: Place, extras: Sequence[str] = (), present: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """The wheels of edgernn's dependencies on a device by file name, without edgernn's own.

    `extras` are those of edgernn, `present` the packages (name: version) that the device has and
    its programs may use, which are left out where they will do.

    Raises:
        InputError: a wheel for the device is not to be had; the message names it.
        MissingDependencyError: there is no `pip`, or no `packaging`.
    """
    for module in ("packaging", "pip"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"wheels need {module}: run `pip install 'edgernn[pi]'`")
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name, parse_wheel_filename

    own = own_metadata()
    if not SpecifierSet(own.metadata["Requires-Python"]).contains(f"{place.python}.0"):
        raise InputError(
            f"edgernn needs Python {own.metadata['Requires-Python']}, the device has {place.python}"
        )
    versions: dict[str, str] = {}
    versions |= {canonicalize_name(name): version for name, version in (present or {}).items()}
    requires = {"edgernn": own.requires or []}
    files: dict[str, tuple[str, bytes]] = {}
    while absent := _absent(needed := _closure(requires, place, extras), versions):
        with tempfile.TemporaryDirectory() as folder:
            _fetch(absent, place, Path(folder))
            for path in Path(folder).iterdir():
                name, version, _, _ = parse_wheel_filename(path.name)
                files[name], versions[name] = (path.name, path.read_bytes()), str(version)
                requires[name] = _requires(path)
    names = {canonicalize_name(need.name) for need in needed}
    return dict(sorted(files[name] for name in names & files.keys()))


def least_glibc(names: Iterable[str]) -> str:
    """The glibc that wheels of these file names need at least, as `2.28`; empty if none does."""
    needs = []
    for name in names:
        minors = re.findall(r"manylinux_2_(\d+)_", name.replace("manylinux2014", "manylinux_2_17"))
        if minors:  # each is enough
            needs.append(min(map(int, minors)))
    return f"2.{max(needs)}" if needs else ""


def _closure(
    requires: Mapping[str, Sequence[str]], place: Place, extras: Sequence[str]
) -> list[Requirement]:
    """All that edgernn needs on the device, as far as is known from the packages in `requires`."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, Requirement] = {}
    todo = [Requirement(f"edgernn[{','.join(extras)}]")]
    while todo:
        need = todo.pop()
        for line in requires.get(canonicalize_name(need.name), []):
            more = Requirement(line)
            marker, more.marker = more.marker, None
            holds = marker is None or any(
                marker.evaluate(place.markers(extra)) for extra in ("", *need.extras)
            )
            if holds and str(more) not in found:
                found[str(more)] = more
                todo.append(more)
    return list(found.values())


def _absent(needed: Sequence[Requirement], versions: Mapping[str, str]) -> list[Requirement]:
    """What has to be fetched: all that is asked of packages that are not there or not right."""
    from packaging.utils import canonicalize_name

    wrong = set()
    for need in needed:
        name = canonicalize_name(need.name)
        if name not in versions or not need.specifier.contains(versions[name], prereleases=True):
            wrong.add(name)
    return [need for need in needed if canonicalize_name(need.name) in wrong]


def _requires(wheel: Path) -> list[str]:
    """What a wheel says that it needs."""
    from packaging.metadata import parse_email

    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        return parse_email(archive.read(name))[0].get("requires_dist", [])


def _fetch(needed: Sequence[Requirement], place: Place, folder: Path) -> None:
    platforms = [f"--platform={platform}" for platform in place.platforms()]
    index = [f"--extra-index-url={_PIWHEELS}"] if place.machine == "armv7l" else []
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--implementation=cp", "--retries=2"),
            *(f"--python-version={place.python}", f"--dest={folder}", *platforms, *index),
            *("--", *map(str, needed)),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        errors = [line[7:] for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[0] if errors else f"pip ended with {done.returncode}"
        raise InputError(
            f"no wheels for Python {place.python} on {place.machine} with glibc {place.glibc}: "
            f"{reason}"
        )
