"""`edgernn monitor USER@HOST`: what a service on a Linux device hears, live in the terminal."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


class _Enough(Exception):  # noqa: N818
    """The time is over."""


def monitor_host(
    host: str, name: str | None, ssh_config: Path | None, seconds: float | None, as_json: bool
) -> None:
    """Show what it tells, for so long or until Ctrl-C; the lines themselves if `as_json`."""
    from rich.console import Console
    from rich.live import Live

    from edgernn.cli.service_answers import answer

    screen, begin, drawn = _Screen(), 0.0, 0.0
    live = Live(console=Console(), auto_refresh=False)

    def take(line: dict[str, Any]) -> None:
        nonlocal begin, drawn
        begin = begin or time.monotonic()
        if seconds is not None and time.monotonic() - begin > seconds:
            raise _Enough
        if as_json:
            print(json.dumps(line), flush=True)
        else:
            screen.take(line)
            if time.monotonic() - drawn > 0.2:
                drawn = time.monotonic()
                live.update(screen.render(), refresh=True)

    try:
        if as_json:
            answer(host, name, ssh_config, "watch", take)
        else:
            with live:
                answer(host, name, ssh_config, "watch", take)
    except (_Enough, KeyboardInterrupt):
        pass


class _Screen:
    """The newest of everything."""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {}
        self.scores: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=8)
        self.lost = 0

    def take(self, line: dict[str, Any]) -> None:
        """Remember what is to be shown."""
        if "event" in line:
            self.events.append(line)
        elif "scores" in line:
            self.scores = line
        elif "lost" in line:
            self.lost += line["lost"]
        else:
            self.hello = line.get("hello", self.hello)
            self.status = line.get("status", self.status)

    def render(self) -> RenderableType:
        """All of it."""
        from rich.console import Group
        from rich.text import Text

        from edgernn.cli.monitor_tables import events_table, scores_table

        hello = self.hello
        title = f"{hello.get('name', '')} on {hello.get('backend', '')}"
        model = f"release {hello.get('release', '')}, model {hello.get('model', '')[:12]}"
        parts: list[RenderableType] = [Text(f"{title}, {model}", style="bold")]
        if self.scores:
            labelled = bool(hello.get("labels"))
            parts.append(scores_table(self.scores["time"], self.scores["scores"], labelled))
        if hello.get("detector"):
            parts.append(events_table(self.events))
        if self.status:
            parts.append(self._load(self.status))
        return Group(*parts)

    def _load(self, status: dict[str, Any]) -> RenderableType:
        from rich.table import Table

        from edgernn.cli.profile import bar

        table = Table(show_header=False, title="Load", title_justify="left")
        source, heat = status["input"], status["temperature"]
        table.add_row("state", status["state"])
        failed = f", {source['failures']:,} failures" if source["failures"] else ""
        table.add_row("input", f"{source['spec']}: {source['state']}{failed}")
        table.add_row("busy", bar(status["load"], 30))
        table.add_row("overruns", f"{status['overruns']:,} of {status['frames']:,} frames")
        table.add_row("memory", f"{status['memory'] / 1e6:,.1f} MB")
        if heat is not None:
            table.add_row("heat", f"{heat:.1f} °C")
        counters = {**status["counters"], "lines lost on the way": self.lost}
        for what, count in counters.items():
            if count:
                table.add_row(what.replace("_", " "), f"{count:,}")
        if status["last_error"]:
            table.add_row("last error", status["last_error"]["text"])
        return table
