"""What a profile says of the whole thing: the network, and all before and behind it."""

from __future__ import annotations

from typing import Any, NamedTuple

Parts = dict[str, int]


class Costs(NamedTuple):
    """Bytes by part, instructions of a step; `share` of the core's time, estimated, if known."""

    flash: Parts
    ram: Parts
    instructions: int
    seconds: float | None
    share: float | None


def costs(profile: dict[str, Any]) -> Costs:
    """Of the pipeline, where the model has one; else of the network's step."""
    flash: Parts = {name: profile["flash"][name] for name in ("weights", "tables", "code")}
    ram: Parts = {name: profile["ram"][name] for name in ("state", "scratch")}
    step = instructions = profile["instructions_per_step"]
    pipeline = profile.get("pipeline")
    if pipeline:
        flash["front end and detector"] = max(0, pipeline["flash"] - sum(flash.values()))
        ram["pipeline"] = max(0, pipeline["ram"] - sum(ram.values()))
        instructions = pipeline["instructions_per_step"]
    ram["stack"] = profile["ram"]["stack"]
    # Cycles are estimated of the network's step alone: the others are taken to be like it.
    times = [
        profile.get(f"estimated_{what}") for what in ("seconds_per_step", "share_of_real_time")
    ]
    seconds, share = (t * instructions / step if t is not None and step else t for t in times)
    return Costs(flash, ram, instructions, seconds, share)


def place(profile: dict[str, Any]) -> str:
    """The core, and the board whose memories and clock count."""
    board = profile.get("board")
    if not board:
        return str(profile["target"])
    return f"{profile['target']} ({board['name']}, {board['clock_hz'] / 1e6:g} MHz)"
