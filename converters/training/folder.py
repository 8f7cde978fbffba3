"""The folder of a training: begun with settings, and resumed with no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from converters.training.settings import CHECKPOINT, DONE, Settings, from_dict
from edgernn.configuration import read_configuration
from edgernn.errors import InputError
from edgernn.files import write_atomically

FILE: Final = "settings.json"

_FREE: Final = {"output", "target", "tensorboard", "every"}
"""What may change while a training is interrupted: no result depends on it."""


def check(settings: Settings, resume: bool = False) -> None:
    """Whether the training may begin, or go on.

    Raises:
        InputError: the folder holds an unfinished training and this does not resume it, or resumes
            it with other settings; or there is nothing to resume.
    """
    folder = settings.folder
    if resume:
        _refuse_other(settings, read_begun(folder))
    elif (folder / CHECKPOINT).exists() and not (folder / DONE).exists():
        raise InputError(
            f"{folder}: holds an unfinished training: go on with --resume, choose another folder "
            f"with --output, or delete {folder / CHECKPOINT}"
        )


def begin(settings: Settings, resume: bool = False) -> None:
    """Make the folder ready, with the settings in it; an unfinished training is never overwritten.

    Raises:
        InputError: see `check`; or the folder is a file.
    """
    check(settings, resume)
    if resume:
        return
    folder = settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{folder}: is a file; choose a folder with --output") from None
    for name in (DONE, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
    write_atomically(folder / FILE, json.dumps(settings.to_dict(), indent=2).encode())


def read_begun(folder: Path) -> Settings:
    """The settings with which the training in a folder was begun.

    Raises:
        InputError: there is none, or its file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{folder}: holds no training to resume: leave --resume out to begin one")
    return from_dict(read_configuration(path), path)


def _refuse_other(settings: Settings, begun: Settings) -> None:
    mine, theirs = _flat(settings.to_dict()), _flat(begun.to_dict())
    changed = [
        f"{name} was {theirs.get(name)} and is {mine.get(name)}"
        for name in dict.fromkeys([*theirs, *mine])
        if mine.get(name) != theirs.get(name) and name.rpartition(".")[2] not in _FREE
    ]
    if changed:
        raise InputError(
            f"{settings.folder}: was begun with other settings ({'; '.join(changed[:4])}): resume "
            "with the same, or choose another folder with --output"
        )


def _flat(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found
