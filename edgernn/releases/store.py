"""Where the releases of a service are on a device, and which of them is current.

    /opt/edgernn/NAME/releases/ID/   one whole release, never changed once it has that name
    /opt/edgernn/NAME/current        link to the one that runs
    /opt/edgernn/NAME/previous       link to the one before
    /opt/edgernn/NAME/keys/          who may sign, and secrets of the live page
    /opt/edgernn/NAME/switching      there while `current` points at a release not known to run

Links change by a rename, and names that begin with a dot are unfinished: after a power cut at any
moment the links point at whole releases.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.bundles.archive import check_release
from edgernn.bundles.manifest import Manifest, is_name, is_release
from edgernn.errors import DeviceError, InputError
from edgernn.files import sync_folder

KEPT: Final = 3
"""Releases that stay on the device: the current one, the previous one, and the newest others."""


@dataclass(frozen=True)
class Store:
    """The releases of one service; `root` is `/`, but in tests."""

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise InputError(
                f"{self.name!r} is no service's name: up to 32 of a-z, 0-9 and '-', a letter first"
            )

    @property
    def base(self) -> Path:
        """The service's own folder."""
        return self.root / "opt/edgernn" / self.name

    @property
    def folder(self) -> Path:
        """Where the releases are."""
        return self.base / "releases"

    @property
    def signers(self) -> Path:
        """If it exists, bundles must be signed by a key in it."""
        return self.base / "keys/allowed_signers"

    @property
    def unit(self) -> str:
        """The name of its unit."""
        return f"edgernn-{self.name}.service"

    @property
    def state(self) -> Path:
        """Where systemd keeps its state."""
        return self.root / "var/lib/edgernn" / self.name

    @property
    def socket(self) -> Path:
        """Where the running service answers."""
        return self.root / "run/edgernn" / self.name / "control.sock"

    def make(self) -> None:
        """The folders, if they are not there."""
        for folder in (self.folder, self.signers.parent):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.signers.parent.chmod(0o700)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else changes the releases meanwhile; the lock goes with the process.

        Raises:
            DeviceError: somebody else does.
        """
        self.make()
        descriptor = os.open(self.base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeviceError(
                    f"{self.name}: another deployment is under way there; try again when it ended"
                ) from None
            self.sweep()
            yield
        finally:
            os.close(descriptor)

    def releases(self) -> list[str]:
        """The ids of all whole releases, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if is_release(path.name))

    def release(self, release: str) -> Path:
        """The folder of a release."""
        return self.folder / release

    def manifests(self) -> list[Manifest]:
        """Those of all releases; a damaged release is left out."""
        found = []
        for release in self.releases():
            with contextlib.suppress(ValueError, OSError):
                found.append(check_release(self.release(release)))
        return found

    def read(self, link: str) -> str:
        """The release that `current` or `previous` points at; "" if there is none."""
        try:
            release = Path(os.readlink(self.base / link)).name
        except OSError:
            return ""
        return release if is_release(release) and self.release(release).is_dir() else ""

    def point(self, link: str, release: str) -> None:
        """Let `current` or `previous` point at a release, at once; at none, if it is ""."""
        place = self.base / link
        if release:
            fresh = self.base / f".{link}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(f"releases/{release}")
            os.replace(fresh, place)
        else:
            place.unlink(missing_ok=True)
        sync_folder(self.base)

    def sweep(self) -> None:
        """Remove what an interrupted deployment left behind; under the lock."""
        for path in self.folder.iterdir():
            if path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)

    def prune(self) -> list[str]:
        """Remove releases beyond those that are kept; returns their ids."""
        linked = {self.read("current"), self.read("previous")} - {""}
        others = [release for release in self.releases() if release not in linked]
        old = others[: max(0, len(others) - (KEPT - len(linked)))]
        for release in old:
            self.discard(release)
        return old

    def discard(self, release: str) -> None:
        """Remove a release; it loses its name first, so that none is ever there in part."""
        doomed = self.folder / f".{release}.old"
        os.replace(self.release(release), doomed)
        shutil.rmtree(doomed, ignore_errors=True)
