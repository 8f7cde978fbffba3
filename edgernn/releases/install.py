"""From a bundle to a whole release on the device, which has passed its self-test there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from edgernn.bundles.archive import Bundle, extract, read_bundle
from edgernn.bundles.policy import accept
from edgernn.errors import BundleError, DeviceError
from edgernn.files import sync_folder, write_atomically
from edgernn.releases.environment import make_environment, python_of
from edgernn.releases.store import Store

Tell = Callable[[str], None]

CHECK_SECONDS: Final = 300
"""For a self-test, the start of Python on a small device included."""


def install(
    store: Store,
    stream: BinaryIO,
    *,
    offline: bool,
    no_downgrade: bool = False,
    signer: str = "",
    tell: Tell,
) -> dict[str, Any]:
    """Install a bundle beside the other releases, under the lock; what its self-test said.

    The release gets its name when everything is there, checked, tested and on the disk. `signer` is
    the line of a key: a device that trusts none yet takes signatures of this one only from now on.

    Raises:
        BundleError: the bundle is damaged or refused.
        DeviceError: its environment cannot be made, or the self-test failed; nothing has changed.
    """
    bundle = read_bundle(stream)
    with _trusting(store, signer) as signers:
        who = accept(
            bundle,
            name=store.name,
            installed=store.manifests(),
            allowed_signers=signers,
            no_downgrade=no_downgrade,
        )
        tell(f"signed by {who}" if who else "no signature is needed")
        return {"signer": who, **_installed(store, bundle, offline, tell)}


def _installed(store: Store, bundle: Bundle, offline: bool, tell: Tell) -> dict[str, Any]:
    release, extras = bundle.manifest.release, bundle.manifest.extras
    place = store.release(release)
    if place.exists():
        raise BundleError(f"the release {release} is there already: make a new bundle")
    fresh = store.folder / f".{release}.new"
    try:
        tell("receiving the release")
        extract(bundle, fresh)
        tell("making its Python environment")
        make_environment(fresh, extras, offline)
        tell("testing it on the device")
        report = check(fresh, store.root)
        # The self-test ran as root, so Python kept what it compiled: the service starts faster.
        os.sync()
        os.rename(fresh, place)
        sync_folder(store.folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return {"release": release, "check": report}


def check(release: Path, root: Path) -> dict[str, Any]:
    """Replay the golden sequence with the release's own Python, interpreter and library.

    Raises:
        DeviceError: it failed, or there was no answer.
    """
    command = [python_of(release), "-I", "-m", "edgernn.service", "check", str(release)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            env=_environment(root),
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(f"the self-test did not end in {CHECK_SECONDS} seconds") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if done.returncode:
        words = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        reason = str(report.get("error") or report.get("reason") or words)
        raise DeviceError(f"the self-test failed on the device: {reason}")
    return report


def _environment(root: Path) -> dict[str, str]:
    """Ours without what would let the release run with another library than its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EDGERNN_")}
    return {**kept, "EDGERNN_ROOT": str(root)}


@contextlib.contextmanager
def _trusting(store: Store, signer: str) -> Iterator[Path]:
    """Who may sign: a key that is offered counts if none was trusted before.

    It is trusted from now on if the block ends well; a power cut leaves things as they were.
    """
    if not signer or os.path.lexists(store.signers):
        yield store.signers
        return
    offered = store.signers.with_name(".offered")
    write_atomically(offered, f"{signer.rstrip()}\n".encode())
    try:
        yield offered
        os.replace(offered, store.signers)
        sync_folder(store.signers.parent)
    finally:
        offered.unlink(missing_ok=True)
