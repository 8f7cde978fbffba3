"""Names that say what was recorded: `{label}_{group}_{take}` of `7_nicolas_12.wav`.

A pattern is matched with the end of a file's path, without its suffix; `/` stands between folders.
Of its fields only `label`, `group` and `part` (train, validation, test) mean something. No field
holds a `/`, nor any sign (`_`, `-`, `.`, a space) that the pattern has between fields, so that a
name with more parts than the pattern does not fit, instead of being taken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgernn.errors import InputError

Named = dict[str, str]
Matcher = Callable[[Path], "Named | None"]


def matcher(pattern: str) -> Matcher:
    """What gives the fields of a path, or None if it does not fit.

    Raises:
        InputError: the pattern has no group, or cannot be a pattern.
    """
    parts = re.split(r"\{(\w+)\}", pattern)
    texts, fields = parts[::2], parts[1::2]
    wrong = f"the pattern '{pattern}'"
    if any("{" in text or "}" in text for text in texts):
        raise InputError(f"{wrong} has a brace that is no field such as {{group}}")
    if "group" not in fields:
        raise InputError(f"{wrong} has no {{group}}: who or what was recorded, to split by")
    if len(set(fields)) < len(fields):
        raise InputError(f"{wrong} has a field twice")
    if not all(texts[1:-1]):
        raise InputError(f"{wrong} has nothing between two fields, so that nobody can tell them")
    signs = {c for text in texts for c in text if not c.isalnum()} | {"/"}
    field = f"[^{re.escape(''.join(sorted(signs)))}]+"
    expression = re.escape(texts[0]) + "".join(
        f"(?P<{name}>{field}){re.escape(text)}"
        for name, text in zip(fields, texts[1:], strict=True)
    )
    compiled = re.compile(expression)
    depth = pattern.count("/") + 1

    def match(path: Path) -> Named | None:
        found = compiled.fullmatch("/".join(path.with_suffix("").parts[-depth:]))
        return None if found is None else found.groupdict()

    return match


def match_all(where: object, files: list[Path], pattern: str) -> list[Named]:
    """The fields of every name.

    Raises:
        InputError: some do not fit; the line names a few of them.
    """
    match = matcher(pattern)
    found = [match(file) for file in files]
    misfits = [file.name for file, named in zip(files, found, strict=True) if named is None]
    if misfits:
        some = ", ".join(misfits[:3]) + (", …" if len(misfits) > 3 else "")
        raise InputError(
            f"{where}: {len(misfits):,} of {len(files):,} names do not fit the pattern "
            f"'{pattern}': {some}; rename them, or say how names are made with --pattern"
        )
    return [named for named in found if named is not None]
