"""Bundles that a device must not take, sent to it over real OpenSSH, as its tools get them."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace

import pytest

from edgernn.bundles.archive import extract, to_bytes
from edgernn.bundles.signature import allowed_signer, sign
from edgernn.errors import DeviceError
from targets.pi.deploying import deploy
from targets.pi.device_tool import call
from targets.pi.remote import connect
from tests.edgernn.bundles.made import FILES, manifest, opened, packed
from tests.edgernn.bundles.test_signature import make
from tests.targets.pi.devices import SETTINGS, model_file

pytestmark = pytest.mark.slow

NEWER = replace(manifest(), created="2026-11-22T00:00:00Z")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make(folder, name) for name in ("anna", "ben")}


@pytest.fixture(scope="module")
def device(amd64, keys):
    """Two services with a release each: cellar trusts Anna's key, kitchen takes any bundle."""
    for name in ("cellar", "kitchen"):
        made = replace(NEWER, name=name)
        (amd64.folder(name) / "keys").mkdir(parents=True)
        (amd64.folder(name) / "releases").mkdir()
        extract(opened(to_bytes(made, FILES)), amd64.folder(name) / "releases" / made.release)
        (amd64.folder(name) / "current").symlink_to(f"releases/{made.release}")
    (amd64.folder("cellar") / "keys/allowed_signers").write_text(allowed_signer(keys["anna"]))
    return amd64


@pytest.fixture(scope="module")
def remote(device):
    with connect("pi", device.config) as connected:
        yield connected


def everything(device) -> dict[str, bytes]:
    """All that is there, but for the lock that a deployment leaves."""
    found = {}
    for path in sorted(device.own.rglob("*")):
        if path.is_symlink():
            found[str(path)] = bytes(path.readlink())
        elif path.is_file() and path.name != ".lock" and "standins" not in path.parts:
            found[str(path)] = path.read_bytes()
    return found


def refused(device, remote, tmp_path, data: bytes, message: str, name="kitchen", *options: str):
    bundle, before = tmp_path / "bundle.tar", everything(device)
    bundle.write_bytes(data)
    with pytest.raises(DeviceError, match=message):
        call(remote, ["deploy", "--name", name, *options], bundle=bundle)
    assert everything(device) == before


def signed(key, document: bytes | None = None, **fields: object) -> bytes:
    made = manifest(name="cellar", created="2026-11-23T00:00:00Z", **fields)
    return to_bytes(made, FILES, sign(document or made.document, key))


def test_unsigned_where_a_signature_is_needed(device, remote, tmp_path):
    unsigned = packed(name="cellar", created="2026-11-23T00:00:00Z")
    refused(device, remote, tmp_path, unsigned, "not signed, and this device", "cellar")


def test_a_key_that_is_offered_does_not_replace_the_one_that_is_trusted(
    device, remote, tmp_path, keys
):
    offer = ["--signer", allowed_signer(keys["ben"]).strip()]
    data = signed(keys["ben"])
    refused(device, remote, tmp_path, data, "by no key in", "cellar", *offer)


def test_the_signature_of_another_release(device, remote, tmp_path, keys):
    data = signed(keys["anna"], document=manifest(name="cellar").document)
    refused(device, remote, tmp_path, data, "it was altered", "cellar")


def test_a_signed_bundle_with_another_file_in_it(device, remote, tmp_path, keys):
    """The signature is good; the model is not what was signed."""
    data = bytearray(signed(keys["anna"]))
    at = data.index(FILES["model.tflite"])
    data[at + 100] ^= 1
    refused(device, remote, tmp_path, bytes(data), "model.tflite is not what the", "cellar")


def test_a_signed_bundle_of_another_service(device, remote, tmp_path, keys):
    refused(device, remote, tmp_path, signed(keys["anna"]), "of the service cellar, not of kitchen")


def test_an_unsigned_one_is_not_even_made_where_it_would_be_refused(device, tmp_path):
    model = model_file(tmp_path / "cellar.tflite")
    with pytest.raises(DeviceError, match="takes signed bundles only: deploy with --sign KEY"):
        deploy(model, SETTINGS, "pi", config=device.config, native=False)


def test_older_ones(device, remote, tmp_path):
    options = ["kitchen", "--no-downgrade"]
    refused(device, remote, tmp_path, packed(), "older than an installed release", *options)


def test_ones_for_another_machine(device, remote, tmp_path):
    refused(device, remote, tmp_path, packed(machine="armv7l"), "is for armv7l, this is x86_64")


def test_cut_short(device, remote, tmp_path):
    data = packed()
    for size in (0, len(data) // 2, len(data) - 1):
        refused(device, remote, tmp_path, data[:size], "cut short")


def test_altered_anywhere(device, remote, tmp_path):
    data = packed()
    for at in range(50, len(data), len(data) // 3):
        changed = bytearray(data)
        changed[at] ^= 32
        refused(device, remote, tmp_path, bytes(changed), "damaged|no bundle")


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A tar with a right manifest, then a member that leads elsewhere, with its right content."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    data = FILES["libkitchen.so"]
    member.size = len(data) if kind == tarfile.REGTYPE else 0
    whole = packed()
    start = whole.index(b"libkitchen.so\0")
    form = tarfile.GNU_FORMAT if len(name) > 100 else tarfile.USTAR_FORMAT
    return whole[:start] + member.tobuf(form) + whole[start + 512 :]


@pytest.mark.parametrize(
    "data",
    [
        hostile("../../../../etc/cron.d/x"), hostile("/opt/x"), hostile("a/../../../x"),
        hostile("x" * 300), hostile("LIBKITCHEN.SO"), hostile("libkitchen.so\0/../x"),
        hostile("libkitchen.so", tarfile.SYMTYPE, "/etc/shadow"),
        hostile("libkitchen.so", tarfile.LNKTYPE, "../../keys/allowed_signers"),
        hostile("libkitchen.so", tarfile.CHRTYPE), hostile("libkitchen.so", tarfile.FIFOTYPE),
    ],
    ids=range(10),
)  # fmt: skip
def test_members_that_lead_elsewhere(device, remote, tmp_path, data):
    refused(device, remote, tmp_path, data, "where libkitchen.so begins is something else")


def test_archives_that_grow(device, remote, tmp_path):
    """A quarter of a gigabyte of nothing, and a bundle in an archive."""
    memory = io.BytesIO()
    with gzip.GzipFile(fileobj=memory, mode="wb", compresslevel=9) as file:
        for _ in range(256):
            file.write(bytes(1 << 20))
    for data in (memory.getvalue(), gzip.compress(packed())):
        refused(device, remote, tmp_path, data, "no bundle of edgernn")
