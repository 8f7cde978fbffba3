"""Runs `edgernn.releases` on a device that need not have edgernn: its code travels over ssh.

The device's Python is started with a few lines that read the code, as a zip archive, from stdin
into memory and run it from there; what follows on stdin is the bundle. Nothing is stored on the
device that would have to be removed again, and it always fits this side.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from edgernn.errors import DeviceError
from targets.pi.remote import Remote

Tell = Callable[[str], None]

# Python 2 and old versions of 3 can read this, and say what is missing.
_LOADER: Final = """
import sys
if sys.version_info < (3, 10):
    sys.exit("edgernn: Python %d.%d is there, 3.10 or newer is needed" % sys.version_info[:2])
import os
size = int(sys.argv.pop(1))
code = sys.stdin.buffer.read(size)
if len(code) < size:
    sys.exit("edgernn: the connection was lost")
memory = os.memfd_create("edgernn")
with open(memory, "wb", closefd=False) as file:
    file.write(code)
sys.path.insert(0, "/proc/self/fd/%d" % memory)
from edgernn.releases.tool import main
sys.exit(main())
""".strip()

_AS_ROOT: Final = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n -- "$@"; fi'

_CODE: Final = tuple(
    f"edgernn/{name}.py"
    for name in ("__init__", "errors", "files", "service/__init__", "service/client")
)
_PACKAGES: Final = ("edgernn/bundles", "edgernn/releases")
_STEP_SECONDS: Final = 180.0
"""For a command that only asks; a small device that is busy takes long to start Python."""


def call(
    remote: Remote,
    arguments: Iterable[str],
    *,
    bundle: Path | None = None,
    tell: Tell = lambda text: None,
    line: Tell = lambda text: None,
    seconds: float | None = _STEP_SECONDS,
) -> dict[str, Any]:
    """Run a command of `edgernn.releases.tool` on the device; its result.

    It runs as root, through `sudo -n` if the login is another. `tell` is called with each step,
    `line` with each line of text that was asked for.

    Raises:
        DeviceError: the connection failed, sudo or Python is not to be had, or the command says so.
    """
    code = archive()
    python = ["python3", "-I", "-c", _LOADER, str(len(code)), *arguments]
    found: dict[str, Any] = {}

    def read(text: str) -> None:
        try:
            said = _plain(json.loads(text))
        except (ValueError, RecursionError):
            return  # what a login shell prints
        if not isinstance(said, dict):
            return
        if "step" in said:
            tell(str(said["step"]))
        elif "line" in said:
            line(str(said["line"]))
        else:
            found.update(said)

    reply = remote.run(["sh", "-c", _AS_ROOT, "sh", *python], _feed(code, bundle), read, seconds)
    if "error" in found:
        raise DeviceError(f"{remote.host}: {found['error']}")
    if not isinstance(found.get("result"), dict):
        raise DeviceError(f"{remote.host}: {_explain(reply.code, reply.errors)}")
    result: dict[str, Any] = found["result"]
    return result


def _plain(said: Any) -> Any:
    """What a device says, without characters that would tell the user's terminal what to do."""
    if isinstance(said, str):
        return "".join(c if c.isprintable() or c == "\t" else "?" for c in said)
    if isinstance(said, list):
        return [_plain(one) for one in said]
    if isinstance(said, dict):
        return {_plain(key): _plain(value) for key, value in said.items()}
    return said


def _explain(code: int, errors: str) -> str:
    """Why there was no answer."""
    said = errors.splitlines()[-1].strip() if errors else f"the command ended with {code}"
    if said.startswith("sudo:") or (code == 127 and "sudo" in said):
        return (
            f"{said}; root is needed there, by sudo without a password or a login as root: see "
            "docs/raspberry-pi.md"
        )
    if code == 127:
        return f"{said}; install it there: sudo apt install python3 python3-pip"
    return said.removeprefix("edgernn: ")


def _feed(code: bytes, bundle: Path | None) -> Iterator[bytes]:
    yield code
    if bundle is not None:
        with open(bundle, "rb") as file:
            while part := file.read(1 << 16):
                yield part


@functools.cache
def archive() -> bytes:
    """The code of the device's side, as a zip archive."""
    import edgernn

    top = Path(edgernn.__file__).parent.parent
    paths = [top / name for name in _CODE]
    paths += [path for name in _PACKAGES for path in sorted((top / name).glob("*.py"))]
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        for path in paths:
            file.write(path, path.relative_to(top).as_posix())
    return memory.getvalue()
