"""Whether a release would run on this machine: settings, model, interpreter and self-test."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from edgernn import __version__
from edgernn.errors import EdgernnError
from edgernn.files import read_file
from edgernn.service.availability import attempt, candidates, told
from edgernn.service.places import places, read_release
from edgernn.service.settings import FILE, read_settings


def check(folder: Path, name: str | None = None, root: str | None = None) -> dict[str, Any]:
    """All that can be said without opening the input, as JSON; `ok` says whether it would run.

    `attempts` are the interpreters that were tried, in order, up to the first that passed; that
    one is `backend`. `error` says what is wrong.
    """
    found: dict[str, Any] = {
        "ok": False,
        "error": "",
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": "",
        "attempts": [],
    }
    try:
        release = read_release(folder, name)
        found |= {"name": release.name, "release": release.id}
        settings = read_settings(release.folder / FILE, places(release.name, root).override)
        model = release.folder / settings.model
        found["model"] = _pipeline(model)
        tried = candidates(model) if settings.backend == "auto" else (settings.backend,)
        for backend in tried:
            one = attempt(model, backend)
            found["attempts"].append(told(one))
            if not one.error:
                return {**found, "ok": True, "backend": one.backend}
        reasons = "; ".join(f"{one['backend']}: {one['error']}" for one in found["attempts"])
        found["error"] = f"nothing here runs this model right: {reasons}"
    except EdgernnError as error:
        found["error"] = str(error)
    return found


def _pipeline(path: Path) -> str:
    """The model's hash, if its front end and detector are whole."""
    from edgernn import frontends
    from edgernn.errors import InputError
    from edgernn.model import load
    from edgernn.pipeline import detector_of

    read_file(path)
    model = load(path)
    if not model.metadata.front_end:
        raise InputError(
            f"{path}: the model has no front end: give it one with `edgernn configure FILE "
            "--front-end FRONT_END.toml`"
        )
    detector_of(model, frontends.read(model.metadata.front_end))
    return model.hash
