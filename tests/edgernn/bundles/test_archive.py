"""Bundles: written whole, read as they were written, and refused in any other form."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.bundles import archive
from edgernn.bundles.archive import (
    check_release,
    contents,
    extract,
    read_bundle,
    to_bytes,
    write_bundle,
)
from edgernn.bundles.manifest import MAX_DOCUMENT
from edgernn.errors import BundleError, InputError
from tests.edgernn.bundles.made import FILES, manifest, opened, packed

DATA = packed()
SIGNATURE = b"not looked at here"
SIGNED = packed(SIGNATURE)


def read_whole(data: bytes) -> dict[str, bytes]:
    return contents(opened(data))


def refused(data: bytes, pattern: str | None = None) -> None:
    with pytest.raises(BundleError, match=pattern):
        read_whole(data)


def with_header(header: bytes) -> bytes:
    """The bundle with something else where model.tflite begins."""
    own = archive._header("model.tflite", len(FILES["model.tflite"]))
    assert DATA.count(own) == 1
    return DATA.replace(own, header)


def own_header(**fields: bytes) -> bytes:
    """Our header of model.tflite with fields of another content, and the right checksum."""
    places = {"name": 0, "mode": 100, "uid": 108, "type": 156, "link": 157, "magic": 257,
              "prefix": 345}  # fmt: skip
    header = bytearray(archive._header("model.tflite", len(FILES["model.tflite"])))
    for name, value in fields.items():
        header[places[name] : places[name] + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_round_trip():
    bundle = opened(SIGNED)
    assert bundle.manifest == manifest()
    assert bundle.signature == SIGNATURE
    assert contents(bundle) == FILES
    assert read_whole(DATA) == FILES
    assert opened(DATA).signature == b""


def test_any_tar_program_reads_it(tmp_path):
    (tmp_path / "bundle.tar").write_bytes(SIGNED)
    with tarfile.open(tmp_path / "bundle.tar") as whole:
        assert whole.getnames() == ["manifest.json", "manifest.sha256", "manifest.sig", *FILES]
        assert all(member.isreg() and member.mode == 0o644 for member in whole)
        assert whole.extractfile("model.tflite").read() == FILES["model.tflite"]
    listed = subprocess.run(
        ["tar", "-tf", tmp_path / "bundle.tar"], check=True, capture_output=True, text=True
    )
    assert listed.stdout.split() == ["manifest.json", "manifest.sha256", "manifest.sig", *FILES]
    assert listed.stderr == ""


def test_files_that_are_not_the_manifests_are_not_written(tmp_path):
    for files in (FILES | {"more": b""}, FILES | {"run.toml": b"other"}, {"run.toml": b""}):
        with pytest.raises(BundleError):
            write_bundle(tmp_path / "bundle.tar", manifest(), files)
    assert list(tmp_path.iterdir()) == []


def test_extracted_releases_are_what_was_packed(tmp_path):
    old = os.umask(0o077)  # root's, on a careful device; the service runs as another user
    try:
        extract(opened(SIGNED), tmp_path / "release")
    finally:
        os.umask(old)
    found = {
        path.relative_to(tmp_path / "release").as_posix(): path.read_bytes()
        for path in (tmp_path / "release").rglob("*")
        if path.is_file()
    }
    own = ["manifest.json", "manifest.sha256", "manifest.sig"]
    assert found == FILES | {name: found[name] for name in own}
    assert [found["manifest.json"], found["manifest.sig"]] == [manifest().document, SIGNATURE]
    check = ["sha256sum", "--check", "--quiet", "manifest.sha256"]
    subprocess.run(check, cwd=tmp_path / "release", check=True)
    modes = {path: path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    assert all(mode == (0o755 if path.is_dir() else 0o644) for path, mode in modes.items())
    assert check_release(tmp_path / "release") == manifest()


def test_nothing_is_left_of_a_bundle_that_is_refused(tmp_path):
    spoilt = bytearray(DATA)
    spoilt[-1600] ^= 1
    with pytest.raises(BundleError):
        extract(opened(bytes(spoilt)), tmp_path / "release")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "release").symlink_to("/nonexistent")
    with pytest.raises(InputError, match="there already"):
        extract(opened(DATA), tmp_path / "release")


def test_a_full_disk_is_known_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(InputError, match="0 MiB free"):
        extract(opened(DATA), tmp_path / "release")
    assert list(tmp_path.iterdir()) == []


def test_killed_while_extracting(tmp_path):
    """Whenever it is, there is the whole release, or only a hidden folder beside its place."""
    (tmp_path / "bundle.tar").write_bytes(DATA)
    program = (
        "import os, sys\n"
        "from edgernn.bundles import archive\n"
        "left = int(sys.argv[1])\n"
        "def event(name, _):\n"
        "    global left\n"
        "    if name in ('open', 'os.mkdir', 'os.rename', 'os.chmod'):\n"
        "        left -= 1\n"
        "        if left < 0: os.kill(os.getpid(), 9)\n"
        "bundle = archive.read_bundle('bundle.tar')\n"
        "sys.addaudithook(event)\n"
        "archive.extract(bundle, 'release')\n"
    )
    killed = 0
    for moment in range(0, 40, 2):
        done = subprocess.run([sys.executable, "-c", program, str(moment)], cwd=tmp_path)
        found = {path.name for path in tmp_path.iterdir()} - {"bundle.tar"}
        if done.returncode == 0:
            assert check_release(tmp_path / "release") == manifest()
            break
        killed += 1
        assert "release" not in found or check_release(tmp_path / "release") == manifest()
        assert all(name.startswith(".release.") for name in found - {"release"})
    assert killed > 3


@pytest.mark.parametrize("change", ["altered", "missing", "longer", "link", "fifo"])
def test_a_release_that_changed_is_known(tmp_path, change):
    extract(opened(DATA), tmp_path / "release")
    victim = tmp_path / "release" / "model.tflite"
    if change == "altered":
        victim.write_bytes(FILES["model.tflite"][::-1])
    elif change == "longer":
        victim.write_bytes(FILES["model.tflite"] + b"x")
    else:
        victim.unlink()
    if change == "link":
        (tmp_path / "elsewhere").write_bytes(FILES["model.tflite"])
        victim.symlink_to(tmp_path / "elsewhere")
    if change == "fifo":
        os.mkfifo(victim)
    with pytest.raises(BundleError, match=r"model\.tflite"):
        check_release(tmp_path / "release")


def test_a_release_whose_manifest_changed_is_known(tmp_path):
    extract(opened(DATA), tmp_path / "release")
    altered = manifest().document.replace(b"2026-11-21", b"2026-11-22")
    (tmp_path / "release" / "manifest.json").write_bytes(altered)
    with pytest.raises(BundleError, match="digest"):
        check_release(tmp_path / "release")


@pytest.mark.parametrize("data", [DATA, SIGNED], ids=["plain", "signed"])
def test_truncated_anywhere(data):
    for size in [*range(0, len(data), 97), *range(len(data) - 1100, len(data))]:
        refused(data[:size])


def test_anything_behind_the_end():
    for more in (b"\0", b"x", bytes(512), DATA):
        refused(DATA + more, "behind its last file")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_byte_changed(data):
    whole = bytearray([DATA, SIGNED][data.draw(st.integers(0, 1))])
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        bundle = opened(bytes(whole))
        found = contents(bundle)
    except BundleError:
        return
    # Without a key a reader cannot know who signed.
    assert found == FILES
    assert bundle.manifest == manifest()
    assert bundle.signature != SIGNATURE


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, len(DATA)), st.integers(0, len(DATA)))
def test_any_piece_replaced(piece, start, length):
    whole = DATA[:start] + piece + DATA[start + length :]
    if whole != DATA:
        refused(whole)


@pytest.mark.parametrize("kind", b"1234567xgLKSDVM\0")
def test_members_that_are_no_plain_files(kind):
    """A manifest that is right, and in a file's place a link, a device, a folder, a long name …"""
    for fields in ({}, {"link": b"/etc/shadow"}):
        refused(with_header(own_header(type=bytes([kind]), **fields)), "something else")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["../model.tflite", "/model.tflite", "x" * 300, "é", "a/../b"])
def test_members_of_other_programs(form, name):
    """Extended headers and all."""
    member = tarfile.TarInfo(name)
    member.size = len(FILES["model.tflite"])
    refused(with_header(member.tobuf(form)), "something else")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": b"../model.tflite"}, {"name": b"/model.tflite"}, {"name": b"MODEL.TFLITE"},
        {"name": b"model.tflite/"}, {"name": b"model.tflite\0x"}, {"prefix": b".."},
        {"prefix": b"/etc"}, {"mode": b"0004755"}, {"uid": b"0001750"}, {"magic": b"ustar  \0"},
        {"link": b"x"},
    ],
)  # fmt: skip
def test_headers_that_differ_at_all(fields):
    assert own_header() in DATA
    refused(with_header(own_header(**fields)), "something else")


def test_members_too_many_too_few_or_in_another_order():
    first = archive._member("manifest.json", manifest().document)
    members = [first + archive._member("manifest.sha256", manifest().digest)]
    members += [archive._member(path, data) for path, data in FILES.items()]
    end = archive._END
    join = lambda order: b"".join([*(b for i in order for b in members[i]), end])  # noqa: E731
    assert join(range(6)) == DATA
    for order in ([0, 2, 1, 3, 4, 5], [0, 1, 2, 3, 4], [0, 1, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5],
                  [0, 1, 2, 3, 4, 5, 5], [0, 0, 1, 2, 3, 4, 5]):  # fmt: skip
        refused(join(order))


def test_other_kinds_of_files():
    random = hashlib.sha512(b"seed").digest() * 100
    for data in (b"", b"\0" * 2000, random, gzip.compress(DATA), b"PK\3\4" + bytes(3000)):
        refused(data)


def test_bombs_end_at_once():
    """Sizes that a header or manifest only claims take neither memory nor time."""
    claimed = json.loads(manifest().document)
    claimed["files"]["libkitchen.so"]["size"] = 500 << 20
    document = (json.dumps(claimed, sort_keys=True, indent=1) + "\n").encode()
    huge = archive._header("manifest.json", MAX_DOCUMENT + 1) + bytes(4096)
    signature = DATA[: DATA.index(b"libkitchen.so\0")] + archive._header("manifest.sig", 1 << 30)
    digest = f"{hashlib.sha256(document).hexdigest()}  manifest.json\n".encode()
    whole = b"".join(archive._member("manifest.json", document))
    whole += b"".join(archive._member("manifest.sha256", digest))
    whole += archive._header("libkitchen.so", 500 << 20) + bytes(4096)
    start = time.monotonic()
    refused(huge, "manifest.json begins")
    refused(whole, "cut short")
    refused(signature)
    refused(archive._header("manifest.json", 0) + bytes(1024))
    assert time.monotonic() - start < 2


def test_a_stream_that_comes_in_pieces():
    class Slow(io.RawIOBase):
        def __init__(self):
            self.rest = io.BytesIO(SIGNED)

        def readable(self):
            return True

        def readinto(self, memory):
            return self.rest.readinto(memoryview(memory)[:7])

    assert contents(read_bundle(Slow())) == FILES


def test_the_manifest_of_one_bundle_and_the_files_of_another():
    changed = FILES | {"model.tflite": FILES["model.tflite"][::-1]}
    other = to_bytes(manifest(changed), changed)
    assert read_whole(other) == changed
    assert len(other) == len(DATA)
    start = DATA.index(b"libkitchen.so\0")
    refused(other[:start] + DATA[start:], "model.tflite is not what the manifest says")


@pytest.mark.parametrize("what", ["missing", "folder", "null"])
def test_files_that_cannot_be_read(tmp_path, what):
    path = {"missing": tmp_path / "no", "folder": tmp_path, "null": Path("a\0b")}[what]
    with pytest.raises(InputError, match="cannot be read"):
        read_bundle(path)


def test_closed_at_the_end(tmp_path):
    write_bundle(tmp_path / "bundle.tar", manifest(), FILES)
    with read_bundle(tmp_path / "bundle.tar") as bundle:
        assert contents(bundle) == FILES
    assert bundle.stream.closed


def test_it_needs_nothing_but_the_standard_library():
    program = (
        "import edgernn.bundles.policy, sys\n"
        "print(*{name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()) <= {"edgernn", "__main__"}


def test_a_socket_is_a_stream_too():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(SIGNED)
        ours.shutdown(socket.SHUT_WR)
        with theirs.makefile("rb") as stream:
            assert contents(read_bundle(stream)) == FILES
