"""A table that lists recordings: columns `file`, `label`, and maybe `group` and `part`.

Files are named from the table's own folder. Without groups every file is its own.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from edgernn.errors import InputError
from edgernn.labelled import Labelled
from edgernn.labelled.reading import Reading, head, sample_rate

FILE: Final = ("file", "filename", "path")
LABEL: Final = ("label", "class", "category", "target")
GROUP: Final = ("group", "speaker", "subject", "speaker_id", "subject_id", "client_id")
PART: Final = ("part", "split")
PARTS: Final = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip


def is_listing(path: Path) -> bool:
    """Whether a file is such a table."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    rows = head(path, 1)
    return bool(rows) and any(name.lower() in FILE for name in rows[0])


def listed_files(path: Path) -> list[Path]:
    """The recordings that the table lists.

    Raises:
        InputError: the table lists none, or is none.
    """
    return [path.parent / row["file"] for row in _rows(path)]


def read_listing(path: Path, reading: Reading) -> list[Labelled]:
    """The recordings, in the table's order.

    Raises:
        InputError: the table cannot be read or has no label; a file is missing or cannot be used.
    """

    def read(row: dict[str, str]) -> Labelled:
        recording = reading.file(path.parent / row["file"])
        return Labelled(
            row["file"],
            recording.samples,
            sample_rate(recording, reading.front_end.rate),
            row["group"] or row["file"],
            row["label"] or None,
            times=recording.times,
            part=row["part"] or None,
        )

    return reading.all(path, _rows(path), read)


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows, with the columns under our names for them."""
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as text:
            line = text.readline()
            comma = ";" if line.count(";") > line.count(",") else ","
            text.seek(0)
            found = list(csv.DictReader(text, delimiter=comma, skipinitialspace=True))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV file that can be read ({error})") from None
    if not found:
        raise InputError(f"{path}: lists no recording")
    columns = {
        ours: next((name for name in found[0] if name and name.strip().lower() in known), None)
        for ours, known in (("file", FILE), ("label", LABEL), ("group", GROUP), ("part", PART))
    }
    if columns["label"] is None:
        have = ", ".join(str(name) for name in found[0])
        raise InputError(f"{path}: lists files and has no column 'label', it has {have}")
    rows = []
    for number, row in enumerate(found, 2):
        mine = {o: (row.get(name) or "").strip() if name else "" for o, name in columns.items()}
        if not mine["file"]:
            raise InputError(f"{path}, row {number}: names no file")
        if mine["part"] and mine["part"].lower() not in PARTS:
            known = ", ".join(("train", "validation", "test"))
            raise InputError(f"{path}, row {number}: '{mine['part']}' is not one of {known}")
        mine["part"] = PARTS.get(mine["part"].lower(), "")
        rows.append(mine)
    return rows
