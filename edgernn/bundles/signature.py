"""Ed25519 signatures of manifests, made and checked by the system's `ssh-keygen`.

A user signs with an SSH key that is there already, be it in a file, an agent or on a token. A
device lists the keys it trusts in an `allowed_signers` file, one a line, as ssh-keygen(1) says:

    anna namespaces="edgernn-bundle" ssh-ed25519 AAAAC3Nza…

Everything that is not a good signature is refused, and so is everything that cannot be checked.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from edgernn.errors import BundleError, InputError, MissingDependencyError

NAMESPACE: Final = "edgernn-bundle"
"""Signatures that the same key made for anything else (git, mail) do not count."""

_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_FINISH: Final = "-----END SSH SIGNATURE-----"
_KEYS: Final = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_SECONDS: Final = 30
_SIGNING_SECONDS: Final = 300
"""A passphrase may have to be typed, or a token touched."""


def sign(document: bytes, key: str | os.PathLike[str]) -> bytes:
    """The armoured signature of a manifest's document by an Ed25519 SSH key.

    `key` is the private key's file, or the public key's of one that `ssh-agent` holds. Whatever
    has to be asked for (a passphrase), `ssh-keygen` asks on the terminal.

    Raises:
        InputError: the key cannot be read or used, or is no Ed25519 key.
        MissingDependencyError: there is no `ssh-keygen`.
    """
    path = Path(key).absolute()
    arguments = ["-Y", "sign", "-q", "-f", str(path), "-n", NAMESPACE]
    with tempfile.TemporaryFile() as message:
        message.write(document)
        message.seek(0)
        done = _keygen(arguments, message.fileno(), dict(os.environ), _SIGNING_SECONDS)
    if done.returncode:
        raise InputError(f"{key}: cannot sign with this key ({_reason(done)})")
    kind = key_type(done.stdout)
    if kind not in _KEYS:
        raise InputError(f"{key}: is {kind}, not Ed25519: make one with `ssh-keygen -t ed25519`")
    return done.stdout


def verify(document: bytes, signature: bytes, allowed_signers: str | os.PathLike[str]) -> str:
    """Who of the allowed signers signed a document.

    Raises:
        BundleError: none of them did, or it cannot be known.
    """
    if not signature:
        raise BundleError(
            "the bundle is not signed, and this device takes signed ones only: "
            "deploy with --sign KEY"
        )
    kind = key_type(signature)
    if kind not in _KEYS:
        raise BundleError(f"the bundle is signed with {ascii(kind)[:60]}, not Ed25519")
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        with tempfile.TemporaryDirectory(prefix="edgernn-") as folder:
            file, message = Path(folder) / "signature", Path(folder) / "manifest.json"
            file.write_bytes(signature)
            message.write_bytes(document)
            keys = ["-s", str(file), "-f", os.path.abspath(allowed_signers)]
            with open(message, "rb") as stream:
                arguments = ["-Y", "find-principals", *keys]
                found = _keygen(arguments, stream.fileno(), environment, _SECONDS)
                # A line of the file may name several, with commas: any of them stands for the key.
                signer = found.stdout.decode("utf-8", "replace").split("\n")[0].split(",")[0]
                if found.returncode or not signer:
                    raise BundleError(
                        f"the bundle's signature is by no key in {os.fspath(allowed_signers)} "
                        f"({_reason(found)})"
                    )
                arguments = ["-Y", "verify", "-n", NAMESPACE, "-I", signer, *keys]
                done = _keygen(arguments, stream.fileno(), environment, _SECONDS)
    except (OSError, MissingDependencyError) as error:
        raise BundleError(f"the bundle's signature cannot be checked: {error}") from None
    if done.returncode:
        raise BundleError(f"the bundle's signature is wrong: it was altered ({_reason(done)})")
    return signer


def allowed_signer(key: str | os.PathLike[str], who: str = "") -> str:
    """The line of `allowed_signers` for a key, of which the public half lies in `KEY.pub`.

    `who` is a name for its owner (default: the key's own comment, as `anna@laptop`).

    Raises:
        InputError: there is no public key of that name, or it is no Ed25519 key.
    """
    path = Path(key)
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        words = public.read_text("ascii").split()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{public}: cannot be read ({reason})") from None
    if len(words) < 2 or words[0] not in _KEYS or not _is_base64(words[1]):
        raise InputError(f"{public}: is no Ed25519 key: make one with `ssh-keygen -t ed25519`")
    if not who:  # characters that stand for others in a list of names are none of a name
        named = len(words) == 3 and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}", words[2])
        who = words[2] if named else "edgernn"
    return f'{who} namespaces="{NAMESPACE}" {words[0]} {words[1]}\n'


def key_type(signature: bytes) -> str:
    """The type of the key that an armoured signature says it was made with.

    Raises:
        BundleError: it is no SSH signature.
    """
    try:
        lines = signature.decode("ascii").split("\n")
        body = "".join(lines[1:-2])
        if lines[0] != _BEGIN or lines[-2:] != [_FINISH, ""] or not _is_base64(body):
            raise ValueError
        blob = base64.b64decode(body)
        # "SSHSIG", version, then the public key, which begins with its type.
        magic, version, size, length = struct.unpack_from(">6sIII", blob)
        if magic != b"SSHSIG" or version != 1 or not 0 < length <= min(size, 64):
            raise ValueError
        return blob[18 : 18 + length].decode("ascii")
    except (ValueError, IndexError, struct.error):
        raise BundleError("the bundle's signature is damaged") from None


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _keygen(
    arguments: list[str], stdin: int, environment: dict[str, str], seconds: float
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen", path=environment.get("PATH"))
    if program is None:
        raise MissingDependencyError(
            "ssh-keygen is not on the PATH; install with: apt-get install openssh-client"
        )
    os.lseek(stdin, 0, os.SEEK_SET)
    try:
        return subprocess.run(
            [program, *arguments],
            stdin=stdin,
            capture_output=True,
            env=environment,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"ssh-keygen did not answer in {seconds:.0f} s") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().split("\n")
    line = "".join(c if c.isprintable() else "?" for c in said[-1])
    return line[:160] or f"ssh-keygen ended with {done.returncode}"
