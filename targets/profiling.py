"""What one step costs on a core: flash, RAM, instructions, and an estimate of its time."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from edgernn import frontends
from edgernn.errors import EdgernnError, InputError
from edgernn.model import Model, load
from targets import cycles, emulate, executors, frames, qemu
from targets.boards import Board, board, boards, boards_with
from targets.compile import compile_model
from targets.compiled import Compiled, StepInfo
from targets.elf import Image
from targets.firmware import build
from targets.keras_side import convert_untrained, is_keras
from targets.pipeline_costs import PipelineCosts, pipeline_costs
from targets.stack import worst_stack
from targets.tracing import attribute

_FRAMES = 8
"""Steps that are traced; the longest is reported."""

_SPACING = 12
"""Frames between them, so that each of the made-up regimes takes part."""

CALL = "(call)"
"""Where the instructions around the step's parts are counted: entry, pointers, return."""


@dataclass(frozen=True)
class Flash:
    """Bytes of flash: functions, tables that activations look up, and the layers' parameters."""

    code: int
    tables: int
    weights: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.code + self.tables + self.weights


@dataclass(frozen=True)
class Ram:
    """Bytes of RAM: a stream's state, scratch, and the stack of a step."""

    state: int
    scratch: int
    stack: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.state + self.scratch + self.stack


@dataclass(frozen=True)
class Part:
    """One call or loop of the step function."""

    comment: str
    ops: tuple[str, ...]
    layer: str
    instructions: int


@dataclass(frozen=True)
class StepProfile:
    """The costs of a step. Times need a board and a rate; cycles are estimated, never measured.

    The stack is the most that the linked code can use if `stack_is_worst_case`; where that cannot
    be told from the code, it is the deepest that was measured.
    """

    target: str
    board: Board | None
    untrained: bool
    instructions_per_step: int
    parts: tuple[Part, ...]
    flash: Flash
    ram: Ram
    stack_is_worst_case: bool
    estimated_cycles_per_step: int | None
    rate_hz: float | None
    frames_per_step: int
    pipeline: PipelineCosts | None = None

    @property
    def instructions_by_op(self) -> dict[str, int]:
        """Instructions by operator; a fused loop is one entry that names all of its operators."""
        return _sums((" + ".join(dict.fromkeys(p.ops)), p.instructions) for p in self._all)

    @property
    def instructions_by_layer(self) -> dict[str, int]:
        """Instructions by Keras layer."""
        return _sums((p.layer, p.instructions) for p in self._all)

    @property
    def _all(self) -> list[Part]:
        rest = self.instructions_per_step - sum(p.instructions for p in self.parts)
        return [*self.parts, Part(CALL, (CALL,), CALL, rest)]

    @property
    def estimated_seconds_per_step(self) -> float | None:
        """Estimated time of a step at the board's clock."""
        if self.board is None or self.estimated_cycles_per_step is None:
            return None
        return self.estimated_cycles_per_step / self.board.clock_hz

    @property
    def estimated_share_of_real_time(self) -> float | None:
        """Estimated share of the processor at the rate of the frames."""
        seconds = self.estimated_seconds_per_step
        if seconds is None or self.rate_hz is None:
            return None
        return seconds * self.rate_hz / self.frames_per_step

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        place = self.board
        return {
            "target": self.target,
            "board": None
            if place is None
            else {
                "name": place.name,
                "clock_hz": place.clock_hz,
                "flash_bytes": place.flash_bytes,
                "ram_bytes": place.ram_bytes,
                "flash_share": self.flash.total / place.flash_bytes,
                "ram_share": self.ram.total / place.ram_bytes,
            },
            "untrained": self.untrained,
            "instructions_per_step": self.instructions_per_step,
            "instructions_by_op": self.instructions_by_op,
            "instructions_by_layer": self.instructions_by_layer,
            "flash": asdict(self.flash),
            "ram": asdict(self.ram),
            "stack_is_worst_case": self.stack_is_worst_case,
            "rate_hz": self.rate_hz,
            "frames_per_step": self.frames_per_step,
            "estimated_cycles_per_step": self.estimated_cycles_per_step,
            "estimated_seconds_per_step": self.estimated_seconds_per_step,
            "estimated_share_of_real_time": self.estimated_share_of_real_time,
            "estimate": cycles.MODEL,
            "pipeline": None if self.pipeline is None else asdict(self.pipeline),
        }


def profile(
    model: Model | str | os.PathLike[str] | bytes | Any,
    target: str | None = None,
    *,
    board: str | None = None,
    rate: float | None = None,
    precision: str = "int16x8",
    cc: str | None = None,
) -> StepProfile:
    """Measure a step on an emulated core.

    Args:
        model: a step model or its file; or a Keras model or its file, trained or not, which is
            converted with noise for calibration data: sizes and instructions hold, results do not.
        target: the core; None for the board's.
        board: whose clock and memories to compare with; None for the smallest with this core.
        rate: frames per second, for the share of real time; None for the front end's.
        precision: of a Keras model's conversion.
        cc: the cross compiler, if not zig.

    Raises:
        InputError: an unknown or unfitting core or board.
        EdgernnError: the model cannot be compiled, or a tool is missing.
    """
    core, place = _place(target, board)
    if rate is not None and not rate > 0:
        raise InputError(f"a rate of {rate:g} frames per second: it must be above 0")
    untrained = not isinstance(model, (Model, bytes)) and is_keras(model)
    if untrained:
        model = convert_untrained(model, precision)
    loaded = model if isinstance(model, Model) else load(model)
    if rate is None and loaded.metadata.front_end:
        rate = frontends.read(loaded.metadata.front_end).frame_rate
    compiled = compile_model(loaded.data, core, name="model", marks=True)
    _refuse_long_windows(loaded, compiled)
    if compiled.core.emulator:
        image, traces, stack = _in_unicorn(loaded, compiled, cc)
    else:
        image, traces, stack = _in_qemu(loaded, compiled, cc)
    worst = _worst_stack(image)
    longest = max(traces, key=len)
    counted = attribute(longest, image, compiled)
    return StepProfile(
        target=core,
        board=place,
        untrained=untrained,
        instructions_per_step=counted.instructions,
        parts=_whole(counted.instructions)
        if loaded.passes
        else tuple(map(_part, compiled.steps, counted.by_step)),
        flash=_flash(compile_model(loaded.data, core, name="model"), cc),
        ram=Ram(compiled.state_bytes, compiled.scratch_bytes, stack if worst is None else worst),
        stack_is_worst_case=worst is not None,
        estimated_cycles_per_step=cycles.estimate(longest, image, core),
        rate_hz=rate,
        frames_per_step=loaded.metadata.frames_per_step,
        pipeline=pipeline_costs(loaded, core, counted.instructions, cc),
    )


def _place(target: str | None, name: str | None) -> tuple[str, Board | None]:
    if name is not None:
        place = board(name)
        if target not in (None, place.core):
            raise InputError(f"the board {name} has a {place.core}, not a {target}")
        return place.core, place
    if target is None:
        raise InputError("name a core with --target or a board with --board")
    executors.check_targets([target])
    if target in boards():
        return _place(None, target)
    smallest = min(boards_with(target), key=lambda b: b.flash_bytes, default=None)
    return target, smallest


def _sample(model: Model) -> list[Any]:
    every = frames.made_up(model, _FRAMES * _SPACING)
    return list(itertools.islice(every, 0, None, _SPACING))


_LONGEST = 4_000_000
"""Weights times rows, of which a step of several passes is traced."""


def _full(model: Model) -> int:
    """Steps after which the windows of a model of several passes are full."""
    how = model.metadata.passes
    assert how is not None
    per_step = model.metadata.frames_per_step
    wait = model.metadata.latency // per_step + how.lookahead + model.metadata.warmup
    return (
        how.window // per_step
        if how.window
        else wait + sum(part.metadata.warmup for part in model.passes[1:])
    )


def _refuse_long_windows(model: Model, compiled: Compiled) -> None:
    how = model.metadata.passes
    if how is None:
        return
    rows = how.window or how.lookahead
    if rows * compiled.weights_bytes > _LONGEST:
        raise InputError(
            f"a step over {rows} frames is too long to count its instructions: profile the model "
            "with a shorter window, from which time and RAM grow in proportion"
        )


def _whole(instructions: int) -> tuple[Part, ...]:
    """All passes of a model, over a full window, as one part."""
    return (Part("all passes", ("all passes",), "all passes", instructions),)


def _worst_stack(image: Image) -> int | None:
    try:
        return worst_stack(image, "model_step")
    except EdgernnError:
        return None


def _in_unicorn(
    model: Model, compiled: Compiled, cc: str | None
) -> tuple[Image, list[list[int]], int]:
    emulator = emulate.Emulator(compiled, cc)
    sample = _sample(model)
    if model.passes:  # the step that counts is the one with a full window
        *first, last = itertools.islice(frames.made_up(model, _full(model)), _full(model))
        for frame in first:
            emulator.step(frame)
        return emulator.image, [emulator.trace(last)], max(map(emulator.stack, sample))
    traces = [emulator.trace(frame) for frame in sample]
    return emulator.image, traces, max(emulator.stack(frame) for frame in sample)


def _in_qemu(
    model: Model, compiled: Compiled, cc: str | None
) -> tuple[Image, list[list[int]], int]:
    places = boards_with(compiled.core.name)
    if not places:
        raise InputError(
            f"{compiled.core.name} cannot be emulated: {executors.runnable(native=False)}"
        )
    firmware = build(model.data, places[0].name, cc, marks=True)
    sample = _sample(model)
    traces = qemu.trace(firmware, _functions(emulate.link(compiled, cc).symbols.items()), sample)
    step = qemu.BoardStep(firmware)
    try:
        before = step.stack()
        for frame in sample:
            step.step(frame)
        return firmware.image, traces, max(step.stack(), before)
    finally:
        step.close()


def _functions(symbols: Iterable[tuple[str, Any]]) -> list[str]:
    """The functions that a step may run through."""
    others = ("_save", "_restore", "_reset", "_init")
    return [name for name, s in symbols if s.is_function and not name.endswith(others)]


def _flash(compiled: Compiled, cc: str | None) -> Flash:
    """As linked, by use; what is neither table nor weight among the constants counts as code."""
    sections = emulate.link(compiled, cc).sections
    tables, weights = compiled.tables_bytes, compiled.weights_bytes
    everything = sections.get(".text", 0) + sections.get(".rodata", 0)
    return Flash(everything - tables - weights, tables, weights)


def _part(info: StepInfo, instructions: int) -> Part:
    tops = Counter(layer.split(";")[0].split("/")[0] for layer in info.layers)
    layer = tops.most_common(1)[0][0] if tops else ""
    return Part(info.comment, info.ops, layer, instructions)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, count in pairs:
        sums[name] += count
    return dict(sums.most_common())
