"""Where values live: carried states in place, everything else packed into one scratch struct.

Scratch has one array per element type, so that no memory is ever read under another type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from targets.ir import Buffer, Kernel, Loop, Repeat, Step

_ALIGN_ELEMENTS = 8
"""Each buffer starts at, and is readable up to, a multiple of this many elements."""


@dataclass
class Plan:
    """Elements of scratch by type, and each buffer's life as (first, last) step."""

    sizes: dict[str, int] = field(default_factory=dict)
    lives: dict[Buffer, tuple[int, int]] = field(default_factory=dict)


def place(steps: Sequence[Step], buffer: Buffer, target: Buffer, taken: set[int]) -> bool:
    """Let `buffer` live in `target` (a state or an output) if nobody misses the old content.

    `taken` holds the targets that have a buffer already.
    """
    if buffer.kind != "scratch" or buffer.padded or id(target) in taken:
        return False
    if buffer.elements != target.elements:
        return False
    first = next(
        (i for i, step in enumerate(steps) if any(v.buffer is buffer for v in step.outputs)), None
    )
    if first is None:
        return False
    if any(v.buffer is target for step in steps[first + 1 :] for v in step.inputs):
        return False
    if not _harmless(steps[first], buffer, target):
        return False
    taken.add(id(target))
    buffer.home = target
    return True


def _harmless(step: Step, buffer: Buffer, target: Buffer) -> bool:
    """Whether a step may write `buffer` while it reads `target` in the same memory."""
    if not any(v.buffer is target for v in step.inputs):
        return True
    if not isinstance(step, Loop):
        return False
    for node in step.nodes:
        for k, view in enumerate(node.inputs):
            if view.buffer is target and not (node.dense(k) and view.whole):
                return False
    return all(v.whole for v in step.outputs if v.buffer is buffer)


def local_values(steps: Sequence[Step]) -> set[Buffer]:
    """Buffers that only one loop writes and reads: they are variables and need no memory."""
    homes: dict[Buffer, set[int]] = {}
    partial: set[Buffer] = set()
    inner = [s for step in steps if isinstance(step, Repeat) for s in step.steps]
    for i, step in enumerate([*steps, *inner]):
        for view in [*step.inputs, *step.outputs]:
            homes.setdefault(view.buffer, set()).add(i)
            if not isinstance(step, Loop) or not view.whole:
                partial.add(view.buffer)
    return {
        b
        for b, where in homes.items()
        if b.kind == "scratch" and not b.home and len(where) == 1 and b not in partial
    }


def plan(steps: Sequence[Step]) -> Plan:
    """Give every scratch buffer an offset; sizes are minimal as a greedy first fit goes."""
    result = Plan()
    for buffer in local_values(steps):
        buffer.local = True
    for i, step in enumerate(steps):
        temporaries = step.temporaries if isinstance(step, Kernel) else []
        for view in [*step.inputs, *step.outputs, *temporaries]:
            if view.buffer.kind == "scratch" and not view.buffer.local and not view.buffer.home:
                first, _ = result.lives.get(view.buffer, (i, i))
                result.lives[view.buffer] = (first, i)
    owners = _in_place(steps, result.lives)
    groups: dict[Buffer, list[Buffer]] = {}
    for buffer in result.lives:
        groups.setdefault(owners.get(buffer, buffer), []).append(buffer)
    placed: list[tuple[Buffer, int, int]] = []
    for owner, members in sorted(groups.items(), key=lambda g: -g[0].elements):
        first = min(result.lives[b][0] for b in members)
        last = max(result.lives[b][1] for b in members)
        size = -(-owner.elements // _ALIGN_ELEMENTS) * _ALIGN_ELEMENTS
        others = sorted(
            (b.offset, -(-b.elements // _ALIGN_ELEMENTS) * _ALIGN_ELEMENTS)
            for b, f, t in placed
            if b.dtype == owner.dtype and f <= last and first <= t
        )
        offset = 0
        for start, length in others:
            if offset + size <= start:
                break
            offset = max(offset, start + length)
        for member in members:
            member.offset = offset
        placed.append((owner, first, last))
        if any(member.padded for member in members):
            size += _ALIGN_ELEMENTS
        result.sizes[owner.dtype] = max(result.sizes.get(owner.dtype, 0), offset + size)
    return result


def _in_place(steps: Sequence[Step], lives: dict[Buffer, tuple[int, int]]) -> dict[Buffer, Buffer]:
    """Outputs of a loop that can take the memory of an input which ends there."""
    owners: dict[Buffer, Buffer] = {}
    for i, step in enumerate(steps):
        if not isinstance(step, Loop):
            continue
        free = [b for b in _dense_inputs(step) if lives.get(b, (0, -1))[1] == i and lives[b][0] < i]
        for view in step.outputs:
            out = view.buffer
            if lives.get(out, (-1, -1))[0] != i or not view.whole:
                continue
            match = next(
                (b for b in free if (b.dtype, b.elements) == (out.dtype, out.elements)), None
            )
            if match is not None:
                free.remove(match)
                owners[out] = owners.get(match, match)
    return owners


def _dense_inputs(loop: Loop) -> list[Buffer]:
    """Buffers that every node of the loop reads whole and element by element."""
    good: dict[Buffer, bool] = {}
    for node in loop.nodes:
        for k, view in enumerate(node.inputs):
            fine = node.dense(k) and view.whole
            good[view.buffer] = good.get(view.buffer, True) and fine
    return [b for b, fine in good.items() if fine]
