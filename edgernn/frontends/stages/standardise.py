"""A mean and a standard deviation for each channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from edgernn.errors import InputError
from edgernn.frontends.stages.base import Runner, Stateless, clamp

GAIN_BITS: Final = 24


@dataclass(frozen=True)
class Standardise:
    """`(x - mean) / std`, by channel."""

    stage: ClassVar[str] = "standardise"
    hop: ClassVar[int] = 1
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, rate: float, mean: Sequence[float], std: Sequence[float]) -> Standardise:
        """From the fields of a configuration."""
        made = cls(tuple(map(float, mean)), tuple(map(float, std)))
        if not all(map(math.isfinite, made.mean)) or not all(2e-4 < s < 3e4 for s in made.std):
            raise InputError("stage 'standardise': every std must lie between 0.0002 and 30000")
        return made

    def outputs(self, channels: int) -> int:
        """See `Stage`."""
        if not len(self.mean) == len(self.std) == channels:
            raise InputError(
                f"stage 'standardise': {len(self.mean)} means and {len(self.std)} stds for "
                f"{channels} channels"
            )
        return channels

    def constants(self, fraction: int) -> tuple[list[int], list[int]]:
        """Gains with 24 bits behind the point, and what is added to the products."""
        one = 2.0**GAIN_BITS
        pairs = list(zip(self.mean, self.std, strict=True))
        half = 1 << (GAIN_BITS - 1)
        return (
            [round(one / std) for _, std in pairs],
            [half - round(mean / std * one * 2.0**fraction) for mean, std in pairs],
        )

    def runner(self, channels: int, fraction: int) -> Runner:
        """See `Stage`."""
        gains, offsets = (np.array(v, np.int64) for v in self.constants(fraction))
        return Stateless(lambda block: clamp((block * gains + offsets) >> GAIN_BITS))

    def config(self) -> dict[str, Any]:
        """See `Stage`."""
        return {"stage": self.stage, "mean": list(self.mean), "std": list(self.std)}
