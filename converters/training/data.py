"""The recordings of a training, read as its settings say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.training.settings import Settings
from edgernn.errors import InputError
from edgernn.labelled import Labelled, classes, read_labelled
from edgernn.labelled.folders import read_background
from edgernn.labelled.reading import Reading, found_front_end

CLASSIFIERS = ("keyword", "activity")
"""Recipes that tell labels apart; the others learn what is normal."""


def read_data(
    settings: Settings, progress: Callable[[int, int], None] | None = None
) -> list[Labelled]:
    """All recordings; those of backgrounds, without a label, are behind the others.

    Raises:
        InputError: they cannot be read, or have fewer classes than the recipe needs.
    """
    found = read_labelled(
        settings.data,
        front_end=settings.front_end,
        pattern=settings.pattern,
        label_column=settings.label_column,
        windows=settings.windows,
        resample=settings.resample,
        progress=progress,
    )
    if settings.recipe in CLASSIFIERS:
        known = classes(found)
        for word in settings.keywords:
            if word not in known:
                raise InputError(
                    f"keyword '{word}' is no label of the data, which have {', '.join(known)}"
                )
    folder = Path(settings.data)
    if folder.is_dir() and settings.front_end.get("kind") != "sensor":
        front_end = found_front_end(folder, settings.front_end)
        found += read_background(folder, Reading(front_end, settings.resample))
    return found
