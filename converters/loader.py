"""Load a trained Keras model from a `.keras` or `.h5` file, with clear words when that fails."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import keras

from converters.quiet import quiet
from edgernn.errors import InputError, ModelFileError, UnsupportedError

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_keras(model: Any) -> Any:
    """A live, built Keras model from a path, or the model itself if it is one.

    Custom layers and cells load by the Keras convention: registered with
    `@keras.saving.register_keras_serializable()` in a module that has been imported.

    Raises:
        ModelFileError: there is no such file, or it is not a Keras model.
        UnsupportedError: it needs a custom class that is not registered, or holds Python code.
    """
    if isinstance(model, keras.Model):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"{type(model).__name__} is no Keras model and no path to one")
    path = Path(model)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    if path.suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: not a Keras model; expected {', '.join(SUFFIXES)}")
    try:
        with quiet():
            return keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise _explain(path, str(error)) from error


def _explain(path: Path, message: str) -> ModelFileError | UnsupportedError:
    missing = re.search(
        r"(?:Could not locate class|Unknown layer:|Unknown cell:) '?(\w+)'?", message
    )
    if missing:
        return UnsupportedError(
            f"{path}: class '{missing[1]}' is not known; decorate it with "
            "@keras.saving.register_keras_serializable() and import its module first "
            "(command line: --custom FILE.py)"
        )
    if "lambda" in message.lower() and "safe_mode" in message:
        return UnsupportedError(
            f"{path}: holds a Lambda layer with Python code; make it a layer class of its own"
        )
    first = next((line.strip() for line in message.splitlines() if line.strip()), "unreadable")
    return ModelFileError(f"{path}: not a readable Keras model ({first[:160]})")


def import_file(path: Path) -> None:
    """Run a Python file that registers custom Keras objects and edgernn rules."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error


def source_hash(model: Any, source: Any) -> str:
    """SHA-256 of the model's file, or of the weights of a live model."""
    digest = hashlib.sha256()
    if isinstance(source, (str, os.PathLike)):
        digest.update(Path(source).read_bytes())
    else:
        for variable in model.variables:
            digest.update(variable.numpy().tobytes())
    return digest.hexdigest()
