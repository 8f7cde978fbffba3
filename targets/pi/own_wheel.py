"""edgernn's runtime as a wheel, made of the files that run here.

A device gets the very code that packed its model, from an installation or a working copy alike, and
only the package `edgernn`: the converter and the compiler stay here.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from pathlib import Path
from typing import Final

import edgernn
from edgernn.errors import MissingDependencyError

_FILES: Final = (".py", ".html")
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: edgernn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_metadata() -> importlib.metadata.Distribution:
    """What is installed as edgernn: its version, dependencies and extras.

    Raises:
        MissingDependencyError: it is not installed, only imported from somewhere.
    """
    try:
        return importlib.metadata.distribution("edgernn")
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(
            "edgernn is not installed, so its dependencies are not known: run `pip install .`"
        ) from None


def own_wheel() -> tuple[str, bytes]:
    """The wheel's file name and bytes, the same for the same files.

    Raises:
        MissingDependencyError: see `own_metadata`.
    """
    installed = own_metadata()
    folder = f"edgernn-{installed.version}.dist-info"
    root = Path(edgernn.__file__).parent
    members = {
        f"edgernn/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in _FILES and "__pycache__" not in path.parts
    }
    document = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    members[f"{folder}/METADATA"] = document.encode()
    members[f"{folder}/WHEEL"] = _WHEEL.encode()
    members[f"{folder}/entry_points.txt"] = (installed.read_text("entry_points.txt") or "").encode()
    for file in installed.files or []:
        if "licenses" in file.parts:
            members[f"{folder}/licenses/{file.name}"] = file.read_binary()
    rows = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in members.items()]
    members[f"{folder}/RECORD"] = "\n".join([*rows, f"{folder}/RECORD,,", ""]).encode()
    return f"edgernn-{installed.version}-py3-none-any.whl", _zip(members)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return file.getvalue()
