"""A service under stress: killed at random moments, fed for a day, and what it costs.

    python benchmarks/service.py --data ../shared/data [--model keyword.tflite] [--kills 50]
        [--hours 24] [--seconds 30] [--debian arm64 armhf] [--cache DIR] [--json FILE]

Without `--model` a spoken-digit GRU is trained first. Killed: the state and the event log must be
readable each time, no event that the journal knew may be missing, and no more of the stream be lost
than the settings say. Fed: a stream of words through a pipe, as fast as the service takes it; its
memory must stay where it is. Costs: the recording at its own pace, with the library of generated C
and with LiteRT, here and in Debian roots of other machines under qemu-user.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.pipeline import digits, keyword_model, strung
from benchmarks.service_bench import Bench, drain
from benchmarks.service_kills import killed
from edgernn.errors import EdgernnError
from edgernn.model import load
from edgernn.service.client import ask
from edgernn.service.settings import LogSettings

SETTLED = 1.0
"""Hours after which memory has to stay."""
GROWTH = 2 << 20
"""Bytes by which it may differ from then on."""


def fed(
    bench: Bench, words: dict[str, list[Any]], hours: float, backend: str, progress: Progress
) -> dict[str, Any]:
    """Hours of words through a pipe, with everything on that could grow."""
    bench.settings(
        "stdin:int16",
        backend=backend,
        keep_state=True,
        snapshot_seconds=1,
        log=LogSettings(1 << 18, 1.0),
        publish=("events.jsonl",),
    )
    minutes = np.concatenate([strung(words, 60.0, seed)[0] for seed in range(30)]).tobytes()
    task = progress.add_task("fed", total=hours)
    memory: list[tuple[float, int]] = []
    with bench.running(stdin=subprocess.PIPE) as process:
        threading.Thread(target=drain, args=(process,), daemon=True).start()
        bench.status()
        threading.Thread(target=_watch, args=(bench,), daemon=True).start()
        assert process.stdin is not None
        begun, given, total = time.monotonic(), 0, round(hours * 3600 * bench.rate * 2)
        while given < total:
            part = minutes[: total - given]
            process.stdin.write(part)
            given += len(part)
            found = bench.status()
            memory.append((found["seconds"] / 3600, found["memory"]))
            progress.update(task, completed=memory[-1][0])
        while (found := bench.status())["seconds"] < hours * 3600 - 10:
            time.sleep(0.1)
        took = time.monotonic() - begun
    settled = [size for hour, size in memory if hour >= min(SETTLED, hours / 2)] or [0]
    return {
        "hours": hours,
        "seconds": took,
        "frames": found["frames"],
        "events": found["events"],
        "log_bytes": found["log"]["bytes"],
        "memory": [(round(hour, 2), size) for hour, size in memory],
        "lowest": min(settled),
        "highest": max(settled),
        "overruns": found["overruns"],
    }


def _watch(bench: Bench) -> None:
    """Clients come and go."""
    with suppress(EdgernnError, OSError):
        while True:
            for count, _ in enumerate(ask(bench.places.socket, "watch", 60.0)):
                if count > 2000:
                    break


def show(console: Console, found: dict[str, Any]) -> bool:
    """Print everything; whether all held."""
    held = True
    if kills := found.get("killed"):
        console.print(
            f"killed {kills['kills']} times: {kills['unreadable']} unreadable, "
            f"{kills['missing_events']} of {kills['events']} events missing, the state taken up "
            f"{kills['restored']} times, at most {kills['lost']:.2f} s of the stream lost "
            f"({kills['allowed']:g} s said)"
        )
        held = not kills["unreadable"] and not kills["missing_events"]
        held = held and kills["lost"] <= kills["allowed"]
    if day := found.get("fed"):
        table = Table("simulated hour", "memory, MB", title="Memory")
        step = max(1, len(day["memory"]) // 12)
        for hour, size in day["memory"][::step]:
            table.add_row(f"{hour:.1f}", f"{size / 1e6:.2f}")
        console.print(table)
        speed, low, high = (
            day["hours"] * 3600 / day["seconds"],
            day["lowest"] / 1e6,
            day["highest"] / 1e6,
        )
        console.print(
            f"{day['hours']:g} hours in {day['seconds']:.0f} s ({speed:.0f} times real time): "
            f"{day['frames']:,} frames, {day['events']:,} events, event log {day['log_bytes']:,} "
            f"bytes; memory {low:.2f} to {high:.2f} MB behind the first hour"
        )
        held = held and day["highest"] - day["lowest"] <= GROWTH
    if costs := found.get("costs"):
        table = Table("where", "backend", "CPU", "memory, MB", "longest block, ms")
        for row in costs:
            table.add_row(
                row["where"],
                row["backend"],
                f"{100 * row['cpu']:.1f} %",
                f"{row['memory'] / 1e6:.1f}",
                f"{1000 * row['slowest']:.1f}",
            )
        console.print(table)
    return held


def _known(words: dict[str, list[Any]], model: Path) -> dict[str, list[Any]]:
    """The words that the model calls by name, so that there are events."""
    labels = load(model).labels
    return {word: takes for word, takes in words.items() if word in labels} or words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, help="a keyword model for sound of 8 kHz")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--backend", default="native", help="what the hours are fed to")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each cost; 0 for none")
    parser.add_argument("--debian", nargs="*", default=[], help="arm64, armhf: costs there, too")
    parser.add_argument("--cache", type=Path, help="folder that keeps the Debian roots")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, Progress(console=Console(stderr=True)) as progress:
        folder = Path(name)
        words = digits(given.data / "spoken-digits")
        model = given.model
        if model is None:
            model = folder / "keyword.tflite"
            keyword_model(given.data / "spoken-digits", 4)[0].save(model)
        bench = Bench(folder, model, strung(_known(words, model), 60.0, 1)[0])
        from targets.native import build_host

        build_host(load(model).data, bench.release / "host.so")
        if given.kills:
            found["killed"] = killed(bench, given.kills, progress)
        if given.hours:
            found["fed"] = fed(bench, words, given.hours, given.backend, progress)
        if given.seconds:
            from benchmarks.service_costs import cost, cost_under_qemu

            found["costs"] = [cost(bench, b, given.seconds) for b in ("native", "litert")]
            cache = given.cache or folder / "debian"
            cache.mkdir(exist_ok=True)
            for architecture in given.debian:
                found["costs"] += cost_under_qemu(bench, architecture, cache, given.seconds)
    held = show(console, found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
