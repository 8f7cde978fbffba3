"""What the recipes for sensors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from converters.training.settings import Settings
from edgernn.errors import InputError
from edgernn.frontends.fields import check
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.labelled.reading import found_front_end
from edgernn.labelled.splits import Split

T = TypeVar("T")


def found(settings: Settings) -> SensorFrontEnd:
    """The front end of the settings; what they leave out is found in the data.

    Raises:
        InputError: there are no such data, or they are no sensor's.
    """
    path = Path(settings.data)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    front_end = found_front_end(path, settings.front_end, settings.label_column)
    if not isinstance(front_end, SensorFrontEnd):
        raise InputError(f"{path}: the recipe '{settings.recipe}' takes tables of a sensor")
    return front_end


def averaged(samples: int) -> list[dict[str, Any]]:
    """The stage that makes one frame of so many samples; none for one."""
    mean = {"stage": "statistics", "window": samples, "hop": samples, "statistics": ["mean"]}
    return [mean] if samples > 1 else []


def varied_by(made: Callable[..., T], settings: Settings) -> T:
    """The augmentation of the settings.

    Raises:
        InputError: a field is unknown or of another type.
    """
    check("augmentation", made, settings.augmentation)
    return made(**settings.augmentation)


def described(settings: Settings, parts: Split, *flags: str) -> dict[str, Any]:
    """Groups and number of recordings (or of stretches of one) of each part, and the flags of
    `edgernn evaluate` that judge by the test part: these and its own.
    """
    named = parts._asdict().items()
    groups = {name: sorted({one.group for one in part}) for name, part in named}
    told: dict[str, Any] = {
        "groups": groups,
        "recordings": {name: len(part) for name, part in named},
    }
    if not parts.test:
        return told
    share, by_time = settings.split.test, set(groups["test"]) & set(groups["train"])
    if by_time and isinstance(share, float):
        return {**told, "evaluate": ["--after", f"{1 - share:g}", *flags]}
    return {**told, "evaluate": ["--test", ",".join(groups["test"]), *flags]}
