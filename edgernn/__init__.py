"""Trained Keras recurrent networks as small quantized models that run frame by frame.

The public API, loaded on first use so that importing the package costs nothing:

    model = edgernn.convert("model.keras", calibration)   # needs edgernn[convert]
    stream = edgernn.load("model.tflite").stream()
    prediction = stream.push(frame)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters import convert as convert
    from edgernn.model import Model as Model
    from edgernn.model import load as load
    from edgernn.stream import Stream as Stream
    from targets import compile_model as compile  # noqa: A004
    from targets import profile as profile
    from targets import verify as verify

__version__ = "0.1.0"

_WHERE = {
    "Model": "edgernn.model",
    "Stream": "edgernn.stream",
    "compile": "targets",
    "convert": "converters",
    "load": "edgernn.model",
    "profile": "targets",
    "verify": "targets",
}

__all__ = ["Model", "Stream", "compile", "convert", "load", "profile", "verify"]  # noqa: RUF100


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'edgernn' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
