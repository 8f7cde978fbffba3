"""Writing a whole project: beside the target first, then in its place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edgernn.errors import InputError

MARKER: Final = ".edgernn-export.json"
"""Says that a folder is an export, and what its files were when it was written."""


def replace_folder(
    target: Path, files: Mapping[str, str], facts: Mapping[str, str]
) -> tuple[str, ...]:
    """Make `target` a folder with these files by path; returns what was kept of an earlier export.

    That is every file which the user changed or added there. Nothing is left half-written: the new
    folder takes the old one's place when it is complete.

    Raises:
        InputError: the folder holds something else than an earlier export, or cannot be written.
    """
    before = _earlier(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"cannot write to {target}: {error.strerror}") from None
    try:
        os.chmod(fresh, 0o755)
        written = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
        for path, text in files.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).write_text(text, "utf-8", newline="\n")
        kept = _keep(target, fresh, before) if before is not None else ()
        document = {**facts, "files": written}
        (fresh / MARKER).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        _swap(fresh, target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise InputError(f"cannot write to {target}: {error.strerror or error}") from None
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return kept


def facts_of(folder: Path) -> dict[str, str]:
    """What an export says of itself: its format, model and language; nothing if it is none."""
    try:
        document: Any = json.loads((folder / MARKER).read_text("utf-8"))
        return {name: fact for name, fact in document.items() if isinstance(fact, str)}
    except (OSError, ValueError, AttributeError):
        return {}


def _earlier(target: Path) -> dict[str, str] | None:
    """The files of an earlier export with their hashes; None if there is nothing yet."""
    if target.is_dir() and not any(target.iterdir()):
        return None
    if not target.exists():
        return None
    try:
        document: Any = json.loads((target / MARKER).read_text("utf-8"))
        return {str(path): str(digest) for path, digest in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{target} is there and is no export of edgernn: name a folder that does not exist yet"
        ) from None


def _keep(old: Path, fresh: Path, before: Mapping[str, str]) -> tuple[str, ...]:
    """Copy what the user changed or added."""
    kept = []
    for path in sorted(p for p in old.rglob("*") if p.is_file() or p.is_symlink()):
        name = path.relative_to(old).as_posix()
        if name == MARKER:
            continue
        digest = "" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        if digest and before.get(name) == digest:
            continue
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, fresh / name, follow_symlinks=False)
        kept.append(name)
    return tuple(kept)


def _swap(fresh: Path, target: Path) -> None:
    if not target.exists():
        os.rename(fresh, target)
        return
    aside = fresh.with_name(fresh.name + ".old")
    os.rename(target, aside)
    try:
        os.rename(fresh, target)
    except OSError:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
