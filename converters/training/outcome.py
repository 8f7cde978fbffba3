"""What a training leaves behind: the Keras model, the step model, and how it went."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from converters.training.fitting import History
from converters.training.settings import DONE, Settings
from edgernn.files import write_atomically
from edgernn.model import Model


@dataclass(frozen=True)
class Trained:
    """A trained network, and the same one converted, in a folder with all that was written.

    `document` is what `training.json` holds: the settings, losses, validation scores, groups.
    """

    model: keras.Model
    converted: Model
    folder: Path
    document: dict[str, Any]


def write(
    settings: Settings,
    model: keras.Model,
    converted: Model,
    history: History,
    facts: dict[str, Any],
) -> Trained:
    """Write `NAME.keras`, `NAME.tflite` and, last, `training.json`; each whole or not at all."""
    folder = settings.folder
    document = {
        "settings": settings.to_dict(),
        "parameters": model.count_params(),
        "precision": (converted.report or {}).get("precision"),
        **facts,
        "history": asdict(history),
    }
    _save_keras(model, folder / f"{settings.name}.keras")
    converted.save(folder / f"{settings.name}.tflite")
    write_atomically(folder / DONE, json.dumps(document, indent=2).encode())
    return Trained(model, converted, folder, document)


def _save_keras(model: keras.Model, path: Path) -> None:
    """Keras writes in pieces: beside the target, then renamed over it."""
    temporary = path.with_name(f".{secrets.token_hex(4)}.keras")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
