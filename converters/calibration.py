"""Calibration: roll the float step over real sequences with its state carried, and look.

Each sequence runs once from the initial state, and all of them run again end to end, as a stream
that is never reset would see them: a long memory reaches values there that no short recording
shows. Every tensor's values are sampled at randomly chosen steps. The sample has the same size
however much data there is, and no range is ever taken from a bare minimum or maximum, so more
data can only make the picture sharper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.rolling import Array, Progress, roll
from converters.step import ABSENT, LOWEST
from converters.tables import collapse
from converters.trace import FloatStep
from edgernn import tflite
from edgernn.errors import UnsupportedError

SAMPLE_VALUES = 1 << 22
"""Values kept of all tensors together (16 MB)."""

UNSTABLE = 1e9
"""A tensor that grows beyond this belongs to a model whose state explodes."""

STREAMS = 8
"""Endless streams made of the sequences, each starting at another of them …"""

STREAM_STEPS = 4096
"""… and how many steps each of them runs."""


@dataclass(frozen=True)
class Sample:
    """What calibration saw: a sample of values per tensor index, and how many frames ran."""

    values: dict[int, Array]
    frames: int


def calibrate(
    step: FloatStep,
    sequences: Sequence[Array],
    progress: Progress | None = None,
    seed: int = 0,
    endless: bool = True,
) -> Sample:
    """Run sequences through the float step and sample every tensor.

    Args:
        step: the float step.
        sequences: normalised sequences `(T, *features)`, float32, each from the initial state.
        progress: called with the number of frames done and the number there are.
        seed: of the choice of sampled steps.
        endless: run them end to end too; not where each begins from the first state for ever.

    Raises:
        UnsupportedError: the model's state explodes.
    """
    if endless:
        sequences = [*sequences, *_streams(sequences, step.frames_per_step)]
    graph = tflite.read(collapse(step.data, step.sites))  # not what is inside of a formula
    written = {*graph.inputs, *(o for op in graph.operators for o in op.outputs)}
    watched = [graph.tensors[i] for i in sorted(written) if graph.tensors[i].dtype == "float32"]
    steps = sum(len(s) // step.frames_per_step for s in sequences)
    wanted = min(max(SAMPLE_VALUES // sum(t.elements for t in watched), 512), 8192)
    rng = np.random.default_rng(seed)
    # A mask of what is absent is seen in the first steps alone, which a warm-up may hide.
    masks = [state.starts for state in step.states if (state.initial == ABSENT).any()]
    begin = min([step.warmup, *masks])
    done = 0
    kept: dict[int, list[Array]] = {t.index: [] for t in watched}
    for rolled in roll(step.data, step, sequences, watch=True):
        first = not kept[watched[0].index]
        late = rolled.time >= step.warmup
        wanted_now = rolled.time >= begin if first else late and rng.random() * steps < wanted
        if wanted_now and not rolled.masked.all():
            for tensor in watched:
                rows = rolled.rows(tensor.index)
                rows = rows[~rolled.masked] if rolled.masked.any() else rows
                values = rows.ravel().astype(np.float32)
                kept[tensor.index].append(values[values != np.float32(LOWEST)])
        done += len(rolled.which)
        if progress is not None:
            progress(done * step.frames_per_step, steps * step.frames_per_step)
    sampled = {i: np.concatenate(parts) for i, parts in kept.items()}
    for tensor in watched:
        largest = float(np.abs(sampled[tensor.index]).max(initial=0.0))
        if not largest < UNSTABLE:
            raise UnsupportedError(
                f"tensor '{tensor.name}' reaches {largest:.3g} on the calibration data: the model "
                "is unstable when it runs on and on; check its weights or bound its activation"
            )
    return Sample(sampled, steps * step.frames_per_step)


def _streams(sequences: Sequence[Array], frames: int) -> list[Array]:
    """The sequences end to end, in several rotations, each as long as `STREAM_STEPS` steps."""
    joined = np.concatenate(list(sequences))
    length = STREAM_STEPS * frames
    repeats = -(-length // len(joined)) + 1
    endless = np.tile(joined, (repeats, *[1] * (joined.ndim - 1)))
    starts = {len(joined) * i // STREAMS // frames * frames for i in range(STREAMS)}
    return [endless[start : start + length] for start in sorted(starts)]
