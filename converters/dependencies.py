"""What a conversion needs and a device does not have."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from edgernn.errors import MissingDependencyError

NEEDED: Final = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "ai_edge_quantizer": "ai-edge-quantizer",
}
"""Package: its name for people."""


def require() -> None:
    """Look for all of them, without the seconds that importing takes.

    Raises:
        MissingDependencyError: one is not installed.
    """
    missing = [name for package, name in NEEDED.items() if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"converting needs {', '.join(missing)}: run `pip install 'edgernn[convert]'` (on the "
            "computer; the device needs the .tflite only)"
        )
