"""What is made of the channels of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgernn.errors import InputError
from edgernn.frontends.stages.base import Array, Runner, Stateless, clamp, require, roots


@dataclass(frozen=True)
class Magnitude:
    """The length of the vector of some channels, as one more channel, or (`alone`) the only one."""

    stage: ClassVar[str] = "magnitude"
    hop: ClassVar[int] = 1
    channels: tuple[int, ...]
    alone: bool = False

    @classmethod
    def of(cls, rate: float, channels: Sequence[int], alone: bool = False) -> Magnitude:
        """From the fields of a configuration."""
        if not 1 <= len(channels) <= 16:
            raise InputError("stage 'magnitude': it takes 1 to 16 channels")
        return cls(tuple(channels), bool(alone))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        require(self.stage, self.channels, channels)
        return 1 if self.alone else channels + 1

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""

        def run(block: Array) -> Array:
            chosen = block[:, list(self.channels)]
            length = clamp(roots((chosen * chosen).sum(axis=1)))[:, np.newaxis]
            return length if self.alone else np.concatenate([block, length], axis=1)

        return Stateless(run)

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "channels": list(self.channels), "alone": self.alone}


@dataclass(frozen=True)
class Select:
    """Some of the channels."""

    stage: ClassVar[str] = "select"
    hop: ClassVar[int] = 1
    channels: tuple[int, ...]

    @classmethod
    def of(cls, rate: float, channels: Sequence[int]) -> Select:
        """From the fields of a configuration."""
        return cls(tuple(channels))

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        require(self.stage, self.channels, channels)
        return len(self.channels)

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        return Stateless(lambda block: block[:, list(self.channels)])

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "channels": list(self.channels)}
