"""A model, its settings and all they need as one bundle for one device."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def pack(
    model_path: str | os.PathLike[str],
    settings: str,
    *,
    output: str | os.PathLike[str],
    name: str,
    native: bool = False,
    offline: bool = False,
    key: str | os.PathLike[str] | None = None,
    machine: str = "",
    python: str = "",
    glibc: str = "",
    extras: Sequence[str] = (),
    more: Mapping[str, bytes] | None = None,
    backend: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Make the bundle of a release in the folder `output`; returns its path.

    It holds `model.tflite`, `run.toml` (the text `settings`), `wheels/` with edgernn's own wheel,
    and the files `more` by path (the unit). With `native`, the model's library for `machine`
    (`aarch64`, `armv7l` or `x86_64`); with `offline`, the wheels of all dependencies and of the
    `extras` of edgernn (`mqtt`, `audio`, …) for `machine`, `python` (`3.11`) and `glibc` (`2.36`).
    `key` signs it. `tell` is called with a line before each step that takes long.

    Raises:
        ModelFileError: the model is none.
        InputError: an option is wrong, or a wheel for the device is not to be had.
        MissingDependencyError: there is no compiler, or no `pip`.
    """
    raise NotImplementedError
