"""When the stream's state is saved, and what of it is used at the next start."""

from __future__ import annotations

import struct
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgernnError
from edgernn.service.snapshot import (
    DAMAGED,
    Snapshot,
    find_snapshot,
    set_aside,
    write_snapshot,
)
from edgernn.sources import Block

if TYPE_CHECKING:
    from edgernn.pipeline import Pipeline

Times = npt.NDArray[np.int64]

EARLY: Final = 0.5
"""Seconds by which a snapshot comes early: as long as nobody may call `tick`, and it may take."""


class Keeper:
    """The saved state of one pipeline; of one thread."""

    def __init__(self, path: Path, pipeline: Pipeline) -> None:
        self.restored, self.failures = "", 0
        self._path, self._pipeline = path, pipeline
        self._period = 1e6 / pipeline.front_end.rate
        self._last = -1
        self._shift: int | None = 0
        """Added to the source's times; None until its first block says how much."""
        self._saved = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last snapshot, or since the start."""
        return time.monotonic() - self._saved

    def restore(self) -> str:
        """Go on with the saved state, if there is one of this model; says what became of it."""
        found, note = find_snapshot(self._path, self._pipeline.model.hash)
        if found is None:
            return note
        try:
            self._pipeline.restore(found.blob)
        except (
            EdgernnError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            struct.error,
        ) as e:
            self._pipeline.reset()
            return set_aside(self._path, DAMAGED, str(e))
        self._last, self._shift = found.last, None
        taken = datetime.fromtimestamp(found.clock, timezone.utc)
        self.restored = taken.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"goes on with the state of {self.restored}"

    def give_up(self, reason: str) -> str:
        """The state that was restored is not to be used again; says so, if there was one."""
        return set_aside(self._path, DAMAGED, reason) if self.restored else ""

    def begin(self) -> None:
        """A source was opened anew behind a gap: so does everything else begin."""
        self._pipeline.reset()
        self._last, self._shift = -1, 0

    def continued(self, block: Block) -> Block:
        """A block whose times go on behind those of the saved state."""
        if block.times is None or not len(block.times):
            return block
        if self._shift is None:  # the clock of many sources begins at 0 with each start
            first = int(block.times[0])
            behind = self._last >= 0 and first <= self._last
            self._shift = self._last + round(self._period) - first if behind else 0
        times: Times = block.times + self._shift if self._shift else block.times
        self._last = int(times[-1])
        return Block(block.samples, times)

    def tick(self, seconds: float) -> str:
        """Save if it is time to, once in so many seconds; what went wrong, if anything did."""
        return self.save() if self.age >= seconds - EARLY else ""

    def save(self) -> str:
        """Save now; what went wrong, if anything did."""
        model: Any = self._pipeline.model.hash
        taken, now = time.monotonic(), time.time()
        self._saved = taken
        try:
            write_snapshot(self._path, Snapshot(model, now, self._last, self._pipeline.save()))
        except OSError as error:
            self.failures += 1
            return f"{self._path}: the state cannot be saved ({(error.strerror or '').lower()})"
        return ""
