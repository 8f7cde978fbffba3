"""How the service is: what it has done, how busy it is, and what the machine says."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Final

from edgernn.view.tap import Pushed

THERMAL: Final = Path("/sys/class/thermal")
WINDOW: Final = 10
"""Seconds over which the load and the share of the processor are means."""


class Meter:
    """Counts what the loop does; `tick` once a second."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.seconds, self.slowest = 0.0, 0.0
        self.frames = self.events = self.overruns = 0
        self._work = 0.0
        self._marks: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW + 1)
        self.tick()

    def add(self, pushed: Pushed) -> None:
        """A block was pushed."""
        self.seconds += pushed.seconds
        self._work += pushed.work
        self.frames += pushed.frames
        self.events += len(pushed.events)
        self.slowest = max(self.slowest, pushed.work)
        self.overruns += pushed.work > pushed.seconds > 0

    def tick(self) -> None:
        """Remember how far it is."""
        self._marks.append((time.monotonic(), time.process_time(), self._work, self.seconds))

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun

    @property
    def load(self) -> float:
        """Seconds of work for a second of samples."""
        _, _, work, seconds = self._marks[0]
        return (self._work - work) / max(self.seconds - seconds, 1e-9)

    @property
    def cpu(self) -> float:
        """The process's share of one processor."""
        clock, used, _, _ = self._marks[0]
        return (time.process_time() - used) / max(time.monotonic() - clock, 1e-9)


def memory() -> int:
    """Bytes of the process that are in RAM."""
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")


def temperature(folder: Path = THERMAL) -> float | None:
    """°C of the processor, or of the hottest zone if none is called so; None if nothing tells."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for zone in sorted(folder.glob("thermal_zone*")):
        try:
            value = int((zone / "temp").read_text()) / 1000
            kind = (zone / "type").read_text().lower()
        except (OSError, ValueError):
            continue
        found["cpu" in kind].append(value)
    return max(found[True] or found[False], default=None)
