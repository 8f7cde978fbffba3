"""The same frames through every executor of a step model: where they agree, and how closely."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError, MissingDependencyError, ModelFileError
from edgernn.model import Model, load
from edgernn.recordings import Recording
from edgernn.selftest import self_test
from targets import executors, frames
from targets.divergence import Cause, find_cause
from targets.keras_side import KerasAgreement, compare_keras
from targets.pipeline_check import PipelineAgreement, check_pipelines

Array = npt.NDArray[Any]

REFERENCE = "tflm"
FLOAT_TOLERANCE = 1e-5
"""Between C and the reference in a float model, relative to values above 1."""


@dataclass
class Agreement:
    """One tensor of one executor against the reference.

    `max_difference` is in last bits (float models: in real units).
    """

    tensor: str
    equal_steps: int = 0
    max_difference: float = 0.0

    def add(self, expected: Array, got: Array) -> bool:
        """Count a step; returns whether the two are equal."""
        if np.array_equal(expected, got):
            self.equal_steps += 1
            return True
        difference = np.abs(got.astype(np.float64) - expected.astype(np.float64)).max()
        worst = float(difference) if np.isfinite(difference) else float("inf")
        self.max_difference = max(self.max_difference, worst)
        return False


@dataclass
class Divergence:
    """The first value that is not the reference's, and the first operator that makes one."""

    step: int
    tensor: str
    element: int
    expected: float
    got: float
    cause: Cause | None = None

    def __str__(self) -> str:
        text = (
            f"step {self.step}: {self.tensor}[{self.element}] is {self.got:g}, "
            f"the reference has {self.expected:g}"
        )
        return f"{text}; {self.cause}" if self.cause else text


@dataclass
class Entry:
    """What one executor did. `exact`: it is generated C and must equal the reference."""

    name: str
    description: str
    exact: bool
    tensors: list[Agreement]
    divergence: Divergence | None = None

    @property
    def bit_exact(self) -> bool:
        """Whether every step was equal."""
        return self.divergence is None


@dataclass
class Verification:
    """The comparison. `bit_exact` is None where the reference interpreter is not installed.

    `golden`: whether the reference reproduced the file's golden sequence; None if it did not run.
    """

    steps: int
    reference: str
    quantized: bool
    entries: list[Entry]
    skipped: dict[str, str] = field(default_factory=dict)
    keras: KerasAgreement | None = None
    golden: bool | None = None
    pipelines: list[PipelineAgreement] = field(default_factory=list)

    @property
    def bit_exact(self) -> bool | None:
        """Whether all C equals TensorFlow Lite Micro in every output and state."""
        exact = all(entry.bit_exact for entry in self.entries if entry.exact)
        return exact if self.reference == REFERENCE or not exact else None

    @property
    def passed(self) -> bool:
        """Whether nothing that must agree disagrees; float C may differ in rounding."""
        if self.golden is False or not all(one.bit_exact for one in self.pipelines):
            return False
        worst = (t.max_difference for e in self.entries if e.exact for t in e.tensors)
        return self.bit_exact is not False or (
            not self.quantized and all(w <= FLOAT_TOLERANCE for w in worst)
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "steps": self.steps,
            "reference": self.reference,
            "bit_exact": self.bit_exact,
            "passed": self.passed,
            "golden": self.golden,
            "executors": [{**asdict(e), "bit_exact": e.bit_exact} for e in self.entries],
            "skipped": self.skipped,
            "keras": None if self.keras is None else asdict(self.keras),
            "pipelines": [{**asdict(p), "bit_exact": p.bit_exact} for p in self.pipelines],
        }


def verify(
    model: Model | str | os.PathLike[str] | bytes,
    targets: Sequence[str] = ("cortex-m4",),
    *,
    keras: Any = None,
    recording: npt.ArrayLike | None = None,
    samples: Recording | None = None,
    steps: int | None = None,
    cc: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Run the same frames everywhere and compare every output and state, step by step.

    Args:
        model: a step model, or its file.
        targets: cores and boards to emulate; this machine always takes part.
        keras: the Keras model it was converted from, or its file.
        recording: frames `(T, *features)` as the model was trained on; None for the golden
            sequence and made-up frames, with saturating ones among them.
        samples: for a model with a front end, a recording that goes through the whole pipeline;
            None for a made-up signal.
        steps: how many; None for all of the recording, or 1,000 made-up ones.
        cc: the cross compiler, if not zig.
        progress: called with the number of steps done.

    Raises:
        InputError: an unknown target, or a recording that does not fit.
        EdgernnError: the model cannot be compiled, or a tool is missing.
    """
    loaded = model if isinstance(model, Model) else load(model)
    if loaded.passes and keras is not None:
        raise InputError(
            "a model that looks back from the end (Bidirectional, go_backwards) is compared with "
            "Keras when it is converted: leave the Keras model out"
        )
    executors.check_targets(targets)
    if steps is not None and steps < 1:
        raise InputError(f"{steps} steps: at least one is needed")
    source = (
        frames.made_up(loaded, steps or 1000)
        if recording is None
        else frames.recorded(loaded, recording, steps)
    )
    names = list(dict.fromkeys([executors.NATIVE, *targets]))
    running: dict[str, executors.Compiled] = {}
    try:
        for name in reversed(names):  # what a core lacks is said before what this machine lacks
            running[name] = executors.start(name, loaded, cc)
            if loaded.passes:
                running[name] = executors.CompiledPasses(running[name])
        ordered = {name: running[name] for name in names}
        result, used = _compare(loaded, ordered, source, progress)
    finally:
        for executor in running.values():
            executors.close(executor)
    if loaded.passes:
        if loaded.metadata.golden is not None and result.reference == REFERENCE:
            result.golden = self_test(loaded, REFERENCE).difference == 0
        return result
    _explain(loaded, result, cc, used)
    if loaded.metadata.front_end:
        result.pipelines = check_pipelines(loaded, targets, samples, cc)
    if recording is None:
        result.golden = _golden(loaded, used.predictions)
    if keras is not None:
        result.keras = compare_keras(
            keras, loaded, np.stack(used.frames), np.stack(used.predictions)
        )
    return result


@dataclass
class _Used:
    """What went in and came out of the reference; its states before an executor's divergence."""

    frames: list[Array] = field(default_factory=list)
    predictions: list[Array] = field(default_factory=list)
    before: dict[str, tuple[Array, ...]] = field(default_factory=dict)


def _compare(
    model: Model,
    running: dict[str, executors.Compiled],
    source: Iterable[Array],
    progress: Callable[[int], None] | None,
) -> tuple[Verification, _Used]:
    names = [*model.outputs, *(state.name for state in model.states)]
    if model.passes:
        names = ["y", "saved state"]
    entries = {
        name: Entry(name, executors.describe(name), True, [Agreement(n) for n in names])
        for name in running
    }
    skipped = {}
    every: dict[str, executors.Executor] = dict(running)
    for backend in ("litert", REFERENCE):
        try:
            every[backend] = _interpreted(model, backend)
            tensors = [Agreement(n) for n in names]
            entries[backend] = Entry(backend, _INTERPRETERS[backend], False, tensors)
        except (MissingDependencyError, ModelFileError) as error:
            if backend == REFERENCE and isinstance(error, ModelFileError):
                raise
            skipped[backend] = str(error)
    reference = REFERENCE if REFERENCE in every else executors.NATIVE
    entries.pop(reference)
    leader = every.pop(reference)
    used, count = _Used(), 0
    for frame in source:
        used.frames.append(frame)
        before = leader.states()
        expected = (*leader.step(frame), *leader.states())
        rows = [expected[i] for i in range(len(model.outputs))]
        used.predictions.append(rows[0] if len(rows) == 1 else model.predictions.join(rows)[0])
        for name, executor in every.items():
            got = (*executor.step(frame), *executor.states())
            if not _add(entries[name], count, expected, got):
                used.before.setdefault(name, before)
        count += 1
        if progress is not None:
            progress(count)
    quantized = model.x.dtype != "float32" or model.y.dtype != "float32"
    order = [name for name in ("litert", *running) if name in entries]
    result = Verification(count, reference, quantized, [entries[n] for n in order], skipped)
    return result, used


_INTERPRETERS = {"litert": "LiteRT", "tflm": "TensorFlow Lite Micro"}


def _interpreted(model: Model, backend: str) -> executors.Executor:
    from converters.quiet import quiet

    with quiet():
        if model.passes:
            return executors.InterpretedPasses(model, backend)
        return executors.Interpreted(model, backend)


def _add(entry: Entry, step: int, expected: Sequence[Array], got: Sequence[Array]) -> bool:
    """Compare one step; note the first value that differs."""
    equal = True
    for agreement, want, have in zip(entry.tensors, expected, got, strict=True):
        want, have = want.reshape(-1), have.reshape(-1)
        if agreement.add(want, have):
            continue
        equal = False
        if entry.divergence is None:
            at = int(np.flatnonzero(want != have)[0])
            value = (float(want[at]), float(have[at]))
            entry.divergence = Divergence(step, agreement.tensor, at, *value)
    return equal


def _golden(model: Model, predictions: Sequence[Array]) -> bool | None:
    """Whether these predictions begin as the file says; None if they are too few to tell."""
    golden = model.metadata.golden
    if golden is None or golden.steps > len(predictions):
        return None
    got = np.stack(predictions[model.metadata.warmup : golden.steps])
    expected = np.frombuffer(golden.outputs, got.dtype).reshape(got.shape)
    if got.dtype.names is not None:
        pairs = [(got[name], expected[name]) for name in got.dtype.names]
        return all(np.array_equal(a, b) for a, b in pairs)
    if got.dtype.kind == "f":
        return bool(np.allclose(got, expected, rtol=0, atol=golden.tolerance))
    return bool(np.array_equal(got, expected))


def _explain(model: Model, result: Verification, cc: str | None, used: _Used) -> None:
    """Find the operator behind the first divergence of each executor that must have none."""
    for entry in result.entries:
        if entry.exact and entry.divergence is not None and result.reference == REFERENCE:
            frame = used.frames[entry.divergence.step]
            entry.divergence.cause = find_cause(
                model, entry.name, frame, used.before[entry.name], cc
            )
