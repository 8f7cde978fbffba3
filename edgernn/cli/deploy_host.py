"""`edgernn deploy FILE USER@HOST`: a model onto a Raspberry Pi or another Linux device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgernn.service.settings import Settings
    from targets.pi.deploying import Deployed


def deploy_host(
    file: Path,
    host: str,
    *,
    name: str | None,
    native: bool | None,
    offline: bool,
    sign: Path | None,
    no_downgrade: bool,
    memory: int | None,
    cpu: int | None,
    ssh_config: Path | None,
    **chosen: Any,
) -> int:
    """Deploy and say what came of it; the arguments are the options of the command."""
    from rich.console import Console

    from targets.pi.deploying import deploy
    from targets.pi.unit import Limits

    given = {"memory_mib": memory, "cpu_percent": cpu}
    limits = Limits(**{key: value for key, value in given.items() if value is not None})
    settings = chosen_settings(**chosen)
    console = Console(stderr=True, highlight=False, markup=False)
    with console.status("Connecting …") as status:

        def tell(text: str) -> None:
            console.print(text, style="dim", soft_wrap=True)
            status.update(f"{text[:1].upper()}{text[1:]} …")

        done = deploy(
            file,
            settings,
            host,
            name=name,
            native=native,
            offline=offline,
            key=sign,
            no_downgrade=no_downgrade,
            limits=limits,
            config=ssh_config,
            tell=tell,
        )
    _show(host, done)
    return 0


def chosen_settings(
    *,
    settings: Path | None,
    source: str | None,
    options: tuple[str, ...],
    publish: tuple[str, ...],
    keep_state: bool,
    view: int | None,
) -> Settings:
    """The settings of a file, with what was chosen on the command line in their place.

    Raises:
        InputError: a field is wrong or missing.
    """
    from edgernn.cli.run import read_options
    from edgernn.configuration import read_configuration
    from edgernn.service.settings import parse_settings

    found = dict(read_configuration(settings)) if settings is not None else {}
    if source is not None:
        found["input"] = source
    if options:
        found["options"] = {**found.get("options", {}), **read_options(options)}
    if publish:
        found["publish"] = list(publish)
    if keep_state:
        found["keep_state"] = True
    if view is not None:
        found["view"] = {**found.get("view", {}), "port": view}
    if "input" not in found:
        raise click.UsageError("where do samples come from there? add --input, as microphone:")
    return parse_settings(found, str(settings) if settings is not None else "the options")


def _show(host: str, done: Deployed) -> None:
    """What runs there now."""
    name, check = done.status.get("name", ""), done.check
    click.echo(f"{name} runs on {host}: release {done.release}")
    tried = [one for one in check.get("attempts", ()) if not one.get("error")]
    for one in tried:
        if not one.get("steps"):
            click.echo(f"no self-test: the model has no golden sequence; {one['backend']} runs it")
            continue
        exact = "every value exact" if one["difference"] == 0 else (
            f"largest difference {one['difference']:g}, tolerance {one['tolerance']:g}"
        )  # fmt: skip
        click.echo(
            f"self-test passed there with {one['backend']}: {one['steps']} steps, {exact}, "
            f"{one['step_us']:,.1f} µs a step"
        )
    source = done.status.get("input", {})
    if source.get("state") != "open":
        reason = source.get("error") or "it is not open yet"
        click.echo(f"edgernn: it waits for its input, {source.get('spec')}: {reason}", err=True)
    if done.signer:
        click.echo(f"signed by {done.signer}")
    click.echo(f"edgernn device status {host} --name {name}    # how it is", err=True)
