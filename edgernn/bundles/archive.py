"""A bundle's file: a plain tar in which every byte but the files' own follows from the manifest.

It holds `manifest.json` and its digest `manifest.sha256`, `manifest.sig` if it is signed, then the
files in the manifest's order, then two empty blocks. The reader makes the header that each member
must have and compares: no header is interpreted, so links, devices, odd paths, sparse files and
extended headers cannot even be said. Nothing is compressed, so nothing grows (the wheels, which are
large, are compressed already). `tar -tf` lists it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from edgernn.bundles.manifest import (
    DIGEST,
    DOCUMENT,
    MAX_DOCUMENT,
    SIGNATURE,
    File,
    Manifest,
    parse,
)
from edgernn.errors import BundleError, InputError
from edgernn.files import sync_folder, write_atomically

MAX_SIGNATURE: Final = 16 << 10
_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)
_CHUNK: Final = 1 << 20


@dataclass
class Bundle:
    """A bundle whose manifest and signature were read; its files still stand in `stream`.

    They can be taken out once, by `extract` or `contents`. `signature` is empty if there is none;
    nothing has checked it yet: see `policy.accept`.
    """

    manifest: Manifest
    signature: bytes
    stream: BinaryIO
    ahead: bytes
    """The next header, which had to be read to know that there is no signature."""

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stream.close()


def write_bundle(
    path: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes],
    signature: bytes = b"",
) -> None:
    """Write a bundle; it appears whole or not at all.

    Raises:
        BundleError: the files are not those of the manifest.
    """
    write_atomically(path, to_bytes(manifest, files, signature))


def to_bytes(manifest: Manifest, files: Mapping[str, bytes], signature: bytes = b"") -> bytes:
    """The bytes of a bundle; see `write_bundle`."""
    if sorted(files) != [file.path for file in manifest.files]:
        raise BundleError("the files are not those that the manifest names")
    if len(manifest.document) > MAX_DOCUMENT or len(signature) > MAX_SIGNATURE:
        raise BundleError("the manifest or its signature is too large")
    parts = _member(DOCUMENT, manifest.document) + _member(DIGEST, manifest.digest)
    if signature:
        parts += _member(SIGNATURE, signature)
    for file in manifest.files:
        data = files[file.path]
        if describe(file.path, data) != file:
            raise BundleError(f"{file.path} is not what the manifest says")
        parts += _member(file.path, data)
    return b"".join([*parts, _END])


def describe(path: str, data: bytes) -> File:
    """A file as the manifest names it."""
    return File(path, hashlib.sha256(data).hexdigest(), len(data))


def read_bundle(source: BinaryIO | str | os.PathLike[str]) -> Bundle:
    """Read the manifest and the signature of a bundle in a file or stream.

    `with read_bundle(path) as bundle:` closes it at the end.

    Raises:
        BundleError: it is no bundle, damaged, or cut short.
        InputError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        try:
            stream: BinaryIO = open(source, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{os.fspath(source)}: cannot be read ({reason})") from None
        try:
            return read_bundle(stream)
        except BaseException:
            stream.close()
            raise
    first = _exactly(source, _BLOCK)
    manifest = parse(_small(source, first, DOCUMENT, MAX_DOCUMENT))
    if _small(source, _exactly(source, _BLOCK), DIGEST, len(manifest.digest)) != manifest.digest:
        raise BundleError("the bundle is damaged: its manifest is not what its digest says")
    ahead, signature = _exactly(source, _BLOCK), b""
    if ahead.startswith(SIGNATURE.encode() + b"\0"):
        signature, ahead = _small(source, ahead, SIGNATURE, MAX_SIGNATURE), b""
        if not signature:
            raise BundleError("the bundle is damaged: its signature is empty")
    return Bundle(manifest, signature, source, ahead)


def contents(bundle: Bundle) -> dict[str, bytes]:
    """The files by path, all in memory.

    Raises:
        BundleError: a file is not what the manifest says, or anything stands behind the last one.
    """
    files: dict[str, io.BytesIO] = {}

    @contextlib.contextmanager
    def keep(file: File) -> Iterator[BinaryIO]:
        files[file.path] = io.BytesIO()
        yield files[file.path]

    _take(bundle, keep)
    return {path: data.getvalue() for path, data in files.items()}


def extract(bundle: Bundle, folder: str | os.PathLike[str]) -> None:
    """Write the files and those of the manifest to a new folder.

    They go to a hidden sibling first, `.FOLDER.xxxxxxxx`, which takes its name when everything is
    checked and on the disk. A power cut leaves the sibling or the whole folder.

    Raises:
        BundleError: as `contents`; nothing is left behind.
        InputError: the folder is there already, or the disk has no room for it.
    """
    target = Path(folder)
    if os.path.lexists(target):
        raise InputError(f"{target} is there already")
    size = sum(file.size for file in bundle.manifest.files)
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise InputError(f"{target.parent} has {free >> 20} MiB free, {size >> 20} are needed")
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _folder(fresh)
        for folder_name in sorted({str(Path(file.path).parent) for file in bundle.manifest.files}):
            if folder_name != ".":
                _folder(fresh / folder_name)
        _take(bundle, lambda file: _fresh_file(fresh / file.path))
        manifest = bundle.manifest
        own = {DOCUMENT: manifest.document, DIGEST: manifest.digest, SIGNATURE: bundle.signature}
        for name, data in own.items():
            if data:
                with _fresh_file(fresh / name) as file:
                    file.write(data)
        for inner in (*(p for p in fresh.iterdir() if p.is_dir()), fresh):
            sync_folder(inner)
        os.rename(fresh, target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def check_release(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest of a release that was extracted, all of whose files were read and compared.

    What the device made beside them (its `venv`) is not looked at.

    Raises:
        BundleError: the manifest or a file is missing, damaged or no regular file.
    """
    place = Path(folder)
    manifest = parse(_regular(place / DOCUMENT, MAX_DOCUMENT))
    if _regular(place / DIGEST, len(manifest.digest)) != manifest.digest:
        raise BundleError(f"{place / DOCUMENT} is not what its digest says")
    for file in manifest.files:
        if describe(file.path, _regular(place / file.path, file.size)) != file:
            raise BundleError(f"{place / file.path} is not what the manifest says")
    return manifest


def _regular(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None


def _take(
    bundle: Bundle, place: Callable[[File], contextlib.AbstractContextManager[BinaryIO]]
) -> None:
    """Copy each file to where `place` says, and check it and what is between and behind them."""
    stream = bundle.stream
    for file in bundle.manifest.files:
        header = bundle.ahead or _exactly(stream, _BLOCK)
        bundle.ahead = b""
        if header != _header(file.path, file.size):
            raise BundleError(f"the bundle is damaged: where {file.path} begins is something else")
        digest, left = hashlib.sha256(), file.size
        with place(file) as output:
            while left:
                chunk = _exactly(stream, min(left, _CHUNK))
                digest.update(chunk)
                output.write(chunk)
                left -= len(chunk)
        if digest.hexdigest() != file.sha256:
            raise BundleError(f"the bundle is damaged: {file.path} is not what the manifest says")
        _padding(stream, file.size)
    if _exactly(stream, len(_END)) != _END or stream.read(1):
        raise BundleError("the bundle is damaged: something stands behind its last file")


def _small(stream: BinaryIO, header: bytes, name: str, limit: int) -> bytes:
    """A member whose size only its header tells."""
    try:
        size = int(header[124:135].decode("ascii"), 8)
    except ValueError:
        size = -1
    if not 0 <= size <= limit or header != _header(name, size):
        raise BundleError(f"this is no bundle of edgernn, or it is damaged where {name} begins")
    data = _exactly(stream, size)
    _padding(stream, size)
    return data


def _padding(stream: BinaryIO, size: int) -> None:
    padding = -size % _BLOCK
    if _exactly(stream, padding) != bytes(padding):
        raise BundleError("the bundle is damaged: something stands between its files")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left:
        part = stream.read(left)
        if not part:
            raise BundleError("the bundle is cut short: send it again")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _member(name: str, data: bytes) -> list[bytes]:
    return [_header(name, len(data)), data, bytes(-len(data) % _BLOCK)]


def _header(name: str, size: int) -> bytes:
    """The one header of a member: POSIX ustar, a regular file of root that everyone may read.

    Written here, since what `tarfile` writes differs between versions of Python.
    """
    owner = b"0000644\0" + b"0000000\0" * 2
    before = name.encode("ascii").ljust(100, b"\0") + owner + b"%011o\0" % size + b"0" * 11 + b"\0"
    device = b"0000000\0" * 2
    after = (b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + device).ljust(356, b"\0")
    checksum = sum(before) + 8 * ord(" ") + sum(after)
    return before + b"%06o\0 " % checksum + after


def _folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)  # whatever the umask is: the service runs as another user


@contextlib.contextmanager
def _fresh_file(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o644), "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        yield file
        file.flush()
        os.fsync(file.fileno())
