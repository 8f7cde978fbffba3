"""`python -m edgernn.service`: what a unit starts on the device, and what asks it."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgernn.errors import EdgernnError, InputError

if TYPE_CHECKING:
    from edgernn.service.places import Places


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 a check failed or nobody answers, 2 the settings or the model are wrong."""
    parser = argparse.ArgumentParser(prog="python -m edgernn.service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "run a release until SIGTERM"),
        ("check", "test a release on this machine; prints one line of JSON"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("release", type=Path, help="folder of a release")
        one.add_argument("--name", help="the service's name, if the release has no manifest")
        one.add_argument("--root", help="where all paths begin (default: $EDGERNN_ROOT, or /)")
    for name, text in (
        ("status", "how a running service is, as one line of JSON"),
        ("ask", "any request: status, reload, logs N, watch, record SECONDS"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("name")
        one.add_argument("--root", help="where all paths begin (default: $EDGERNN_ROOT, or /)")
    one.add_argument("request", nargs="+")
    given = parser.parse_args(arguments)
    try:
        if given.command == "run":
            return _run(given.release, given.name, given.root)
        if given.command == "check":
            return _check(given.release, given.name, given.root)
        request = ["status"] if given.command == "status" else given.request
        return _ask(given.name, given.root, request)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (EdgernnError, OSError) as error:
        _complain(str(error))
        return 1 if given.command in ("status", "ask") else 2


def _run(folder: Path, name: str | None, root: str | None) -> int:
    from edgernn.service import journal
    from edgernn.service.loop import Service
    from edgernn.service.places import read_release, running_places
    from edgernn.service.settings import FILE, read_settings

    release = read_release(folder, name)
    places = running_places(release.name, root)
    settings = read_settings(release.folder / FILE, places.override)
    lock = _lock(places)
    journal.take_logging()
    service = Service(release, settings, places)
    try:
        return service.run()
    except EdgernnError:
        raise
    except Exception:
        for line in traceback.format_exc().splitlines():
            journal.say(journal.ERROR, line)
        return 1
    finally:
        os.close(lock)


def _lock(places: Places) -> int:
    """Two services of one name would write to the same files."""
    lock = os.open(places.state / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{places.name}: is running already, in {places.state}") from None
    return lock


def _check(folder: Path, name: str | None, root: str | None) -> int:
    from edgernn.service.check import check

    result = check(folder, name, root)
    print(json.dumps(result), flush=True)
    return 0 if result["ok"] else 1


def _ask(name: str, root: str | None, request: list[str]) -> int:
    from edgernn.service.client import ask
    from edgernn.service.places import places

    failed = False
    for line in ask(places(name, root).socket, " ".join(request)):
        if line.startswith(b'{"error":'):
            failed = True
            _complain(json.loads(line)["error"])
            continue
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    return int(failed)


def _complain(text: str) -> None:
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    print(f"edgernn: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
