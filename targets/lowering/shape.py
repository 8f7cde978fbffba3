"""Operators that only move or rename elements: views where the elements stay contiguous."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edgernn.tflite import Operator
from targets.ir import Elementwise, View, dense_strides
from targets.lowering.base import Model, lowers

_MOST_RUNS: Final = 1024
"""Each run of elements that is copied is a loop of its own in the generated code."""


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(model: Model, op: Operator) -> None:
    """Another shape of the same elements."""
    if len(op.inputs) not in (1, 2):
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x, out = model.tensor(op.inputs[0]), model.output(op)
    if x.elements != out.elements or x.dtype != out.dtype:
        raise model.unsupported(f"from {x.shape} {x.dtype} to {out.shape} {out.dtype}")
    view = model.view(op.inputs[0])
    model.alias(op.outputs[0], View(view.buffer, out.shape, view.offset))


def _gather(
    model: Model,
    op: Operator,
    view: View,
    start: int,
    dims: Sequence[int],
    steps: Sequence[int],
    output: int,
) -> None:
    """Output the elements at `start + steps * position`: a view if they are contiguous."""
    out = model.tensor(output)
    kept = [(n, s) for n, s in zip(dims, steps, strict=True) if n != 1]
    if math.prod(dims) != out.elements:
        raise model.unsupported(f"its output has shape {out.shape} instead of {tuple(dims)}")
    inner = [n for n, _ in kept]
    if [s for _, s in kept] == list(dense_strides(inner) if inner else ()):
        model.alias(output, View(view.buffer, out.shape, view.offset + start))
        return
    if any(s < 0 for _, s in kept):
        raise model.unsupported("negative strides are not supported")
    # The last element a node reads bounds the view it declares.
    span = 1 + sum((n - 1) * s for n, s in kept)
    source = View(view.buffer, (span,), view.offset + start)
    node = Elementwise(
        op.name,
        model.layer(op),
        [source],
        [model.define(output)],
        dims=tuple(inner),
        strides=[tuple(s for _, s in kept)],
        build=lambda inputs: inputs[0],
    )
    model.add(node)


def _scatter(
    model: Model, op: Operator, parts: Sequence[int], axis: int, lengths: Sequence[int]
) -> None:
    """Copy the inputs one behind the other along an axis."""
    out = model.output(op)
    whole = model.define(op.outputs[0])
    outer = math.prod(out.shape[:axis])
    inner = math.prod(out.shape[axis + 1 :])
    row = out.shape[axis] * inner
    if outer * len(parts) > _MOST_RUNS:
        raise model.unsupported(f"{out.shape} along axis {axis} takes {outer} copies of each input")
    position = 0
    for index, length in zip(parts, lengths, strict=True):
        source, run = model.view(index), length * inner
        for i in range(outer):
            node = Elementwise(
                op.name,
                model.layer(op),
                [View(source.buffer, (run,), source.offset + i * run)],
                [View(whole.buffer, (run,), i * row + position)],
                dims=(run,),
                strides=[(1,)],
                build=lambda inputs: inputs[0],
            )
            model.add(node)
        position += run


@lowers("SPLIT", "SPLIT_V")
def split(model: Model, op: Operator) -> None:
    """Equal parts along an axis; or parts of given lengths."""
    data, axis_input = (1, 0) if op.name == "SPLIT" else (0, 2)
    if len(op.inputs) != (2 if op.name == "SPLIT" else 3) or not op.outputs:
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x = model.tensor(op.inputs[data])
    axis = _axis(model, model.integers(model.tensor(op.inputs[axis_input])), len(x.shape))
    parts = [model.tensor(i).shape for i in op.outputs]
    if any(len(p) != len(x.shape) for p in parts) or sum(p[axis] for p in parts) != x.shape[axis]:
        raise model.unsupported(f"its parts do not make up {x.shape}")
    view, steps, start = model.view(op.inputs[data]), dense_strides(x.shape), 0
    for index, part in zip(op.outputs, parts, strict=True):
        if (*part[:axis], x.shape[axis], *part[axis + 1 :]) != x.shape:
            raise model.unsupported(f"its parts do not make up {x.shape}")
        _gather(model, op, view, start * steps[axis], part, steps, index)
        start += part[axis]


def _axis(model: Model, values: Sequence[int], rank: int) -> int:
    if len(values) != 1 or not -rank <= values[0] < rank:
        raise model.unsupported(f"its axis {list(values)} is outside a tensor of rank {rank}")
    return values[0] % rank


@lowers("STRIDED_SLICE", "SLICE")
def slices(model: Model, op: Operator) -> None:
    """A box out of a tensor, with steps."""
    if len(op.inputs) != (3 if op.name == "SLICE" else 4):
        raise model.unsupported(f"it has {len(op.inputs)} inputs")
    x = model.tensor(op.inputs[0])
    lists = [model.integers(model.tensor(i)) for i in op.inputs[1:]]
    if any(len(v) != len(x.shape) for v in lists):
        raise model.unsupported(f"its bounds do not fit the shape {x.shape}")
    if op.name == "SLICE":
        begins, sizes = lists
        boxes = [
            (b, n if n >= 0 else d - b, 1) for b, n, d in zip(begins, sizes, x.shape, strict=True)
        ]
    else:
        boxes = _boxes(model, op, x.shape, *lists)
    for (begin, count, step), n in zip(boxes, x.shape, strict=True):
        if count < 1 or not 0 <= begin < n or not 0 <= begin + (count - 1) * step < n:
            raise model.unsupported(f"its bounds lie outside the shape {x.shape}")
    steps = dense_strides(x.shape)
    start = sum(b * s for (b, _, _), s in zip(boxes, steps, strict=True))
    counts = [c for _, c, _ in boxes]
    strides = [t * s for (_, _, t), s in zip(boxes, steps, strict=True)]
    _gather(model, op, model.view(op.inputs[0]), start, counts, strides, op.outputs[0])


def _boxes(
    model: Model,
    op: Operator,
    shape: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
    steps: Sequence[int],
) -> list[tuple[int, int, int]]:
    """Begin, count and step along each axis, by Python's rules for slices."""
    masks = {k: int(op.options[f"{k}_mask"]) for k in ("begin", "end", "shrink_axis")}
    if op.options["ellipsis_mask"] or op.options["new_axis_mask"] or op.options["offset"]:
        raise model.unsupported("ellipsis, new axes and offsets are not supported")
    boxes = []
    for axis, n in enumerate(shape):
        bit = 1 << axis
        if steps[axis] == 0:
            raise model.unsupported("a step is zero")
        if masks["shrink_axis"] & bit:
            first = begins[axis] + (n if begins[axis] < 0 else 0)
            boxes.append((first, 1, 1))
            continue
        begin = None if masks["begin"] & bit else begins[axis]
        end = None if masks["end"] & bit else ends[axis]
        positions = range(n)[slice(begin, end, steps[axis])]
        boxes.append((positions.start, len(positions), positions.step))
    return boxes


@lowers("CONCATENATION")
def concatenation(model: Model, op: Operator) -> None:
    """Copies; the reference does not rescale, so all scales must agree."""
    out = model.output(op)
    if not op.inputs or min(op.inputs) < 0:
        raise model.unsupported("an input is missing")
    if op.options["fused_activation_function"] != "NONE":
        raise model.unsupported("a fused activation is not supported")
    axis = _axis(model, [int(op.options["axis"])], len(out.shape))
    tensors = [model.tensor(i) for i in op.inputs]
    for t in tensors:
        if t.dtype != out.dtype or (t.scale, t.zero_point) != (out.scale, out.zero_point):
            raise model.unsupported(f"'{t.name}' has another type or scale than its output")
        if len(t.shape) != len(out.shape) or any(
            a != b for k, (a, b) in enumerate(zip(t.shape, out.shape, strict=True)) if k != axis
        ):
            raise model.unsupported(f"'{t.name}' of shape {t.shape} does not fit {out.shape}")
    if sum(t.shape[axis] for t in tensors) != out.shape[axis]:
        raise model.unsupported(f"its inputs do not make up {out.shape}")
    _scatter(model, op, op.inputs, axis, [t.shape[axis] for t in tensors])


@lowers("PACK")
def pack(model: Model, op: Operator) -> None:
    """Stack equal shapes along a new axis."""
    out = model.output(op)
    if not op.inputs or min(op.inputs) < 0:
        raise model.unsupported("an input is missing")
    axis = _axis(model, [int(op.options["axis"])], len(out.shape))
    part = (*out.shape[:axis], *out.shape[axis + 1 :])
    for t in (model.tensor(i) for i in op.inputs):
        if t.shape != part or t.dtype != out.dtype:
            raise model.unsupported(f"'{t.name}' of shape {t.shape} does not fit {out.shape}")
    if out.shape[axis] != len(op.inputs):
        raise model.unsupported(f"its inputs do not make up {out.shape}")
    _scatter(model, op, op.inputs, axis, [1] * len(op.inputs))


@lowers("UNPACK")
def unpack(model: Model, op: Operator) -> None:
    """The slices along an axis, without it."""
    (x,) = model.inputs(op, 1)
    axis = _axis(model, [int(op.options["axis"])], len(x.shape))
    if len(op.outputs) != x.shape[axis]:
        raise model.unsupported(f"it has {len(op.outputs)} outputs of {x.shape[axis]}")
    steps = list(dense_strides(x.shape))
    dims = [n for k, n in enumerate(x.shape) if k != axis]
    rest = [s for k, s in enumerate(steps) if k != axis]
    for i, index in enumerate(op.outputs):
        _gather(model, op, model.view(op.inputs[0]), i * steps[axis], dims, rest, index)


@lowers("TRANSPOSE")
def transpose(model: Model, op: Operator) -> None:
    """Axes in another order; free where only axes of length one move."""
    x = model.inputs(op, 2)[0]
    order = model.integers(model.tensor(op.inputs[1]))
    if sorted(order) != list(range(len(x.shape))):
        raise model.unsupported(f"{order} is not an order of the axes of {x.shape}")
    steps = dense_strides(x.shape)
    dims, strides = [x.shape[k] for k in order], [steps[k] for k in order]
    _gather(model, op, model.view(op.inputs[0]), 0, dims, strides, op.outputs[0])
