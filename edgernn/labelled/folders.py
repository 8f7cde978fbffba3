"""Sound in folders: a folder a class, or names that say label and group.

`CLASS/GROUP_TAKE.wav`: the group is what stands before the first `_` (all of a name without one).
Folders that begin with `_` are no classes (`_background_noise_` of Speech Commands): see
`read_background`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgernn.errors import InputError
from edgernn.labelled import Labelled
from edgernn.labelled.patterns import Named, match_all
from edgernn.labelled.reading import SOUND, Reading, files_in

FLAT: Final = "{label}_{group}_{take}"
"""How names in one folder are made, if nothing else is said."""

LISTS: Final = {"validation": "validation_list.txt", "test": "testing_list.txt"}
"""What Speech Commands calls the files that put recordings on a side of the split."""


def read_folder(folder: Path, reading: Reading, pattern: str | None = None) -> list[Labelled]:
    """All recordings of a folder but its background.

    Raises:
        InputError: it holds none, a name does not fit, or a file cannot be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is one recording: name a folder of them, or a table of files")
    files = [file for file in files_in(folder, SOUND) if not _is_background(file, folder)]
    if not files:
        raise InputError(f"{folder}: the folder holds no {', '.join(SOUND)} file")
    named = names(folder, files, pattern)
    parts = _listed_parts(folder)

    def read(item: tuple[Path, Named]) -> Labelled:
        file, fields = item
        name = file.relative_to(folder).as_posix()
        samples = reading.file(file).samples
        return Labelled(
            name,
            samples,
            reading.front_end.rate,
            fields["group"],
            fields.get("label"),
            part=fields.get("part") or parts.get(name),
        )

    return reading.all(folder, list(zip(files, named, strict=True)), read)


def read_background(folder: Path, reading: Reading) -> list[Labelled]:
    """The recordings in its folders that begin with `_`: noise that belongs to no class."""
    files = [file for file in files_in(folder, SOUND) if _is_background(file, folder)]

    def read(file: Path) -> Labelled:
        name = file.relative_to(folder).as_posix()
        return Labelled(name, reading.file(file).samples, reading.front_end.rate, name)

    return reading.all(folder, files, read)


def names(folder: Path, files: list[Path], pattern: str | None) -> list[Named]:
    """What the names of files in a folder say."""
    if pattern is not None:
        return match_all(folder, files, pattern)
    direct = [file for file in files if file.parent == folder]
    if len(direct) == len(files):
        return match_all(folder, files, FLAT)
    if direct:
        some = ", ".join(file.name for file in direct[:3])
        raise InputError(
            f"{folder}: holds folders and, beside them, {len(direct):,} recordings of no class: "
            f"{some}; move them into a folder"
        )
    return [
        {"label": file.relative_to(folder).parts[0], "group": file.stem.partition("_")[0]}
        for file in files
    ]


def _is_background(file: Path, folder: Path) -> bool:
    return any(part.startswith("_") for part in file.relative_to(folder).parts[:-1])


def _listed_parts(folder: Path) -> dict[str, str]:
    """The side of the split of recordings that lists in the folder name; others are to train on."""
    found: dict[str, str] = {}
    for part, name in LISTS.items():
        if (folder / name).is_file():
            text = (folder / name).read_text("utf-8", "replace")
            found |= {line.strip(): part for line in text.splitlines() if line.strip()}
    return found
