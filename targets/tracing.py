"""From the addresses that one step executed to where its instructions went."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from targets.compiled import Compiled
from targets.elf import Image


@dataclass(frozen=True)
class Profile:
    """Instructions of one step: in total, by step of the generated function, by C function."""

    instructions: int
    by_step: tuple[int, ...]
    by_function: dict[str, int]


def attribute(trace: Iterable[int], image: Image, compiled: Compiled) -> Profile:
    """Count a trace by the labels that `compile_model(marks=True)` left in the step function."""
    symbols = sorted((s.address, s.name) for s in image.symbols.values() if s.is_function)
    starts, names = [a for a, _ in symbols], [n for _, n in symbols]
    marks = sorted(
        (s.address, int(n.rsplit("_", 1)[1]))
        for n, s in image.symbols.items()
        if n.startswith("edgernn_mark_")
    )
    cuts = [a for a, _ in marks]
    step = image.symbols[f"{compiled.name}_step"]
    by_step = [0] * (len(compiled.steps) + 1)
    by_function: Counter[str] = Counter()
    current = 0
    for address in trace:
        by_function[names[bisect.bisect_right(starts, address) - 1]] += 1
        if marks and step.address <= address < step.address + step.size:
            at = bisect.bisect_right(cuts, address) - 1
            current = marks[at][1] if at >= 0 else 0
        by_step[min(current, len(by_step) - 1)] += 1
    return Profile(by_function.total(), tuple(by_step[:-1]), dict(by_function))
