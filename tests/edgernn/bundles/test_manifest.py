"""The manifest: one canonical document; everything else is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from edgernn.bundles.manifest import File, Manifest, is_name, is_release, now, parse
from edgernn.errors import BundleError

DIGEST = "0123456789abcdef" * 4


def files(*paths: str) -> tuple[File, ...]:
    return tuple(File(path, DIGEST, 5) for path in sorted(["model.tflite", "run.toml", *paths]))


def manifest(*paths: str) -> Manifest:
    return Manifest("kitchen", "2026-11-21T17:15:00Z", "0.1.0", files(*paths))


def test_round_trip():
    made = replace(
        manifest("libkitchen.so", "wheels/numpy-1.26.4-cp311-cp311-linux_armv7l.whl"),
        machine="armv7l", glibc="2.31", python="3.11", extras=("audio", "mqtt"), backend="native",
    )  # fmt: skip
    assert parse(made.document) == made
    assert made.model_hash == DIGEST


def test_the_release_tells_its_time_and_its_content():
    one, other = manifest(), manifest("libkitchen.so")
    assert re.fullmatch("20261121T171500-[0-9a-f]{8}", one.release)
    assert one.release != other.release
    assert is_release(one.release)
    assert parse(manifest().document.replace(b"17:15:00", b"17:15:01")).release > one.release


def test_now_is_a_time_that_a_manifest_takes():
    assert replace(manifest(), created=now()).created == now()


@pytest.mark.parametrize(
    "path",
    [
        "../model", "..", ".", "/etc/passwd", "a/../../b", "a/..", "./a", "a//b", "a/", "", "a\0b",
        ".hidden", "-rf", "wheels/.x", "wheels/-x", "a/b/c", "a\\b", "C:b", "a b", "é", "x" * 100,
        "~", "$HOME", "a\nb", "manifest.json", "manifest.sha256", "manifest.sig", "MANIFEST.JSON",
        "venv", "venv/pip", "Venv/pip",
    ],
)  # fmt: skip
def test_paths_that_are_refused(path):
    with pytest.raises(BundleError):
        manifest(path)
    document = json.loads(manifest("x").document)
    document["files"][path] = document["files"].pop("x")
    with pytest.raises(BundleError):
        parse((json.dumps(document, sort_keys=True, indent=1) + "\n").encode())


@pytest.mark.parametrize(
    "twice", [("a", "A"), ("a", "a"), ("a", "a/b"), ("A", "a/b"), ("Model.tflite",)]
)
def test_a_file_cannot_be_named_twice(twice):
    with pytest.raises(BundleError, match="twice"):
        manifest(*twice)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Kitchen"}, {"name": "../x"}, {"name": "-x"}, {"name": "a" * 33}, {"name": "a\n"},
        {"name": ""}, {"created": "2026-13-21T17:15:00Z"}, {"created": "2026-11-21"},
        {"created": "٢026-11-21T17:15:00Z"}, {"version": "--index-url=x"}, {"machine": "m68k"},
        {"glibc": "2"}, {"python": "3"}, {"backend": "flex"},
        {"extras": ("mqtt", "audio")}, {"extras": ("mqtt", "mqtt")}, {"extras": ("--pre",)},
        {"files": ()}, {"files": files()[:1]}, {"files": files()[::-1]},
        {"files": (File("model.tflite", DIGEST.upper(), 1), files()[1])},
        {"files": (File("model.tflite", DIGEST, -1), files()[1])},
        {"files": (File("model.tflite", DIGEST, True), files()[1])},
        {"files": (File("model.tflite", DIGEST, 1 << 40), files()[1])},
        {"files": files(*(f"f{i}" for i in range(300)))},
        {"files": tuple(replace(f, size=500 << 20) for f in files("x"))},
    ],
)  # fmt: skip
def test_fields_that_are_refused(fields):
    with pytest.raises(BundleError):
        replace(manifest(), **fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d + b" ",
        lambda d: d.replace(b'"name"', b'"name": "other",\n "name"'),
        lambda d: d.replace(b'"size": 5', b'"size": 5.0'),
        lambda d: d.replace(b'"size": 5', b'"size": 1e400'),
        lambda d: d.replace(b'"size": 5', b'"size": ' + b"9" * 5000),
        lambda d: d.replace(b'"size": 5', b'"size": 5, "mode": 1'),
        lambda d: d.replace(b'"format": 1', b'"format": true'),
        lambda d: d.replace(b'"format": 1', b'"format": 2'),
        lambda d: d.replace(b'"format": 1', b'"format": ' + b"9" * 4000),
        lambda d: d.replace(b'"extras": []', b'"extras": null'),
        lambda d: d.replace(b'"extras": []', b'"extras": [[]]'),
        lambda d: d.replace(b'"extras": []', b'"extras": ' + b"[" * 50000),
        lambda d: d.replace(b'"kitchen"', b"[]"),
        lambda d: d.replace(b"kitchen", b"\\u006bitchen"),
        lambda d: d.replace(b'"version"', b'"verison"'),
        lambda d: b"[]", lambda d: b"", lambda d: b"null", lambda d: b"\xff", lambda d: b"9" * 100,
        lambda d: d[:-1], lambda d: b"\xef\xbb\xbf" + d, lambda d: d + b" " * (128 << 10),
    ],
)  # fmt: skip
def test_documents_that_are_refused(change):
    changed = change(manifest().document)
    assert changed != manifest().document
    with pytest.raises(BundleError):
        parse(changed)


def test_names_that_are_safe_in_paths():
    assert is_name("kitchen-2")
    assert not any(map(is_name, ["", "..", "a/b", "-a", "a.b", "A", "a\n", "a" * 33]))
    assert not any(
        map(is_release, ["", "..", "20261121T171500-0123456", "20261121T171500-01234567\n"])
    )
