"""Damaged and hostile bundles: refused in one line, or read as exactly the bytes that they are.

Cases are bundles with bytes changed, cut, moved and put in; with headers of any field and the right
checksum; with manifests of any content in canonical form, with their right digest; and signatures.
Whatever is accepted must give, written anew, the very same bytes, each file its SHA-256 and a path
that stays inside. Every thousandth is extracted into a folder that holds nothing else, and every
thousandth signature goes to ssh-keygen, which must accept one only: the good one.

    python benchmarks/bundle_fuzz.py [--cases 1000000] [--seed 0]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from edgernn.bundles import archive
from edgernn.bundles.archive import contents, extract, read_bundle, to_bytes
from edgernn.bundles.manifest import parse
from edgernn.bundles.signature import allowed_signer, key_type, sign, verify
from edgernn.errors import BundleError
from tests.edgernn.bundles.made import FILES, manifest, packed

SECONDS = 5
MEMORY = 2 << 30
SAMPLE = 1000
"""One of so many is extracted, or verified."""
SEEDS = (packed(), packed(b"x" * 300), packed(machine="aarch64", extras=("audio", "mqtt")))
STARTS = [[i for i in range(0, len(s), 512) if s[i + 257 : i + 262] == b"ustar"] for s in SEEDS]
PATHS = (
    "..", "../x", "/etc/passwd", "a/../../b", "a\0b", "x" * 500, "Model.tflite", "./run.toml",
    "a//b", "-x", "wheels", "wheels/../x", "a\\b", "CON", "é", "manifest.json", "venv/bin",
    "a\n", "", "~", "%n", "x", "wheels/x.whl", "\u202e",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 40, 10**400, 0.5, 1e300, float("nan"), "", "x", [], {}, [[]], *PATHS,
    ["audio"], "2026-11-21T17:15:00Z", "9999-99-99T99:99:99Z", "aarch64", "2.31", "3.11", "--pre",
)  # fmt: skip
FITTING: dict[str, tuple[Any, ...]] = {
    "name": ("x", "cellar"), "created": ("2030-01-01T00:00:00Z",), "machine": ("armv7l", "x86_64"),
    "glibc": ("2.31",), "python": ("3.13",), "backend": ("native",), "version": ("0.2.0rc1",),
    "extras": (["audio"], ["audio", "mqtt"]),
}  # fmt: skip
OTHER_TYPES = b"1234567xgLKSDVM\0"


def bytes_changed(random: Random) -> bytes:
    """Bytes changed, cut out, put in, repeated or moved."""
    data = bytearray(random.choice(SEEDS))
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at, size = random.randrange(len(data) + 1), random.choice((1, 2, 16, 512, 1024))
        kind = random.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at : at + size] = random.randbytes(len(data[at : at + size]))
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = random.choice((random.randbytes(size), bytes(size), data[at : at + size]))
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            other = random.choice(SEEDS)
            data[at:] = other[at:]
        else:
            data += random.choice((b"\0", bytes(512), other_end(random)))
        if not data:
            break
    return bytes(data)


def other_end(random: Random) -> bytes:
    whole = random.choice(SEEDS)
    return whole[random.randrange(len(whole)) :]


def header_changed(random: Random) -> bytes:
    """A field of a member's header, with a checksum that is right."""
    number = random.randrange(len(SEEDS))
    data, at = bytearray(SEEDS[number]), random.choice(STARTS[number])
    field, size = random.choice(
        ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8),
         (265, 32), (329, 16), (345, 155), (500, 12))
    )  # fmt: skip
    numbers = (b"%011o" % random.randrange(1 << 33), b"-1", b"+5", b" 17", b"1_0", b"7" * size)
    others = (random.choice(PATHS).encode(), random.randbytes(size), b"\x80" + b"\xff" * size)
    value = random.choice((*numbers, *others, bytes((random.choice(OTHER_TYPES),))))
    value = value[:size]
    data[at + field : at + field + len(value)] = value
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def manifest_changed(random: Random) -> bytes:
    """Any manifest, in canonical form mostly, with its digest and, mostly, the files it names."""
    document = json.loads(manifest().document)
    files = dict(FILES)
    for _ in range(random.choice((1, 1, 2, 4))):
        kind = random.randrange(7)
        path = random.choice(sorted(files)) if files else "x"
        if kind == 0:
            document[random.choice(sorted(document))] = any_value(random)
        elif kind == 1:
            document[random.choice(("mode", "release", "x"))] = any_value(random)
        elif kind == 2:
            document.pop(random.choice(sorted(document)), None)
        elif kind == 6:
            field = random.choice(sorted(FITTING))
            document[field] = deepcopy(random.choice(FITTING[field]))
        elif isinstance(document.get("files"), dict) and path in document["files"]:
            entry = document["files"][path]
            if kind == 3 and isinstance(entry, dict):
                entry[random.choice(("size", "sha256", "mode"))] = any_value(random)
            elif kind == 4:
                name = random.choice(PATHS)
                document["files"][name], files[name] = document["files"].pop(path), files.pop(path)
            elif kind == 5:
                document["files"][path] = any_value(random)
        if not document:
            break
    text = json.dumps(document, sort_keys=True, indent=random.choice((1, 1, 1, 1, None, 2))) + "\n"
    data = text.encode() if random.random() < 0.9 else spoilt(random, text.encode())
    digest = f"{hashlib.sha256(data).hexdigest()}  manifest.json\n".encode()
    members = [archive._member("manifest.json", data), archive._member("manifest.sha256", digest)]
    for path, content in sorted(files.items()):
        raw = path.encode("ascii", "replace").decode()[:99]
        members.append(archive._member(raw, content))
    return b"".join([*(block for member in members for block in member), archive._END])


def any_value(random: Random) -> Any:
    return deepcopy(random.choice(VALUES))


def spoilt(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    more = random.choice((b"[" * 5000, b"9" * 5000, b'"a":', b"\\u0000", b"\xff", b"{}", b" ", b""))
    return data[:at] + more + data[at + random.randrange(3) :]


def signature_changed(random: Random, good: bytes) -> bytes:
    """Armour, base64 or what is inside."""
    kind = random.randrange(3)
    if kind == 0:
        return spoilt(random, good)
    lines = good.split(b"\n")
    blob = bytearray(base64.b64decode(b"".join(lines[1:-2])))
    for _ in range(random.choice((1, 2, 4))):
        at = random.randrange(len(blob))
        if kind == 1:
            blob[at] ^= 1 << random.randrange(8)
        else:
            blob[at : at + random.randrange(8)] = random.randbytes(random.randrange(8))
    text = base64.b64encode(blob)
    return b"\n".join([lines[0], text, *lines[-2:]])


def check(data: bytes) -> str:
    """What became of a bundle; ends the program where it should not have."""
    try:
        bundle = read_bundle(io.BytesIO(data))
        files = contents(bundle)
    except BundleError as error:
        message = str(error)
    else:
        return check_accepted(data, bundle, files)
    assert "\n" not in message
    assert len(message) < 400
    return "refused"


def check_accepted(data: bytes, bundle: archive.Bundle, files: dict[str, bytes]) -> str:
    assert to_bytes(bundle.manifest, files, bundle.signature) == data
    assert parse(bundle.manifest.document) == bundle.manifest
    for file in bundle.manifest.files:
        assert hashlib.sha256(files[file.path]).hexdigest() == file.sha256
        assert os.path.normpath(f"/r/{file.path}") == f"/r/{file.path}"
        assert file.path.isascii()
        assert file.path.isprintable()
    return "unaltered" if data in SEEDS else "another bundle, read as it is"


def check_extracted(data: bytes) -> None:
    """Nothing appears but the release, and that whole."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "a", "release")
        place.parent.mkdir()
        try:
            bundle = read_bundle(io.BytesIO(data))
            extract(bundle, place)
        except BundleError:
            assert [p.name for p in Path(folder).rglob("*")] == ["a"]
            return
        assert [p.name for p in Path(folder).iterdir()] == ["a"]
        assert [p.name for p in place.parent.iterdir()] == ["release"]
        assert archive.check_release(place) == bundle.manifest
        found = {p.relative_to(place).as_posix() for p in place.rglob("*") if not p.is_dir()}
        own = {"manifest.json", "manifest.sha256"} | (
            {"manifest.sig"} if bundle.signature else set()
        )
        assert found == {file.path for file in bundle.manifest.files} | own


def fuzz(count: int, seed: int, folder: Path) -> Counter[str]:
    random, found = Random(seed), Counter[str]()
    arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
    subprocess.run(arguments, check=True)
    allowed, document = folder / "allowed", manifest().document
    allowed.write_text(allowed_signer(folder / "key"))
    good = sign(document, folder / "key")
    for number in track(range(count), "inputs"):
        signal.alarm(SECONDS)
        kind = random.randrange(8)
        try:
            if kind == 7:
                changed = signature_changed(random, good)
                try:
                    key_type(changed)
                    found["signatures that look like one"] += 1
                except BundleError:
                    found["signatures refused"] += 1
                if number % SAMPLE == 0:
                    found["signatures given to ssh-keygen"] += 1
                    try:
                        verify(document, changed, allowed)
                        assert same(changed, good), "ssh-keygen accepts another signature"
                    except BundleError:
                        pass
                continue
            make = (bytes_changed, header_changed, manifest_changed)[kind % 3]
            data = make(random)
            found[f"{make.__name__.replace('_', ' ')}: {check(data)}"] += 1
            if number % SAMPLE == 0:
                check_extracted(data)
                found["extracted"] += 1
        except BaseException:
            print(f"input {number} of seed {seed}", file=sys.stderr)
            raise
    signal.alarm(0)
    return found


def same(one: bytes, other: bytes) -> bool:
    """Whether two armours hold the same signature."""
    return b"".join(one.split()) == b"".join(other.split())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(options.cases, options.seed, Path(folder))
    print(f"{options.cases:,} inputs: no crash, no hang, nothing taken that was altered")
    for name, n in sorted(found.items()):
        print(f"{n:>9,}  {name}")
    print(f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
