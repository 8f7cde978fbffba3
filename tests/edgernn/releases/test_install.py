"""Whom a device trusts, and what a release is tested with."""

from __future__ import annotations

import io
import os
import shutil

import pytest

from edgernn.bundles.signature import allowed_signer, sign
from edgernn.errors import BundleError, DeviceError
from edgernn.releases import install as module
from edgernn.releases.install import install
from edgernn.releases.store import Store
from tests.edgernn.bundles.made import manifest, packed
from tests.edgernn.bundles.test_signature import make

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """A device on which every release has an environment and passes its test."""
    monkeypatch.setattr(module, "make_environment", lambda *_: None)
    monkeypatch.setattr(module, "check", lambda *_: {"passed": True})
    made = Store(tmp_path / "root", "kitchen")
    made.make()
    return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make(folder, name) for name in ("anna", "ben")}


def deploy(store: Store, key=None, offer: str = "", created: str = "2026-11-21T17:15:00Z"):
    signature = sign(manifest(created=created).document, key) if key else b""
    data = packed(signature, created=created)
    return install(store, io.BytesIO(data), offline=True, signer=offer, tell=lambda text: None)


def left(store: Store) -> set[str]:
    return {path.name for path in store.signers.parent.iterdir()}


def test_the_first_key_is_trusted_from_then_on(store, keys):
    anna, ben = (allowed_signer(keys[name], name) for name in ("anna", "ben"))
    assert deploy(store, keys["anna"], anna)["signer"] == "anna"
    assert store.signers.read_text() == anna
    assert left(store) == {"allowed_signers"}
    with pytest.raises(BundleError, match="not signed"):
        deploy(store, created="2026-11-22T00:00:00Z")
    # Whoever offers another key later is not believed.
    with pytest.raises(BundleError, match="by no key"):
        deploy(store, keys["ben"], ben, created="2026-11-22T00:00:00Z")
    assert store.signers.read_text() == anna
    assert len(store.releases()) == 1


def test_a_key_is_not_trusted_for_a_bundle_that_it_did_not_sign(store, keys):
    for key in (None, keys["ben"]):
        with pytest.raises(BundleError):
            deploy(store, key, allowed_signer(keys["anna"]))
    assert left(store) == set()
    assert store.releases() == []


def test_a_key_is_not_trusted_for_a_release_that_fails(store, keys, monkeypatch):
    def fail(*_):
        # Killed here, the device would trust nobody yet.
        assert not os.path.lexists(store.signers)
        raise DeviceError("the self-test failed on the device")

    monkeypatch.setattr(module, "check", fail)
    with pytest.raises(DeviceError):
        deploy(store, keys["anna"], allowed_signer(keys["anna"]))
    assert left(store) == set()
    assert list(store.folder.iterdir()) == []


def test_the_self_test_takes_no_library_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGERNN_LIBRARY", "/tmp/other.so")
    seen = module._environment(tmp_path)
    assert "EDGERNN_LIBRARY" not in seen
    assert seen["EDGERNN_ROOT"] == str(tmp_path)
    assert seen["PATH"] == os.environ["PATH"]
