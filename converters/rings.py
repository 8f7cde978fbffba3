"""Frames of the past: rings, delay lines and windows, for the rules of layers that mix frames.

A ring is a state that holds the frames before this step's, oldest first. It begins with zeros and,
while the layer's input is in its warm-up, stays so: that is the zero padding of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.step import MoreFramesError, Signal, Step

_MOST_JOINED = 10
"""`kMaxInputNum` in TFLM's concatenation.cc."""


def past(
    signal: Signal,
    step: Step,
    length: int,
    value: float = 0.0,
    name: str = "past",
    axis: int = 1,
) -> Any:
    """This step's n frames behind the `length` before them, as one `(1, length + n, *features)`.

    Before the first valid frame there is `value`, if the signal is `aligned`. With `axis` 2, time
    comes behind the first of the features.
    """
    n = len(signal.frames)
    shape = list(signal.frames[0].shape)
    shape.insert(axis, 1)
    # -1 keeps the graph open to batches, which makes calibration fast.
    rows = [tf.reshape(frame, (-1, *shape[1:])) for frame in signal.frames]
    if length == 0:
        return joined(rows, axis)
    shape[0], shape[axis] = 1, length
    initial = np.full(shape, value, np.float32)
    full_name, before = step.state(name, initial, starts=signal.warmup // n)
    line = joined([before, *rows], axis)
    step.carry(full_name, line[:, n:] if axis == 1 else line[:, :, n:])
    return line


def joined(parts: Sequence[Any], axis: int = 1) -> Any:
    """Tensors one behind the other; TFLM's CONCATENATION takes ten of them at most."""
    parts = list(parts)
    while len(parts) > 1:
        parts = [
            tf.concat(parts[i : i + _MOST_JOINED], axis) if parts[i + 1 :] else parts[i]
            for i in range(0, len(parts), _MOST_JOINED)
        ]
    return parts[0]


def delayed(signal: Signal, step: Step, count: int, name: str = "delay") -> Signal:
    """The sequence, `count` frames later."""
    if count == 0:
        return signal
    n = len(signal.frames)
    line = past(signal, step, count, name=name)
    return replace(
        signal,
        frames=tuple(line[:, i] for i in range(n)),
        warmup=signal.warmup + count,
        latency=signal.latency + _input_frames(count, n, step),
    )


def aligned(signal: Signal, step: Step) -> Signal:
    """The sequence, delayed until its first valid frame is the first one of a step.

    What has a memory begins then with a whole step: its states take `warmup // n` as `starts`.
    """
    return delayed(signal, step, -signal.warmup % len(signal.frames), "align")


def with_zeros(signal: Signal, step: Step, count: int) -> Signal:
    """The sequence behind that many rows of zeros, for which all frames wait."""
    signal = aligned(signal, step)
    return replace(delayed(signal, step, count, "zeros"), warmup=signal.warmup)


def same_time(signals: Sequence[Signal], step: Step) -> list[Signal]:
    """Several inputs of one layer with equal rows of Keras side by side: the early ones wait.

    Raises:
        UnsupportedError: a sequence meets a tensor without a time axis, or another rate.
    """
    if len({s.is_sequence for s in signals}) > 1:
        raise step.unsupported(
            "mixing a sequence with a tensor that has no time axis",
            "set return_sequences alike on both branches",
        )
    if len({len(s.frames) for s in signals}) > 1:
        raise step.unsupported(
            "joining sequences of different rates", "give both branches the same strides"
        )
    warmup = max(s.warmup for s in signals)
    latency = max(s.latency for s in signals)
    if not signals[0].is_sequence:
        return [replace(s, warmup=warmup, latency=latency) for s in signals]
    waiting = [delayed(s, step, warmup - s.warmup) for s in signals]
    latency = max(s.latency for s in waiting)
    return [replace(s, latency=latency) for s in waiting]


def over_windows(
    signal: Signal,
    step: Step,
    function: Callable[[Any], Any],
    length: int,
    stride: int = 1,
    *,
    before: int = 0,
    ahead: int = 0,
    value: float = 0.0,
) -> Signal:
    """`function` of each window `(1, length, *features)`, as the sequence of Keras' rows.

    Row j sees rows `j * stride - before` to `j * stride - before + length - 1` of the signal.

    Args:
        signal: a sequence.
        step: the trace.
        function: gives a frame `(1, *features)`.
        length: frames in a window.
        stride: frames between two windows.
        before: frames of padding before the first one; they hold `value`.
        ahead: frames of a window that lie after the one it is counted for (look-ahead).
        value: of the padding.

    Raises:
        MoreFramesError: the frames of a step do not make whole strides.
    """
    n = len(signal.frames)
    if n % stride:
        raise MoreFramesError(stride // math.gcd(n, stride))
    step.looks_ahead |= ahead > 0
    if before:
        signal = aligned(signal, step)
    # A window ends `skew` frames before the end of its stride.
    skew = -(signal.warmup - before + length) % stride
    kept = max(0, length + skew - stride)
    line = past(signal, step, kept, value)
    first = kept + stride - skew - length
    starts = range(first, first + n, stride)
    return replace(
        signal,
        frames=tuple(function(_part(line, start, length)) for start in starts),
        warmup=(signal.warmup - before + length + skew) // stride - 1,
        latency=signal.latency + _input_frames(skew + ahead, n, step),
    )


def over_last(signal: Signal, step: Step, function: Callable[[Any], Any], length: int) -> Signal:
    """`function` of the last `length` frames, as a running value without a time axis."""
    found = over_windows(signal, step, function, length, len(signal.frames))
    return found.without_time(found.frames[0], found.warmup)


def over_one(
    signal: Signal,
    step: Step,
    function: Callable[[Any], Any],
    length: int | None,
    reach: int,
    stride: int,
) -> Signal | None:
    """The only window that strides leave in a sequence of `length` frames, as a running value.

    None where there are more, or where the length is open: then strides lower the rate.
    """
    if length is None or stride == 1 or not reach <= length < reach + stride:
        return None
    found = over_last(signal, step, lambda window: function(_part(window, 0, reach)), length)
    return found.map(lambda x: tf.reshape(x, (-1, 1, *x.shape[1:])))


def schedule(
    signal: Signal, step: Step, values: Sequence[float], name: str = "schedule"
) -> list[Any]:
    """A value `(1, 1)` for each of this step's frames: that of its row of Keras, the last for ever.

    The values not yet used are a state, which moves on with the frames.
    """
    n = len(signal.frames)
    skipped = signal.warmup % n  # frames of the first valid step that are not valid
    padded = [values[0]] * skipped + list(values)
    padded += [values[-1]] * max(0, n - len(padded))
    initial: npt.NDArray[np.float32] = np.array([padded], np.float32)
    full_name, left = step.state(name, initial, starts=signal.warmup // n)
    now = [left[:, i : i + 1] for i in range(n)]
    rest = [left[:, n:]] if len(padded) > n else []
    step.carry(full_name, joined([*rest, *[left[:, -1:]] * n]))
    return now


def _part(line: Any, start: int, length: int) -> Any:
    return line if line.shape[1] == length else line[:, start : start + length]


def _input_frames(count: int, n: int, step: Step) -> int:
    """Frames of the model's input in `count` frames of a signal with n of them in a step."""
    return -(-count * step.frames // n)
