"""The device's side as commands that answer with lines of JSON.

`{"step": …}` tells what is done, `{"line": …}` is text that was asked for; the last line is
`{"result": …}` or `{"error": …}`. It comes over ssh as a zip archive that is never stored; see
targets/pi/device_tool.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgernn.bundles.manifest import is_name
from edgernn.errors import DeviceError, EdgernnError
from edgernn.releases import supervisor
from edgernn.releases.facts import facts
from edgernn.releases.install import install
from edgernn.releases.store import Store
from edgernn.releases.switching import recover, remove, rollback, switch
from edgernn.service.client import ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with an error as the last line."""
    chosen = _parser().parse_args(arguments)
    os.umask(0o022)  # whatever root's is: the service runs as another user
    root = Path(os.environ.get("EDGERNN_ROOT") or "/")
    try:
        result = _COMMANDS[chosen.command](root, chosen)
    except BrokenPipeError:
        return 1  # nobody listens any more
    except EdgernnError as error:
        result = {"error": str(error)}
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        result = {"error": f"{place}{(error.strerror or str(error)).lower()}"}
    with contextlib.suppress(OSError):
        _say(result if "error" in result else {"result": result})
    return 1 if "error" in result else 0


def _deploy(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    store = Store(root, chosen.name)
    with store.lock():
        recover(store, _tell_anyway)
        report = install(
            store,
            sys.stdin.buffer,
            offline=chosen.offline,
            no_downgrade=chosen.no_downgrade,
            signer=chosen.signer,
            tell=_tell,
        )
        # From here on it goes to its end, also if nobody listens any more.
        switch(store, report["release"], _tell_anyway)
        return {**report, "removed": store.prune(), "status": supervisor.ask(store)}


def _facts(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    return facts(root, chosen.name)


def _status(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    folder = root / "opt/edgernn"
    # The folder of a service whose first deployment failed has no release.
    there = (Store(root, path.name) for path in sorted(folder.glob("*/")) if is_name(path.name))
    names = [chosen.name] if chosen.name else [store.name for store in there if store.releases()]
    services = {}
    for name in names:
        store = Store(root, name)
        if not store.releases():
            raise DeviceError(f"no service {name} was deployed there")
        services[name] = {
            "active": supervisor.active(store),
            "current": store.read("current"),
            "previous": store.read("previous"),
            "releases": store.releases(),
            "interrupted": (store.base / "switching").exists(),
            "status": supervisor.ask(store),
        }
    return services


def _rollback(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    store = _existing(root, chosen.name)
    with store.lock():
        recover(store, _tell_anyway)
        return {"release": rollback(store, _tell_anyway), "status": supervisor.ask(store)}


def _remove(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    store = _existing(root, chosen.name)
    with store.lock():
        remove(store, chosen.purge)
    return {"removed": chosen.name, "purged": chosen.purge}


def _logs(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    store = _existing(root, chosen.name)
    if chosen.events:
        for event in supervisor.request(store.socket, f"logs {chosen.lines}"):
            if not event:
                raise DeviceError(f"{chosen.name}: the service does not answer; see its status")
            if "error" in event:
                raise DeviceError(str(event["error"]))
            _say({"line": json.dumps(event)})
        return {}
    command = ["journalctl", "--quiet", "--no-pager", "--unit", store.unit]
    command += ["--lines", str(chosen.lines), "--output", "short-iso"]
    try:
        journal = subprocess.Popen(
            [*command, *(["--follow"] if chosen.follow else [])], stdout=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        raise DeviceError("the device has no journal: there is no journalctl") from None
    try:
        for line in journal.stdout or ():
            _say({"line": line.rstrip("\n")})
    finally:
        journal.kill()
        journal.wait()
    return {}


def _ask(root: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    for line in ask(_existing(root, chosen.name).socket, chosen.request):
        said = line.decode("utf-8", "replace").rstrip("\n")
        if said.startswith('{"error":'):
            raise DeviceError(str(json.loads(said)["error"]))
        _say({"line": said})
    return {}


_COMMANDS: Mapping[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "ask": _ask,
    "deploy": _deploy,
    "facts": _facts,
    "logs": _logs,
    "remove": _remove,
    "rollback": _rollback,
    "status": _status,
}


def _existing(root: Path, name: str) -> Store:
    store = Store(root, name)
    if not store.base.is_dir():
        raise DeviceError(f"no service {name} was deployed there")
    return store


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgernn.releases")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("--name", default="", required=name != "status")
        if name == "deploy":
            command.add_argument("--offline", action="store_true")
            command.add_argument("--no-downgrade", action="store_true")
            command.add_argument("--signer", default="")
        elif name == "ask":
            command.add_argument("--request", required=True)
        elif name == "remove":
            command.add_argument("--purge", action="store_true")
        elif name == "logs":
            command.add_argument("--lines", type=int, default=50)
            command.add_argument("--follow", action="store_true")
            command.add_argument("--events", action="store_true")
    return parser


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    _say({"step": text})


def _tell_anyway(text: str) -> None:
    with contextlib.suppress(OSError):
        _tell(text)
