"""Processor cores: what the compiler must know to choose kernels, and compilers their flags."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgernn.errors import InputError

_FOLDER = Path(__file__).parent / "cores"


@dataclass(frozen=True)
class Core:
    """One core. `zig` and `gcc` are flags; `dsp`, `mve`, `simd` and `floats` say what it can do.

    `float_zig` and `float_gcc` are the flags for models that hold floats, where they differ.
    """

    name: str
    title: str
    zig: tuple[str, ...]
    gcc: tuple[str, ...] = ()
    dsp: bool = False
    mve: bool = False
    simd: bool = False
    floats: bool = False
    float_zig: tuple[str, ...] = ()
    float_gcc: tuple[str, ...] = ()
    hosted: bool = False
    emulator: str = ""
    optimize: str = "-O2"

    def with_floats(self) -> Core:
        """The core with the flags that let the compiler use its FPU."""
        return replace(self, zig=self.float_zig or self.zig, gcc=self.float_gcc or self.gcc)


@functools.cache
def cores() -> dict[str, Core]:
    """Every core that has a description, by name."""
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def core(name: str) -> Core:
    """A core by name; raises `InputError` listing the known ones."""
    try:
        return cores()[name]
    except KeyError:
        known = ", ".join(cores())
        raise InputError(f"there is no target '{name}'; known are {known}") from None


def _read(path: Path) -> Core:
    document = read_toml(path.read_text())
    lists = {k: tuple(v) for k, v in document.items() if isinstance(v, list)}
    return Core(name=path.stem, **{**document, **lists})


def read_toml(text: str) -> dict[str, Any]:
    """The entries of a flat TOML document: strings, numbers, booleans and arrays of them."""
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    # Python 3.10 has no reader; core files are flat lists of strings, booleans and arrays.
    import ast

    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    words = {"true": "True", "false": "False"}
    return {k.strip(): ast.literal_eval(words.get(v.strip(), v.strip())) for k, v in pairs}
