"""`edgernn monitor`: what a device hears and how busy it is, live in the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from edgernn.link.device import Device
    from edgernn.link.messages import Content, DeviceEvent, Load, Scores


@click.command()
@click.argument("host", required=False)
@click.option("--port", help="Serial port of the device, for example /dev/ttyACM0.")
@click.option("--baud", default=115_200, show_default=True, help="Its speed.")
@click.option(
    "--emulate", type=click.Path(path_type=Path), metavar="FILE", help="This model in QEMU instead."
)
@click.option("--board", help="With --emulate: the board.")
@click.option("--name", help="With HOST: the service (default: the only one there).")
@click.option(
    "--ssh-config", type=click.Path(path_type=Path), help="With HOST: in place of ~/.ssh/config."
)
@click.option("--seconds", type=float, help="End after so long (default: with Ctrl-C).")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, as where stdout is no terminal.")
def command(
    host: str | None,
    port: str | None,
    baud: int,
    emulate: Path | None,
    board: str | None,
    name: str | None,
    ssh_config: Path | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Show events, scores and load of a board, or of a service on a Linux device (USER@HOST).

    \b
    edgernn monitor --port /dev/ttyACM0
    edgernn monitor pi@raspberrypi.local
    edgernn monitor --emulate model.tflite --board mps2-an386
    """
    from edgernn.cli.lines import check, connected
    from edgernn.link.messages import Wanted

    check(host, port, emulate, board, (name, ssh_config))
    if host is not None:
        from edgernn.cli.monitor_host import monitor_host

        monitor_host(host, name, ssh_config, seconds, as_json or not sys.stdout.isatty())
        return
    with connected(port, baud, emulate, board) as device:
        wanted = Wanted.STATUS
        if device.hello.sensor:
            wanted |= Wanted.SCORES | Wanted.EVENTS
        elif device.hello.sample is not None:
            click.echo("edgernn: the device has no sensor: only its load is shown", err=True)
        device.start(wanted)
        try:
            contents = device.listen(float("inf") if seconds is None else seconds)
            if as_json or not sys.stdout.isatty():
                _print(device, contents)
            else:
                _show(device, contents, emulate is not None)
        except KeyboardInterrupt:
            pass
        finally:
            device.stop()


def _print(device: Device, contents: Iterator[Content]) -> None:
    """One JSON line a message."""
    for content in contents:
        print(json.dumps(told(device, content)), flush=True)


def told(device: Device, content: Content) -> dict[str, Any]:
    """A message as JSON, in real units."""
    from edgernn.link.messages import DeviceEvent, Load, Scores, SelfTest

    hello = device.hello
    if isinstance(content, Scores):
        values = hello.prediction.real(hello.prediction.parse(content.raw)).ravel()
        rounded = [round(float(v), 4) for v in values]
        names = [hello.label(i) for i in range(len(rounded))]
        return {"time": content.time_us / 1e6, "scores": dict(zip(names, rounded, strict=True))}
    if isinstance(content, DeviceEvent):
        return {
            "event": "on" if content.phase else "off",
            "label": _label(device, content),
            "score": round(content.score * hello.score_unit, 4),
            "start": content.start_us / 1e6,
            "end": content.end_us / 1e6,
        }
    if isinstance(content, Load):
        micro = 1e6 / hello.ticks
        return {
            **{k: v for k, v in asdict(content).items() if not k.endswith("_ticks")},
            "step_us": round(content.last_ticks * micro, 1),
            "mean_us": round(content.total_ticks * micro / max(content.steps, 1), 1),
            "worst_us": round(content.worst_ticks * micro, 1),
            "lost_on_the_line": device.lost,
        }
    if isinstance(content, SelfTest):
        return {"boot": "self-test " + ("passed" if content.passed else "FAILED")}
    return {"message": type(content).__name__}


def _label(device: Device, event: DeviceEvent) -> str:
    return device.hello.label(event.label) if device.hello.labels else "anomaly"


class _Screen:
    """The newest of everything."""

    def __init__(self, device: Device, emulated: bool) -> None:
        self.device, self.emulated = device, emulated
        self.events: deque[dict[str, Any]] = deque(maxlen=8)
        self.scores: Scores | None = None
        self.load: Load | None = None

    def take(self, content: Content) -> None:
        """Remember what is to be shown."""
        from edgernn.link.messages import DeviceEvent, Load, Scores

        if isinstance(content, Scores):
            self.scores = content
        elif isinstance(content, Load):
            self.load = content
        elif isinstance(content, DeviceEvent):
            self.events.append(told(self.device, content))

    def render(self) -> RenderableType:
        """All of it."""
        from rich.console import Group
        from rich.text import Text

        from edgernn.cli.monitor_tables import events_table, scores_table

        hello = self.device.hello
        title = f"{hello.name} on {hello.board} ({hello.core}), model {hello.model[:12]}"
        parts: list[RenderableType] = [Text(title, style="bold")]
        if self.scores is not None:
            shown = told(self.device, self.scores)
            parts.append(scores_table(shown["time"], shown["scores"], bool(hello.labels)))
        if hello.score_unit:
            parts.append(events_table(self.events))
        if self.load is not None:
            parts.append(self._load(self.load))
        return Group(*parts)

    def _load(self, load: Load) -> RenderableType:
        from rich.table import Table

        from edgernn.cli.profile import bar

        hello, device = self.device.hello, self.device
        micro = 1e6 / hello.ticks
        mean = load.total_ticks * micro / max(load.steps, 1)
        table = Table(show_header=False, title="Load", title_justify="left")
        step = f"{mean:,.1f} µs, at most {load.worst_ticks * micro:,.1f} µs"
        table.add_row("step", step + (" of this computer" if self.emulated else ""))
        if hello.frame_rate:
            table.add_row("busy", bar(mean * hello.frame_rate / 1e6, 30))
        table.add_row("overruns", f"{load.overruns:,} of {load.steps:,} steps")
        if load.stack_size:
            table.add_row("stack", bar(load.stack / load.stack_size, 30))
            table.add_row("", f"{load.stack:,} of {load.stack_size:,} bytes at most")
        table.add_row("lost", f"{load.lost:,} on the device, {device.lost:,} on the line")
        table.add_row("damaged", f"{load.damaged:,} frames there, {device.damaged:,} here")
        return table


def _show(device: Device, contents: Iterator[Content], emulated: bool) -> None:
    """A screen that is drawn anew a few times a second."""
    from rich.console import Console
    from rich.live import Live

    screen, drawn = _Screen(device, emulated), 0.0
    with Live(screen.render(), console=Console(), auto_refresh=False) as live:
        for content in contents:
            screen.take(content)
            if time.monotonic() - drawn > 0.2:
                drawn = time.monotonic()
                live.update(screen.render(), refresh=True)
        live.update(screen.render(), refresh=True)
