"""Scheduling: elementwise nodes wait until a kernel needs them, and then run as one loop."""

from __future__ import annotations

from collections.abc import Sequence

from targets.ir import Elementwise, Kernel, Loop, Step, View


def drop_unused(
    nodes: Sequence[Kernel | Elementwise], wanted: Sequence[View]
) -> list[Kernel | Elementwise]:
    """The nodes on which the wanted views depend, in order."""
    needed = {id(view.buffer) for view in wanted}
    kept: list[Kernel | Elementwise] = []
    for node in reversed(nodes):
        if any(id(view.buffer) in needed for view in node.outputs):
            needed.update(id(view.buffer) for view in node.inputs)
            kept.append(node)
    return kept[::-1]


def schedule(nodes: Sequence[Kernel | Elementwise]) -> list[Step]:
    """Kernels in order; each group of pending elementwise nodes right before its first use."""
    steps: list[Step] = []
    pending: list[Loop] = []

    def flush(count: int) -> None:
        steps.extend(pending[:count])
        del pending[:count]

    for node in nodes:
        if isinstance(node, Kernel):
            flush(
                1 + max((i for i, loop in enumerate(pending) if _touches(node, loop)), default=-1)
            )
            steps.append(node)
            continue
        # Join the last pending loop of the same space if no later loop is needed first.
        last = max((i for i, loop in enumerate(pending) if _touches(node, loop)), default=-1)
        home = next(
            (
                i
                for i in range(len(pending) - 1, -1, -1)
                if pending[i].dims == node.dims and i >= last and _joins(node, pending[i])
            ),
            None,
        )
        if home is not None:
            pending[home].nodes.append(node)
        else:
            pending.append(Loop(node.dims, [node]))
    flush(len(pending))
    return steps


def _touches(node: Kernel | Elementwise, loop: Loop) -> bool:
    """Whether the node reads or writes what the loop writes, or writes what it reads."""
    return any(a.overlaps(b) for a in [*node.inputs, *node.outputs] for b in loop.outputs) or any(
        a.overlaps(b) for a in node.outputs for b in loop.inputs
    )


def _joins(node: Elementwise, loop: Loop) -> bool:
    """Whether the node reads the loop's values element by element, so that it can run inside."""
    for k, view in enumerate(node.inputs):
        for made in loop.outputs:
            same = (view.buffer, view.offset) == (made.buffer, made.offset) and node.dense(k)
            if view.overlaps(made) and not (same and view.elements == made.elements):
                return False
    return not any(a.overlaps(b) for a in node.outputs for b in loop.outputs + loop.inputs)
