"""A small bundle, for several test files."""

from __future__ import annotations

import io

from edgernn.bundles.archive import Bundle, describe, read_bundle, to_bytes
from edgernn.bundles.manifest import Manifest

FILES = {
    "libkitchen.so": b"\x7fELF" + bytes(700),
    "model.tflite": bytes(range(256)) * 4,
    "run.toml": b'input = "microphone:"\n',
    "wheels/edgernn-0.1.0-py3-none-any.whl": b"PK",
    "wheels/empty.whl": b"",
}


def manifest(files: dict[str, bytes] | None = None, **fields: object) -> Manifest:
    """The manifest of some files, of the service kitchen."""
    listed = tuple(describe(path, data) for path, data in sorted((files or FILES).items()))
    base = {"name": "kitchen", "created": "2026-11-21T17:15:00Z", "version": "0.1.0"}
    return Manifest(**{**base, "files": listed, **fields})


def packed(signature: bytes = b"", **fields: object) -> bytes:
    """The bytes of a bundle of FILES."""
    return to_bytes(manifest(**fields), FILES, signature)


def opened(data: bytes) -> Bundle:
    """A bundle in memory."""
    return read_bundle(io.BytesIO(data))
