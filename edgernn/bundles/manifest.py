"""The manifest of a release: its files with their hashes, and the machine that they are for.

It is one JSON document in one canonical form. A document in any other form is refused, so what was
hashed, signed and read is always the same: no key twice, no second spelling of a number or a path.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Final

from edgernn.errors import BundleError

FORMAT: Final = 1
MODEL: Final = "model.tflite"
SETTINGS: Final = "run.toml"
DOCUMENT: Final = "manifest.json"
DIGEST: Final = "manifest.sha256"
SIGNATURE: Final = "manifest.sig"
WHEELS: Final = "wheels"

MAX_DOCUMENT: Final = 128 << 10
MAX_FILES: Final = 256
MAX_FILE: Final = 512 << 20
MAX_TOTAL: Final = 1 << 30

BACKENDS: Final = ("auto", "native", "litert", "tflite-runtime")
MACHINES: Final = ("", "aarch64", "armv7l", "x86_64")

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_VERSION: Final = re.compile(r"[0-9][0-9a-z.+]{0,31}")
_PAIR: Final = re.compile(r"([0-9]\.[0-9]{1,3})?")
_EXTRA: Final = re.compile(r"[a-z][a-z0-9]{0,31}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# A component begins with a letter or digit: no "..", no hidden file, no option of a program.
_PATH: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._+!-]*/)?[A-Za-z0-9][A-Za-z0-9._+!-]*")
_PATH_LENGTH: Final = 99
# What the device makes itself beside the files.
_RESERVED: Final = (DOCUMENT, DIGEST, SIGNATURE, "venv")


@dataclass(frozen=True)
class File:
    """One file of a release: its path with `/`, SHA-256 in hex, and size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a release holds and needs. Whatever breaks a rule is a `BundleError` when it is made.

    `name` is the service's, `created` the time in UTC as `2026-11-21T17:15:00Z`, `version` that of
    edgernn. `machine` (as `uname -m`), `glibc` (at least, as `2.31`) and `python` (exactly, as
    `3.11`) are what its libraries and wheels need, or empty if anything will do. `extras` are the
    extras of edgernn that its settings need. `backend` is the interpreter that was asked for.
    `files` are sorted by path.
    """

    name: str
    created: str
    version: str
    files: tuple[File, ...]
    backend: str = "auto"
    machine: str = ""
    glibc: str = ""
    python: str = ""
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _match("name", _NAME, self.name)
        _match("time", _TIME, self.created)
        try:
            datetime.strptime(self.created, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            raise BundleError(f"the manifest's time {self.created!r} does not exist") from None
        _match("version", _VERSION, self.version)
        _match("glibc", _PAIR, self.glibc)
        _match("python", _PAIR, self.python)
        if self.backend not in BACKENDS:
            raise BundleError(f"the manifest's backend is not one of {', '.join(BACKENDS)}")
        if self.machine not in MACHINES:
            raise BundleError(f"the manifest's machine is not one of {', '.join(MACHINES[1:])}")
        for extra in self.extras:
            _match("extra", _EXTRA, extra)
        if list(self.extras) != sorted(set(self.extras)) or len(self.extras) > 16:
            raise BundleError("the manifest's extras are not sorted, or too many")
        _check_files(self.files)

    @cached_property
    def document(self) -> bytes:
        """The canonical document: what is hashed, signed, sent and kept."""
        fields = {key: value for key, value in asdict(self).items() if key != "files"}
        files = {file.path: {"sha256": file.sha256, "size": file.size} for file in self.files}
        whole = {"format": FORMAT, **fields, "files": files}
        return (json.dumps(whole, sort_keys=True, indent=1) + "\n").encode("ascii")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the document, in hex."""
        return hashlib.sha256(self.document).hexdigest()

    @property
    def digest(self) -> bytes:
        """What `sha256sum --check` needs to know that the document is whole."""
        return f"{self.sha256}  {DOCUMENT}\n".encode("ascii")

    @property
    def release(self) -> str:
        """The release's id: its time, and the first 8 hex digits of the document's SHA-256."""
        return f"{re.sub('[:Z-]', '', self.created)}-{self.sha256[:8]}"

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model file, in hex."""
        return next(file.sha256 for file in self.files if file.path == MODEL)


def now() -> str:
    """The present time as a manifest writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(data: bytes) -> Manifest:
    """Read a document.

    Raises:
        BundleError: it is not in the canonical form, breaks a rule, or is of another format.
    """
    if len(data) > MAX_DOCUMENT:
        raise BundleError(f"the manifest has more than {MAX_DOCUMENT:,} bytes")
    try:
        fields: Any = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise BundleError("the manifest is damaged: it is no JSON in ASCII") from None
    if not isinstance(fields, dict) or type(fields.get("format")) is not int:
        raise BundleError("the manifest is damaged: it has no format")
    if fields["format"] != FORMAT:
        raise BundleError(
            f"the manifest has format {ascii(fields['format'])[:20]}, this edgernn reads {FORMAT}: "
            "use the edgernn that made the bundle"
        )
    del fields["format"]
    try:
        files = tuple(File(path, **rest) for path, rest in fields.pop("files").items())
        extras = tuple(fields.pop("extras"))
        manifest = Manifest(files=files, extras=extras, **fields)
    except (AttributeError, KeyError, TypeError):
        raise BundleError("the manifest is damaged: fields are missing, unknown or odd") from None
    if manifest.document != data:
        raise BundleError("the manifest is damaged: it is not in its canonical form")
    return manifest


def is_release(text: str) -> bool:
    """Whether a text has the form of a release's id, and so is safe as a folder's name."""
    return re.fullmatch(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}", text) is not None


def is_name(text: str) -> bool:
    """Whether a text can be a service's name, and so is safe in paths and unit names."""
    return _NAME.fullmatch(text) is not None


def _match(what: str, pattern: re.Pattern[str], value: object) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        shown = ascii(value)[:60]
        raise BundleError(f"the manifest's {what} {shown} is not of the form {pattern.pattern}")


def _check_files(files: tuple[File, ...]) -> None:
    paths = [file.path for file in files]
    for file in files:
        _match("path", _PATH, file.path)
        if len(file.path) > _PATH_LENGTH:
            raise BundleError(f"the path {file.path[:40]}… is longer than {_PATH_LENGTH}")
        _match(f"SHA-256 of {file.path}", _SHA256, file.sha256)
        if type(file.size) is not int or not 0 <= file.size <= MAX_FILE:
            raise BundleError(f"{file.path} is larger than {MAX_FILE >> 20} MiB, or has no size")
    if paths != sorted(paths):
        raise BundleError("the manifest's files are not sorted")
    if len(paths) > MAX_FILES or sum(file.size for file in files) > MAX_TOTAL:
        raise BundleError(f"more than {MAX_FILES} files or {MAX_TOTAL >> 20} MiB in all")
    # Names that differ by case alone are one file on some file systems; a file is no folder.
    folded = [path.casefold() for path in paths]
    folders = {path.split("/")[0] for path in folded if "/" in path}
    if len(set(folded)) != len(folded) or folders & set(folded):
        raise BundleError("the manifest names a file twice")
    for path in folded:
        if path.split("/")[0] in _RESERVED:
            raise BundleError(f"the manifest names {path}, which the device makes itself")
    for needed in (MODEL, SETTINGS):
        if needed not in paths:
            raise BundleError(f"the manifest lacks {needed}")
