"""What a sensor's channels go through on their way to features: one file a kind.

Values are integers of at most 28 bits and a sign, in units of 2^-fraction of whatever they measure;
products and sums have 64 bits. A stage is a description; its runner holds the state of a stream:
`run` takes a block `(n, channels)` and gives the rows that it completes, and for each the index of
the sample that did. `targets/frontends/sensor.py` says the same in C.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgernn.errors import InputError
from edgernn.frontends.fields import check
from edgernn.frontends.stages.base import Runner, Stage, clamp
from edgernn.frontends.stages.channels import Magnitude, Select
from edgernn.frontends.stages.difference import Difference
from edgernn.frontends.stages.filter import Filter
from edgernn.frontends.stages.standardise import Standardise
from edgernn.frontends.stages.statistics import STATISTICS, Statistics

__all__ = [
    "STAGES", "STATISTICS", "Difference", "Filter", "Magnitude", "Runner", "Select", "Stage",
    "Standardise", "Statistics", "clamp", "read_stage",
]  # fmt: skip

STAGES: Final[Mapping[str, Any]] = {
    made.stage: made for made in (Standardise, Filter, Magnitude, Select, Difference, Statistics)
}


def read_stage(config: Mapping[str, Any], rate: float) -> Stage:
    """The stage of a configuration, for samples at a rate.

    Raises:
        InputError: it has no such stage, or a field is wrong.
    """
    fields = dict(config)
    name = fields.pop("stage", None)
    if not isinstance(name, str) or name not in STAGES:
        raise InputError(f"stage {name!r} is not one of {', '.join(STAGES)}")
    check(f"stage '{name}'", STAGES[name].of, fields, given=("rate",))
    made: Stage = STAGES[name].of(rate, **fields)
    return made
