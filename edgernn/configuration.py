"""Files that describe a front end or a detector: TOML or JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from edgernn.errors import InputError


def read_configuration(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of a `.toml` or `.json` file.

    Raises:
        InputError: the file cannot be read, or is no table of fields; the message names it.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{path}: cannot be read ({reason.lower()})") from None
    try:
        fields = json.loads(text) if path.suffix.lower() == ".json" else _toml(text)
    except (ValueError, RecursionError) as error:  # RecursionError: ten thousand brackets
        raise InputError(f"{path}: {error}") from None
    if not isinstance(fields, dict):
        raise InputError(f"{path}: holds no table of fields")
    return fields


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(text)
