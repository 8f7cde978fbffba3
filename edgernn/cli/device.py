"""`edgernn device`: the services on a Linux device, after `edgernn deploy`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click


def _common(name: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """HOST, --name and --ssh-config; without `name`, all services are meant where none is named."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--ssh-config", type=click.Path(path_type=Path), help="In place of ~/.ssh/config."
        )(function)
        text = (
            "The service (default: the only one there)." if name else "One service (default: all)."
        )
        function = click.option("--name", help=text)(function)
        return click.argument("host")(function)

    return add


@click.group()
def command() -> None:
    """Look after the services on a Raspberry Pi or another Linux device."""


@command.command()
@_common(name=False)
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def status(host: str, name: str | None, ssh_config: Path | None, as_json: bool) -> int:
    """Say how the services are; exit code 1 if one of them does not run."""
    from targets.pi.remote import connect

    with connect(host, ssh_config) as remote:
        found = _call(remote, ["status", *(["--name", name] if name else [])])
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found:
        click.echo(f"no service of edgernn is on {host}")
    else:
        for one, state in found.items():
            _show(one, state)
    return 0 if found and all(_runs(state) for state in found.values()) else 1


@command.command()
@_common(name=True)
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--events", is_flag=True, help="The event log as JSON lines, instead of the journal.")
def logs(
    host: str, name: str | None, ssh_config: Path | None, lines: int, follow: bool, events: bool
) -> int:
    """Print what a service wrote to the journal."""
    from targets.pi.remote import connect

    if follow and events:
        raise click.UsageError("--follow is for the journal: `edgernn monitor` follows events")
    with connect(host, ssh_config) as remote:
        arguments = ["logs", "--name", only_service(remote, name), "--lines", str(lines)]
        arguments += ["--events"] if events else []
        arguments += ["--follow"] if follow else []
        _call(remote, arguments, line=click.echo, seconds=None if follow else 180.0)
    return 0


@command.command()
@_common(name=True)
def reload(host: str, name: str | None, ssh_config: Path | None) -> int:
    """Let a service read /etc/edgernn/NAME.toml again; wrong settings are refused."""
    from targets.pi.remote import connect

    with connect(host, ssh_config) as remote:
        name = only_service(remote, name)
        said: list[str] = []
        _call(remote, ["ask", "--name", name, "--request", "reload"], line=said.append)
    changed = [field for line in said for field in json.loads(line).get("reloaded", ())]
    click.echo(f"{name}: {'took new ' + ', '.join(changed) if changed else 'nothing has changed'}")
    return 0


@command.command()
@_common(name=True)
def rollback(host: str, name: str | None, ssh_config: Path | None) -> int:
    """Let the release before the current one run again."""
    from targets.pi.remote import connect

    with connect(host, ssh_config) as remote:
        name = only_service(remote, name)
        done = _call(remote, ["rollback", "--name", name], tell=_tell, seconds=600.0)
    click.echo(f"{name} runs release {done['release']} again")
    return 0


@command.command()
@_common(name=True)
@click.option("--purge", is_flag=True, help="Its saved state and event log too.")
def remove(host: str, name: str | None, ssh_config: Path | None, purge: bool) -> int:
    """Stop a service and remove all its releases."""
    from targets.pi.remote import connect

    with connect(host, ssh_config) as remote:
        name = only_service(remote, name)
        arguments = ["remove", "--name", name, *(["--purge"] if purge else [])]
        _call(remote, arguments, tell=_tell, seconds=600.0)
    kept = "" if purge else f"; its state and event log stay in /var/lib/edgernn/{name}"
    click.echo(f"{name} is removed from {host}{kept}")
    return 0


def _call(remote: Any, arguments: list[str], **more: Any) -> dict[str, Any]:
    from targets.pi.device_tool import call

    return call(remote, arguments, **more)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def only_service(remote: Any, name: str | None) -> str:
    """The service that is meant where none is named."""
    from edgernn.errors import InputError

    if name is not None:
        return name
    names = sorted(_call(remote, ["status"]))
    if len(names) != 1:
        known = f"these are there: {', '.join(names)}" if names else "none was deployed there"
        raise InputError(f"{remote.host}: which service? {known}; name one with --name")
    return names[0]


def _runs(state: Mapping[str, Any]) -> bool:
    return bool(state["active"] == "active" and state["status"].get("release") == state["current"])


def _show(name: str, state: Mapping[str, Any]) -> None:
    """A service in a few lines."""
    said = state["status"]
    click.echo(f"{name}: {state['active']}, {said.get('state', 'does not answer')}")
    if said:
        source, heat = said["input"], said["temperature"]
        click.echo(
            f"  model     {said['model'][:12]} on {said['backend']}, edgernn {said['version']}\n"
            f"  input     {source['spec']}: {source['state']}, {source['failures']} failures\n"
            f"  work      {said['frames']:,} frames, {said['events']:,} events in "
            f"{said['uptime']:,.0f} s; {said['overruns']:,} overruns\n"
            f"  load      {said['load']:.1%} of real time, {said['cpu']:.1%} of a core, "
            f"{said['memory'] / 1e6:.0f} MB" + ("" if heat is None else f", {heat:.0f} °C")
        )
        error = said["last_error"]
        click.echo(f"  last error {error['text'] if error else 'none'}")
    other = [release for release in state["releases"] if release != state["current"]]
    click.echo(
        f"  release   {state['current'] or 'none'}; also there: {', '.join(other) or 'none'}"
    )
    if state["interrupted"]:
        click.echo("  a deployment was interrupted: deploy anew, or `edgernn device rollback`")
