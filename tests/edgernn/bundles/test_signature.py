"""Signatures: by an allowed key, of this very document, for this very use; anything else fails."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.bundles import signature as module
from edgernn.bundles.signature import allowed_signer, key_type, sign, verify
from edgernn.errors import BundleError, InputError, MissingDependencyError

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (openssh-client) is not installed"
)

DOCUMENT = b'{"a": "manifest"}\n'


def make(folder, name: str, kind: str = "ed25519"):
    bits = ["-b", "2048"] if kind == "rsa" else []
    arguments = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", "", "-f", folder / name]
    subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL)
    return folder / name


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two people's keys, the file that allows Anna's, and her signature."""
    folder = tmp_path_factory.mktemp("keys")
    make(folder, "anna")
    make(folder, "ben")
    (folder / "allowed").write_text(allowed_signer(folder / "anna", "anna"))
    (folder / "good").write_bytes(sign(DOCUMENT, folder / "anna"))
    return folder


def test_signed_by_an_allowed_key(keys):
    good = (keys / "good").read_bytes()
    assert verify(DOCUMENT, good, keys / "allowed") == "anna"
    assert key_type(good) == "ssh-ed25519"


def test_one_of_several_and_a_line_with_two_names(keys, tmp_path):
    lines = [allowed_signer(keys / "ben", "ben"), "# Anna's\n", "\n"]
    lines += [allowed_signer(keys / "anna", "anna,anna@work")]
    (tmp_path / "allowed").write_text("".join(lines))
    assert verify(DOCUMENT, (keys / "good").read_bytes(), tmp_path / "allowed") == "anna"
    assert verify(DOCUMENT, sign(DOCUMENT, keys / "ben"), tmp_path / "allowed") == "ben"


def test_unsigned(keys):
    with pytest.raises(BundleError, match="not signed, and this device takes signed ones only"):
        verify(DOCUMENT, b"", keys / "allowed")


def test_another_document(keys):
    with pytest.raises(BundleError, match="altered"):
        verify(DOCUMENT + b" ", (keys / "good").read_bytes(), keys / "allowed")


def test_another_key(keys):
    with pytest.raises(BundleError, match="by no key in"):
        verify(DOCUMENT, sign(DOCUMENT, keys / "ben"), keys / "allowed")


def test_a_signature_made_for_another_use(keys):
    """The same key signs commits and mail: none of that is a bundle."""
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-q", "-f", keys / "anna", "-n", "git"],
        input=DOCUMENT, capture_output=True, check=True,
    )  # fmt: skip
    with pytest.raises(BundleError):
        verify(DOCUMENT, done.stdout, keys / "allowed")


def test_a_key_that_is_allowed_for_other_uses_only(keys, tmp_path):
    line = allowed_signer(keys / "anna", "anna").replace("edgernn-bundle", "git")
    (tmp_path / "allowed").write_text(line)
    with pytest.raises(BundleError):
        verify(DOCUMENT, (keys / "good").read_bytes(), tmp_path / "allowed")


def test_a_key_whose_time_is_over(keys, tmp_path):
    options = 'namespaces="edgernn-bundle",valid-before="20200101"'
    line = allowed_signer(keys / "anna").replace('namespaces="edgernn-bundle"', options)
    (tmp_path / "allowed").write_text(line)
    with pytest.raises(BundleError):
        verify(DOCUMENT, (keys / "good").read_bytes(), tmp_path / "allowed")


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "\0", "anna ssh-ed25519 AAAA\n", None, "folder"]
)
def test_allowed_signers_that_say_nothing(keys, tmp_path, text):
    path = tmp_path / "allowed"
    if text == "folder":
        path.mkdir()
    elif text is not None:
        path.write_text(text)
    with pytest.raises(BundleError):
        verify(DOCUMENT, (keys / "good").read_bytes(), path)


def test_keys_that_are_not_ed25519(tmp_path):
    key = make(tmp_path, "old", "rsa")
    with pytest.raises(InputError, match="is ssh-rsa, not Ed25519: make one with"):
        sign(DOCUMENT, key)
    with pytest.raises(InputError, match="no Ed25519 key"):
        allowed_signer(key)
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", "edgernn-bundle"],
        input=DOCUMENT, capture_output=True, check=True,
    )  # fmt: skip
    words = (tmp_path / "old.pub").read_text().split()
    (tmp_path / "allowed").write_text(f"anna {words[0]} {words[1]}\n")
    with pytest.raises(BundleError, match="not Ed25519"):
        verify(DOCUMENT, done.stdout, tmp_path / "allowed")


@pytest.mark.parametrize(
    ("comment", "who"),
    [("anna@laptop", "anna@laptop"), ("", "edgernn"), ("a b", "edgernn"), ("*", "edgernn"),
     ("!x", "edgernn"), ("a,b", "edgernn"), ('x"', "edgernn"), ("#", "edgernn")],
)  # fmt: skip
def test_a_signer_is_called_as_the_key_is(tmp_path, comment, who):
    """A comment that would mean more than one name in the file is not taken."""
    arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]
    subprocess.run([*arguments, tmp_path / "key"], check=True)
    (tmp_path / "allowed").write_text(allowed_signer(tmp_path / "key"))
    assert verify(DOCUMENT, sign(DOCUMENT, tmp_path / "key"), tmp_path / "allowed") == who


def test_keys_that_are_none(tmp_path):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text.pub").write_bytes(b"\xff")
    for name in ("text", "missing", "-oops"):
        with pytest.raises(InputError):
            sign(DOCUMENT, tmp_path / name)
        with pytest.raises(InputError):
            allowed_signer(tmp_path / name)


def test_without_ssh_keygen(keys, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingDependencyError, match="apt-get install openssh-client"):
        sign(DOCUMENT, keys / "anna")
    with pytest.raises(BundleError, match="cannot be checked"):
        verify(DOCUMENT, (keys / "good").read_bytes(), keys / "allowed")


def test_an_ssh_keygen_that_hangs_or_knows_no_signatures(keys, tmp_path, monkeypatch):
    program = tmp_path / "ssh-keygen"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(module, "_SECONDS", 0.2)
    for script in ("exec sleep 5", "echo unknown option -- Y >&2; exit 1", "exit 0"):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(BundleError):
            verify(DOCUMENT, (keys / "good").read_bytes(), keys / "allowed")


def test_altered_signatures(keys):
    """Each bit of the signature, the key and what is between them counts."""
    lines = (keys / "good").read_text().split("\n")
    blob = base64.b64decode("".join(lines[1:-2]))
    for place in range(0, len(blob), 9):
        changed = bytearray(blob)
        changed[place] ^= 4
        text = base64.b64encode(changed).decode()
        armoured = "\n".join([lines[0], text, *lines[-2:]]).encode()
        with pytest.raises(BundleError):
            verify(DOCUMENT, armoured, keys / "allowed")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=100))
def test_signatures_that_are_none(data):
    armoured = b"-----BEGIN SSH SIGNATURE-----\n" + data + b"\n-----END SSH SIGNATURE-----\n"
    inner = base64.b64encode(b"SSHSIG\0\0\0\1" + data)
    for text in (data, armoured, armoured.replace(data, inner) if data else b""):
        try:
            assert key_type(text).isascii()
        except BundleError:
            continue
