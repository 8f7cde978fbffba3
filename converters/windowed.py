"""Convert a model that looks back from the end: trace, calibrate, quantize and measure its passes.

Every pass is calibrated on what the float passes before it give, and the ranges of what is handed
over are those of the pass that gives it. Errors are those of the whole chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from converters import measure
from converters.calibration import Sample, calibrate
from converters.checks import FLOAT_TOLERANCE, keras_outputs, normalise
from converters.passes import PassGraph, looks_back, masking_layer, split
from converters.precision import Candidate, int8_fault
from converters.quantize import Precision, Scheme, quantize
from converters.ranges import Range
from converters.rolling import Array, Progress, outputs
from converters.rules.bidirectional import HANDED_ON
from converters.trace import FloatStep, trace
from edgernn import tflite
from edgernn.errors import InputError, UnsupportedError
from edgernn.metadata import Passes

MOST_FRAMES: Final = 2048
"""Frames on which a look-ahead is calibrated, or measured: each costs a run over the last rows."""

MOST_WINDOWS: Final = 512
"""Windows on which the passes are calibrated, or measured."""


@dataclass(frozen=True)
class Chain:
    """The float passes and how they run."""

    steps: tuple[FloatStep, ...]
    passes: Passes

    def with_data(self, data: Sequence[bytes]) -> Chain:
        """The chain with other versions of its passes."""
        pairs = zip(self.steps, data, strict=True)
        return replace(self, steps=tuple(replace(step, data=d) for step, d in pairs))

    @property
    def latency(self) -> int:
        """Input frames by which a row comes late."""
        steps = self.steps
        waits = sum(1 for rows in self.passes.rows[1::2] if rows)
        ahead = waits * (self.passes.lookahead - 1) if self.passes.lookahead else 0
        return steps[0].latency + ahead * steps[0].frames_per_step


def schedule(model: Any, lookahead: int | None, window: int | None, hop: int | None) -> Passes:
    """How the passes of a model are to run; `rows` is filled in by `chain`.

    Raises:
        InputError: the options contradict each other or the model.
        UnsupportedError: nothing says where the backward layers begin.
    """
    for name, value in (("lookahead", lookahead), ("window", window), ("hop", hop)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: at least one frame is needed")
    if lookahead is not None:
        layer = masking_layer(model)
        if layer:
            raise UnsupportedError(
                f"layer '{layer}': masked frames cannot be looked ahead at; take whole windows "
                "(--window T), or leave the mask out and feed only real frames"
            )
        if window is not None or hop is not None:
            raise InputError("lookahead streams, window and hop take whole windows: choose one")
        return Passes((), lookahead=lookahead)
    fixed = model.inputs[0].shape[1]
    if window is not None and fixed not in (None, window):
        raise InputError(f"window {window}: the model's Input takes {fixed} frames")
    length = window or fixed
    if length is None:
        raise UnsupportedError(
            f"layer '{looks_back(model)}' begins at the end, which an endless sequence lacks; "
            "give the model's Input a fixed length or convert with --window T (one answer for T "
            "frames), or with --lookahead N (frame by frame, over the last N frames)"
        )
    if hop is not None and hop > length:
        raise InputError(f"hop {hop} is longer than the window of {length} frames")
    return Passes((), window=length, hop=hop or length)


def chain(model: Any, passes: Passes, sequences: Sequence[Array]) -> Chain:
    """Trace all passes; the gains of what they hand over come from real (raw) sequences.

    Raises:
        UnsupportedError: see `trace`; or a layer sees beyond the window.
    """
    steps: list[FloatStep] = []
    rows: list[int] = []
    graphs = split(model)
    given: list[Array] = []
    for level, graph in enumerate(graphs):
        step = trace(graph, whole=bool(passes.window))
        if level == 0:
            given = [normalise(step, s) for s in sequences]
        if graph.given and _set_gains(graph, _columns(outputs(step.data, step, given))):
            step = trace(graph, whole=bool(passes.window))
        if step.looks_ahead and passes.window:
            raise UnsupportedError(
                f"layer '{step.layers[0][0]}' or a later one pads the end of the window "
                "(padding='same'), which is not converted before a backward layer; use "
                "padding='causal' or 'valid', or --lookahead N"
            )
        if passes.lookahead and level and _rates(step) != (1, 1):
            raise UnsupportedError(
                "strides, pooling or upsampling behind a backward layer cannot be streamed with "
                "look-ahead; do them before it, or use --window T"
            )
        if passes.lookahead and level % 2 and not graph.given and step.sequence_output:
            raise UnsupportedError(
                f"layer '{step.layers[-1][0]}' gives its rows in backward order, which look-ahead "
                "cannot stream; turn them with keras.ops.flip(x, axis=1), or use --window T"
            )
        turned = level % 2 == 1 and graph.given and _row_elements(graph, step)
        if turned and (step.warmup or _rates(step) != (1, 1)):
            raise UnsupportedError(
                f"layer '{step.layers[0][0]}' or a later one: convolution, pooling or strides over "
                "a sequence in backward order cannot be converted before a layer that runs "
                "forwards; turn the sequence with keras.ops.flip(x, axis=1), or use Bidirectional"
            )
        steps.append(step)
        rows.append(_row_elements(graph, step))
        behind = (0,) if graph.given else ()
        so_far = Chain(tuple(steps), replace(passes, rows=(*rows, *behind)))
        given = [y for y in _after(so_far, level, given) if len(y)]
        if not given:
            raise InputError("the calibration data is shorter than one window")
    return so_far


def _rates(step: FloatStep) -> tuple[int, int]:
    return step.frames_per_step, step.outputs_per_step


def _row_elements(graph: PassGraph, step: FloatStep) -> int:
    if graph.given:
        return sum(part.elements for part in graph.given if part.is_sequence)
    found = tflite.read(step.data)
    y = found.tensors[found.signatures["step"].outputs["y"]]
    return int(y.shape[-1]) if step.sequence_output else 0


def _columns(blocks: Sequence[Array]) -> Array:
    joined: Array = np.concatenate([b.reshape(-1, b.shape[-1]) for b in blocks])
    return joined


def _set_gains(graph: PassGraph, y: Array) -> bool:
    """Bring every new part to the range of a tanh; whether a gain has changed."""
    start, changed = 0, False
    for part in graph.given:
        largest = float(np.abs(y[:, start : start + part.elements]).max(initial=0.0)) / part.gain
        start += part.elements
        if part.source is not None:
            gain = part.source.gain
        else:
            gain = 2.0 ** -float(np.ceil(np.log2(largest))) if largest > 0 else 1.0
        gain *= HANDED_ON
        changed |= gain != part.gain
        part.gain = gain
    return changed


def windows(sequences: Sequence[Array], length: int, least: int | None = None) -> list[Array]:
    """Whole windows cut out of sequences, one behind the other, and what is left of `least` frames.

    Without `least`, short sequences give none.
    """
    end = length if least is None else least
    return [s[i : i + length] for s in sequences for i in range(0, len(s) - end + 1, length)]


def unmasked(sequence: Array, mask: float | None) -> npt.NDArray[np.bool_]:
    """Which frames of a raw sequence count."""
    if mask is None:
        return np.ones(len(sequence), np.bool_)
    real: npt.NDArray[np.bool_] = (sequence != mask).reshape(len(sequence), -1).any(axis=1)
    return real


def portions(chain: Chain, sequences: Sequence[Array]) -> list[Array]:
    """The normalised data as the chain runs over it, in bounds."""
    passes = chain.passes
    if passes.window:
        # A mask may fill a window that a sequence does not.
        least = 1 if chain.steps[0].mask is not None else None
        return windows(sequences, passes.window, least)[:MOST_WINDOWS]
    length = max(256, 4 * (chain.latency + passes.lookahead * chain.steps[0].frames_per_step))
    found, frames = [], 0
    for sequence in sequences:
        if frames < MOST_FRAMES * chain.steps[0].frames_per_step and len(sequence) > chain.latency:
            found.append(sequence[:length])
            frames += len(found[-1])
    return found


def predictions(chain: Chain, frames: Sequence[Array]) -> list[Array]:
    """What the chain gives for each of some windows (whole windows) or sequences (look-ahead)."""
    for level in range(len(chain.steps)):
        frames = _after(chain, level, frames)
    return list(frames)


def _after(chain: Chain, level: int, given: Sequence[Array]) -> list[Array]:
    """Run one pass on its inputs in the order of time; the inputs of the next, or predictions."""
    step, passes = chain.steps[level], chain.passes
    back, rows = level % 2 == 1, passes.rows[level]
    if passes.lookahead and back:
        return [_looked_ahead(chain, level, x) for x in given]
    y = outputs(step.data, step, [x[::-1] if back else x for x in given])
    if passes.lookahead:
        return y
    whole = [block[-1:] for block in y]
    if not rows:
        return whole
    if level == len(passes.rows) - 1:  # the rows as Keras has them
        return y
    y = [block[::-1] if back else block for block in y]
    if rows == y[0].shape[-1]:
        return y
    return [
        np.concatenate([b[:, :rows], np.repeat(w[:, rows:], len(b), axis=0)], axis=1)
        for b, w in zip(y, whole, strict=True)
    ]


def _looked_ahead(chain: Chain, level: int, x: Array) -> Array:
    """The last output of a backward pass for each frame at which it has one."""
    step = chain.steps[level]
    y = outputs(step.data, step, stretches(chain, level, x))
    return np.concatenate([block[-1:] for block in y]) if y else np.empty((0, 1), np.float32)


def stretches(chain: Chain, level: int, x: Array) -> list[Array]:
    """What a backward pass runs over at each frame: the last rows, newest first."""
    length, passes = chain.passes.lookahead, chain.passes
    rows = passes.rows[level - 1]
    first = length - 1 if passes.rows[level] else 0
    found = []
    for t in range(first, len(x)):
        kept = x[max(0, t - length + 1) : t + 1].copy()
        kept[:, rows:] = x[t, rows:]
        found.append(kept[::-1])
    return found


def check_chain(model: Any, chain: Chain, sequences: Sequence[Array]) -> float:
    """Largest difference between the float passes over whole windows and Keras, on raw frames.

    The passes of a look-ahead are the same, and are checked over windows too.

    Raises:
        UnsupportedError: they differ by more than `FLOAT_TOLERANCE`.
    """
    fixed = model.inputs[0].shape[1]
    frames = chain.steps[0].frames_per_step
    length = chain.passes.window or fixed or frames * (24 // frames + chain.steps[0].warmup + 1)
    joined = np.concatenate(list(sequences))
    joined = np.tile(joined, (-(-2 * length // len(joined)), *[1] * (joined.ndim - 1)))
    cut = windows([joined[: 2 * length]], length)
    if any(step.looks_ahead for step in chain.steps):
        return float("nan")
    whole = replace(chain, passes=replace(chain.passes, lookahead=0, window=length))
    mask = chain.steps[0].mask
    if mask is not None:  # before a sequence, in its middle, and behind it
        cut[0][[0, length // 2]], cut[1][-(length // 3) :] = mask, mask
    kept = [unmasked(w, mask) for w in cut]
    got = predictions(
        whole, [normalise(chain.steps[0], w[k]) for w, k in zip(cut, kept, strict=True)]
    )
    worst = 0.0
    for raw, real, y in zip(cut, kept, got, strict=True):
        (expected,) = keras_outputs(model, chain.steps[0], raw)
        expected = expected[real] if chain.passes.rows[-1] and mask is not None else expected
        expected = expected if chain.passes.rows[-1] else expected[None]
        if expected.size != y.size:
            raise UnsupportedError(
                f"the streamed model gives {len(y)} rows for a window of {length} frames, Keras "
                f"{len(expected)}: a layer pads or drops frames in a way that passes do not keep"
            )
        scale = max(1.0, float(np.abs(expected).max()))
        worst = max(worst, float(np.abs(expected - y.reshape(expected.shape)).max()) / scale)
    if not worst <= FLOAT_TOLERANCE:
        raise UnsupportedError(
            f"the converted passes differ from Keras by {worst:.2g} (allowed "
            f"{FLOAT_TOLERANCE:g}): a layer looks at the whole window in a way that they do not"
        )
    return worst


def inputs_of(chain: Chain, frames: Sequence[Array]) -> list[list[Array]]:
    """What each float pass is fed, in the order in which it runs."""
    found = []
    for level in range(len(chain.steps)):
        back = level % 2 == 1
        if back and chain.passes.lookahead:
            found.append([s for x in frames for s in stretches(chain, level, x)])
        else:
            found.append([x[::-1] if back else x for x in frames])
        frames = _after(chain, level, frames)
    return found


def choose_chain(
    chain: Chain,
    kept: Sequence[Array],
    held_back: Sequence[Array],
    precision: str,
    per_tensor: bool,
    progress: Progress | None,
) -> tuple[Candidate, Chain, list[Candidate], str]:
    """Quantize all passes as asked, or as `auto` finds best; the choice, all tried, and why."""
    expected = predictions(chain, held_back)

    def candidate(name: str, version: Chain) -> Candidate:
        errors = measure.compare(expected, predictions(version, held_back))
        return Candidate(name, version.steps[0].data, errors, {})

    if precision == "float32":
        only = candidate("float32", chain)
        return only, chain, [only], "asked for"
    samples = [
        calibrate(step, x, progress, endless=bool(chain.passes.lookahead) and level % 2 == 0)
        for level, (step, x) in enumerate(zip(chain.steps, inputs_of(chain, kept), strict=True))
    ]
    versions: dict[str, Chain] = {}
    tried: list[Candidate] = []
    names: list[Precision] = ["int8"] if precision != "int16x8" else ["int16x8"]
    if precision == "auto":
        names.append("int16x8")
    reason = "asked for"
    for name in names:
        versions[name] = chain.with_data(_quantized(chain, samples, name, per_tensor))
        tried.append(candidate(name, versions[name]))
        fault = int8_fault(tried[0])
        if precision == "auto":
            reason = f"int8 {fault}" if fault else "int8 stays within the limits on held-back data"
            if fault is None:
                break
    best = min(tried, key=lambda c: c.errors.rms_percent)
    if best is tried[0] and len(tried) > 1:
        reason += ", but int16x8 is no better"
    return best, versions[best.name], tried, reason


def _quantized(
    chain: Chain, samples: Sequence[Sample], precision: Precision, per_tensor: bool
) -> list[bytes]:
    """All passes, the input of each on the scale of what it is handed."""
    files: list[bytes] = []
    frame: Range | None = None
    for step, sample in zip(chain.steps, samples, strict=True):
        data = quantize(step, sample, Scheme(precision, per_tensor, frame=frame))
        graph = tflite.read(data)
        y = graph.tensors[graph.signatures["step"].outputs["y"]]
        limits = np.iinfo(y.dtype)
        low = limits.min + (limits.max == 32767)  # 16-bit ranges are symmetric
        scale, zero = np.float64(y.scale[0]), y.zero_point[0]
        frame = Range(float((low - zero) * scale), float((limits.max - zero) * scale))
        files.append(data)
    return files
