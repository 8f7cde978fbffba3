"""Which bundles a device takes."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from edgernn.bundles.manifest import Manifest
from edgernn.bundles.policy import Platform, accept, machine_of_programs, misfit, this_platform
from edgernn.bundles.signature import allowed_signer, sign
from edgernn.errors import BundleError
from tests.edgernn.bundles.made import manifest, opened, packed
from tests.edgernn.bundles.test_signature import make

PI = Platform("aarch64", "2.36", "3.11")
NEEDS = {"machine": "aarch64", "glibc": "2.36", "python": "3.11"}


def taken(data: bytes, installed: list[Manifest] | None = None, **options: object) -> str:
    base = {"name": "kitchen", "allowed_signers": "/nonexistent/keys", "device": PI}
    return accept(opened(data), installed=installed or [], **{**base, **options})


def test_a_device_without_keys_takes_what_fits():
    assert taken(packed()) == ""
    assert taken(packed(**NEEDS)) == ""
    assert taken(packed(b"nobody looks at it")) == ""


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_device_with_keys_takes_signed_ones_only(tmp_path):
    key = make(tmp_path, "anna")
    allowed = tmp_path / "allowed"
    allowed.write_text(allowed_signer(key, "anna"))
    signature = sign(manifest().document, key)
    assert taken(packed(signature), allowed_signers=allowed) == "anna"
    with pytest.raises(BundleError, match="not signed"):
        taken(packed(), allowed_signers=allowed)
    with pytest.raises(BundleError, match="altered"):  # the signature of another release
        taken(packed(signature, version="0.1.1"), allowed_signers=allowed)


def test_keys_that_cannot_be_read_do_not_open_the_door(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty").touch()
    for name in ("link", "empty"):
        with pytest.raises(BundleError, match="not signed"):
            taken(packed(), allowed_signers=tmp_path / name)
        with pytest.raises(BundleError):
            taken(packed(b"x"), allowed_signers=tmp_path / name)


def test_a_bundle_of_another_service():
    with pytest.raises(BundleError, match="of the service kitchen, not of cellar"):
        taken(packed(), name="cellar")


def test_older_bundles():
    newer = replace(manifest(), created="2026-11-21T17:15:01Z")
    older = replace(manifest(), created="2026-11-20T17:15:01Z")
    assert taken(packed(), [newer]) == ""
    assert taken(packed(), [older], no_downgrade=True) == ""
    assert taken(packed(), [manifest()], no_downgrade=True) == ""
    # After a rollback the older release runs, and the newer one still is there.
    for installed in ([newer], [newer, older], [older, newer]):
        with pytest.raises(BundleError, match="older than an installed release"):
            taken(packed(), installed, no_downgrade=True)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (Platform("armv7l", "2.36", "3.11"), "is for aarch64, this is armv7l"),
        (Platform("aarch64", "2.31", "3.11"), "needs glibc 2.36, the device has glibc 2.31"),
        (Platform("aarch64", "2.4", "3.11"), "needs glibc 2.36, the device has glibc 2.4"),
        (Platform("aarch64", "", "3.11"), "another C library"),
        (Platform("aarch64", "2.36", "3.1"), "for Python 3.11, the device has 3.1"),
    ],
)
def test_bundles_for_other_devices(device, reason):
    with pytest.raises(BundleError, match=reason):
        taken(packed(**NEEDS), device=device)
    assert taken(packed(), device=device) == ""


def test_newer_devices_do():
    assert misfit(manifest(**NEEDS), replace(PI, glibc="2.100")) == ""


def test_programs_of_32_bits_on_a_kernel_of_64():
    assert machine_of_programs("aarch64", wide=False) == "armv7l"
    assert machine_of_programs("armv8l", wide=False) == "armv7l"
    assert machine_of_programs("aarch64", wide=True) == "aarch64"
    assert machine_of_programs("armv6l", wide=False) == "armv6l"


def test_this_platform():
    here = this_platform()
    assert here.machine
    assert here.python.startswith("3.")
    assert misfit(manifest(python=here.python), here) == ""
