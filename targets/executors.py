"""Whatever can run a step model on raw integers: interpreters, and generated C on many cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.engine import program
from edgernn.errors import InputError
from edgernn.interpreters import create
from edgernn.masks import masked_output, raw_mask
from edgernn.model import Model
from targets.boards import boards, boards_with, emulated
from targets.compile import compile_model
from targets.cores import core, cores
from targets.emulate import Emulator
from targets.firmware import build
from targets.native import load_native, separate
from targets.passes import answers
from targets.qemu import BoardStep

Array = npt.NDArray[Any]

NATIVE = "host"
"""The target that is this machine."""


class Executor(Protocol):
    """One stream of a step model, on raw values."""

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One frame in, the prediction out."""

    def states(self) -> tuple[Array, ...]:
        """The raw states, in the signature's order."""


class Compiled(Executor, Protocol):
    """One that runs generated C."""

    def restore(self, saved: bytes) -> None:
        """Continue from a saved state."""


class Interpreted:
    """A model in one of the interpreter backends, its states carried by hand."""

    def __init__(self, model: Model, backend: str) -> None:
        self._interpreter = create(backend, program(model))
        self._predictions = len(model.outputs)
        self._mask = raw_mask(model.inputs, model.metadata)
        self._held: tuple[Array, ...] = ()
        if self._mask is not None:
            self._held = tuple(masked_output(model.outputs, model.metadata))
        self._first = [(state.initial, state.starts) for state in model.states]
        self._done = 0
        self.start([state.initial for state in model.states])

    def start(self, states: Sequence[Array]) -> None:
        """Continue from these states."""
        self._states = tuple(np.array(state) for state in states)

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values; one structured array may hold all inputs."""
        frame = separate(inputs)
        if self._mask is not None and np.array_equal(np.ravel(frame[0]), self._mask.ravel()):
            return self._held
        given = self._interpreter.inputs
        for target, value in zip(given, (*frame, *self._states), strict=True):
            target[...] = np.reshape(value, target.shape)
        self._interpreter.invoke()
        found = self._interpreter.outputs
        states = found[self._predictions :]
        self._states = tuple(
            np.array(first if self._done < starts else state)
            for state, (first, starts) in zip(states, self._first, strict=True)
        )
        self._done += 1
        predictions = tuple(np.array(y) for y in found[: self._predictions])
        self._held = predictions if self._held else ()
        return predictions

    def states(self) -> tuple[Array, ...]:
        """The raw states."""
        return self._states


class InterpretedPasses:
    """A model of several passes in an interpreter: its stream, one step at a time.

    Where a step gives no prediction, that is zeros; the states are the saved blob.
    """

    def __init__(self, model: Model, backend: str) -> None:
        self._stream = model.stream(backend)
        self._zeros = np.zeros((answers(model), *model.y.shape[1:]), model.y.numpy_dtype)

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values."""
        frames = np.asarray(inputs[0])
        rows = self._stream.push_raw(frames.reshape(-1, *self._stream.model.frame_shape))
        return (rows if len(rows) else self._zeros,)

    def states(self) -> tuple[Array, ...]:
        """The saved state."""
        return (np.frombuffer(self._stream.save(), np.uint8),)


class CompiledPasses:
    """Generated C of a model of several passes, as `InterpretedPasses` shows it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values."""
        (y,) = self._inner.step(*inputs)
        ready = self._inner.states()[-1]  # the last member of the struct
        return (y if ready.any() else np.zeros_like(y),)

    def states(self) -> tuple[Array, ...]:
        """The saved state."""
        return (np.frombuffer(self._inner.save(), np.uint8),)

    def restore(self, saved: bytes) -> None:
        """Continue from a saved state."""
        self._inner.restore(saved)


def start(target: str, model: Model | bytes, cc: str | None = None) -> Compiled:
    """Compile a model for a core or a board and start it there.

    A core without an emulator of its own runs on the first board that carries it, in QEMU.

    Raises:
        InputError: there is no such target, or nothing here can run it.
    """
    data = model.data if isinstance(model, Model) else model
    if target == NATIVE:
        # `cc` is a cross compiler, of no use here.
        return load_native(data)
    if target in boards():
        return BoardStep(build(data, target, cc))
    if core(target).emulator:
        return Emulator(compile_model(data, target, name="model", pipeline=False), cc)
    for board in boards_with(target):
        return BoardStep(build(data, board.name, cc))
    raise InputError(f"{target} cannot be emulated here: {runnable()}")


def describe(target: str) -> str:
    """How a target is run, for tables."""
    if target == NATIVE:
        return "C on this machine"
    if target in boards():
        return f"C in QEMU, {target}"
    if core(target).emulator:
        return f"C in unicorn, {target}"
    return f"C in QEMU, {boards_with(target)[0].name if boards_with(target) else target}"


def check_targets(targets: Sequence[str]) -> None:
    """Refuse a name that is neither a core nor a board."""
    for target in targets:
        if target not in cores() and target not in boards():
            raise InputError(f"there is no target '{target}'; {runnable()}")


def runnable(native: bool = True) -> str:
    """The targets that can be run here, as a sentence; this machine itself only if `native`."""
    names = [n for n, c in cores().items() if c.emulator or boards_with(n)]
    names += [NATIVE] if native else []
    places = [board.name for board in emulated()]
    return f"choose a core ({', '.join(names)}) or a board ({', '.join(places)})"


def close(executor: object) -> None:
    """Switch an emulated board off; the others need nothing."""
    if isinstance(executor, BoardStep):
        executor.close()
