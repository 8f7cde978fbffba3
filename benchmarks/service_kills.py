"""A service that is killed at random moments, as by a power cut, and what is found behind each."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from typing import Any

from rich.progress import Progress

from benchmarks.service_bench import Bench
from edgernn.errors import EdgernnError
from edgernn.service.event_log import read_log
from edgernn.service.settings import LogSettings
from edgernn.service.snapshot import read_snapshot

SNAPSHOT = 1.0
SYNC = 1.0


def killed(bench: Bench, count: int, progress: Progress) -> dict[str, Any]:
    """Kill it at random moments; what was found behind each."""
    bench.settings(keep_state=True, snapshot_seconds=SNAPSHOT, log=LogSettings(1 << 18, SYNC))
    chance = random.Random(0)
    lost: list[float] = []
    found = {"kills": count, "unreadable": 0, "missing_events": 0, "restored": 0, "events": 0}
    task = progress.add_task("killed", total=count)
    for _ in range(count):
        heard: list[dict[str, Any]] = []
        begun: list[float] = []

        def listen(
            process: subprocess.Popen[bytes], heard: list[Any] = heard, begun: list[float] = begun
        ) -> None:
            assert process.stdout is not None
            for line in process.stdout:
                if b"listens to" in line:
                    begun.append(time.time())
                elif line.startswith(b"<6>{") and line.endswith(b"\n"):
                    heard.append(json.loads(line[3:]))
                found["restored"] += b"goes on with" in line

        with bench.running() as process:
            listener = threading.Thread(target=listen, args=(process,))
            listener.start()
            while not begun and process.poll() is None and chance.random() < 0.997:
                time.sleep(0.02)  # now and then it does not even start
            time.sleep(chance.uniform(0.0, 4.0))
            os.killpg(process.pid, signal.SIGKILL)
            now = time.time()
            process.wait()
            listener.join()
        try:
            entries, damaged = read_log(bench.places.log)
            saved = read_snapshot(bench.places.snapshot).clock if begun else now
        except FileNotFoundError:
            saved = 0.0  # not one was due yet
        except (EdgernnError, OSError):
            found["unreadable"] += 1
            continue
        found["unreadable"] += damaged
        clocks = {entry["clock"] for entry in entries}
        found["missing_events"] += sum(event["clock"] not in clocks for event in heard)
        found["events"] += len(heard)
        lost.append(now - max(saved, *(begun or [now])))
        progress.advance(task)
    return {**found, "lost": max(lost, default=0.0), "allowed": SNAPSHOT}
