"""Load a trained Keras model from what Keras 2 or 3 saved, with clear words when that fails."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import keras

from converters import legacy
from converters.quiet import quiet
from edgernn.errors import EdgernnError, InputError, ModelFileError, UnsupportedError

SUFFIXES = (".keras", ".h5", ".hdf5")

ELSEWHERE = {
    ".tflite": "already a TFLite file: use it as it is (edgernn run, compile), or convert the "
    "Keras model it came from",
    ".pb": "part of a SavedModel: give its folder",
    ".pt": "a PyTorch model: carry its weights into a Keras model and save that",
    ".pth": "a PyTorch model: carry its weights into a Keras model and save that",
    ".onnx": "an ONNX model: rebuild it in Keras, or convert the Keras model it came from",
    ".json": "a model's configuration without its weights: save the model as .keras",
}
"""What to do with files of other kinds."""


def load_keras(model: Any) -> Any:
    """A live, built Keras model from a path, or the model itself if it is one.

    The path is a `.keras` or `.h5` file, or a SavedModel folder of Keras 2. Models of Keras 2 are
    brought to Keras 3 (`legacy.py`); one that is `time_major` comes back with the batch first.

    Custom layers and cells load by the Keras convention: registered with
    `@keras.saving.register_keras_serializable()` in a module that has been imported.

    Raises:
        ModelFileError: there is no such file, or it is not a Keras model.
        UnsupportedError: it needs a custom class that is not registered, or holds Python code.
        MissingDependencyError: a SavedModel, and tf_keras is not installed.
    """
    if isinstance(model, keras.Model):
        return as_graph(model)
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"{type(model).__name__} is no Keras model and no path to one")
    path = Path(model)
    if not path.exists():
        raise ModelFileError(f"{path}: no such file")
    if path.suffix in ELSEWHERE:
        raise ModelFileError(f"{path}: {ELSEWHERE[path.suffix]}")
    if path.is_file() and path.suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: not a Keras model; expected {', '.join(SUFFIXES)}")
    try:
        with quiet(), legacy.readable(path) as file:
            loaded = keras.models.load_model(file, custom_objects=legacy.OBJECTS, compile=False)
            return as_graph(loaded)
    except EdgernnError:
        raise
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise _explain(path, str(error)) from error


def as_graph(model: Any) -> Any:
    """A model with a graph of layers: of a subclassed one, that of its `call`, with its weights.

    Raises:
        UnsupportedError: it is not built, or its `call` does more than call layers and operations.
    """
    if isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth"):
        return model
    kind = type(model).__name__
    shapes = list((getattr(model, "_build_shapes_dict", None) or {}).values())
    if len(shapes) != 1 or not isinstance(shapes[0], (tuple, list)):
        raise UnsupportedError(
            f"the subclassed model {kind} is not built for one input: call it once on real data"
        )
    try:
        inputs = keras.Input(shape=tuple(shapes[0])[1:], name="x")
        return keras.Model(inputs, model.call(inputs), name=model.name)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120]
        raise UnsupportedError(
            f"the call of the subclassed model {kind} cannot be followed ({reason}): build it with "
            "keras.Sequential, or keras.Input and keras.Model"
        ) from error


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
        path = Path(source)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                digest.update(file.read_bytes())
    else:
        for variable in model.variables:
            digest.update(variable.numpy().tobytes())
    return digest.hexdigest()
