"""Where a service's files are, all below one root, which is `/` but in tests."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.errors import InputError

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""What a service may be called."""


@dataclass(frozen=True)
class Places:
    """Folders and files of a service.

    `state` lasts over restarts; `runtime` does not, and holds the control socket. `override` is the
    file whose fields replace those of the release's `run.toml`.
    """

    name: str
    state: Path
    runtime: Path
    override: Path

    @property
    def socket(self) -> Path:
        """Where it is asked; see `control.py`."""
        return self.runtime / "control.sock"

    @property
    def snapshot(self) -> Path:
        """The saved state of the stream."""
        return self.state / "state.snapshot"

    @property
    def log(self) -> Path:
        """The folder of the event log."""
        return self.state / "events"


def places(name: str, root: str | os.PathLike[str] | None = None) -> Places:
    """Those of a service; `root` is `/`, or what `$EDGERNN_ROOT` names.

    Raises:
        InputError: no service can have that name.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no service's name: up to 32 of a-z, 0-9 and '-', a letter first"
        )
    base = Path(root or os.environ.get("EDGERNN_ROOT") or "/")
    return Places(
        name,
        base / "var/lib/edgernn" / name,
        base / "run/edgernn" / name,
        base / "etc/edgernn" / f"{name}.toml",
    )


def running_places(name: str, root: str | os.PathLike[str] | None = None) -> Places:
    """Those that systemd made for this very process, where it did; they exist afterwards.

    Raises:
        InputError: no service can have that name, or the folders cannot be made.
    """
    usual = places(name, root)
    state, runtime = os.environ.get("STATE_DIRECTORY"), os.environ.get("RUNTIME_DIRECTORY")
    found = Places(
        name,
        Path(state.partition(":")[0]) if state else usual.state,
        Path(runtime.partition(":")[0]) if runtime else usual.runtime,
        usual.override,
    )
    for folder in (found.state, found.runtime):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise InputError(f"{folder}: cannot be made ({reason})") from None
    return found


@dataclass(frozen=True)
class Release:
    """A release's folder; its name is the release's id, its manifest says whose it is."""

    folder: Path
    name: str
    id: str


def read_release(folder: Path, name: str | None = None) -> Release:
    """The release in a folder; without a manifest it needs a `name`.

    Raises:
        InputError: there is no such folder, or its manifest is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of a release")
    folder = folder.resolve()  # `current` may point elsewhere while this runs
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        found = str(manifest["name"])
    except FileNotFoundError:
        if name is None:
            raise InputError(f"{folder}: has no manifest.json: name the service (--name)") from None
        found = name
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: its manifest.json cannot be read ({error!r})") from None
    places(found)
    return Release(folder, name or found, folder.name)
