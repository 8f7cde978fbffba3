"""A part of the pipeline as C: what a front end or a detector contributes to the files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """C text. `declarations` goes into the header: the struct of the stage's plain data, without
    pointers (it is saved by copying), and prototypes. `definitions` goes into the source: constant
    tables and the functions. `files` are those of `targets/kernels/` that these need, `ram` is the
    size of the struct in bytes.
    """

    files: tuple[str, ...]
    declarations: str
    definitions: str
    ram: int
