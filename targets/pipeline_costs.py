"""What a pipeline costs on a core, from samples to events: instructions, flash, and memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn import frontends
from edgernn.model import Model
from targets.cores import core as core_of
from targets.machine import EmulatedMachine
from targets.pipeline_check import made_up_samples
from targets.pipelines import MachineEngine

_STEPS = 24
"""Steps that are counted; the longest of the later half is reported."""


@dataclass(frozen=True)
class PipelineCosts:
    """Instructions of a step and of all that comes before and behind it; bytes of the whole chain.

    `ram` is `NAME_pipeline_t`: state, scratch and everything else, but no stack.
    """

    instructions_per_step: int
    front_end_and_detector: int
    flash: int
    ram: int


def pipeline_costs(
    model: Model, core: str, step_instructions: int, cc: str | None = None
) -> PipelineCosts | None:
    """Measure; None for a model without a front end, or a core that unicorn does not emulate.

    `step_instructions` are those of the model's step alone.
    """
    if not model.metadata.front_end or not core_of(core).emulator:
        return None
    engine = MachineEngine(model, core, cc)
    assert isinstance(engine.machine, EmulatedMachine)
    front_end = frontends.read(model.metadata.front_end)
    per_step = front_end.rate / front_end.frame_rate * model.metadata.frames_per_step
    hop = max(1, round(per_step))
    signal = np.concatenate([made_up_samples(front_end)] * 8)[: hop * _STEPS]
    blocks = [np.ascontiguousarray(part) for part in np.split(signal, range(hop, len(signal), hop))]
    counts = [engine.instructions(block) for block in blocks]
    longest = max(counts[len(counts) // 2 :])
    sections = engine.machine.image.sections
    flash = sections.get(".text", 0) + sections.get(".rodata", 0)
    return PipelineCosts(longest, max(0, longest - step_instructions), flash, len(engine.state))
