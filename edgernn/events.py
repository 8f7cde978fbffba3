"""What a detector reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["on", "off"]


@dataclass(frozen=True)
class Event:
    """Something was detected, from `start` to `end` in seconds of the stream or the source's clock.

    A detector that tells of the beginning and the end of something gives two events: at phase `on`,
    `end` is the moment at which it became certain, at phase `off` the moment at which it was over.
    `score` is a probability, or an anomaly in the units of the frame.
    """

    label: str
    score: float
    start: float
    end: float
    phase: Phase = "on"
