"""The interpreters of one model, shared by all its streams.

An interpreter costs about 150 kB and 0.2 ms, a stream's state a few hundred bytes; so streams
borrow an interpreter for each step, bring their state in and take it out again. There are as
many interpreters as threads that ever ran a step at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgernn.codec import Decoder, Encoder
from edgernn.fastpath import (
    RawStep,
    Run,
    Step,
    make_joined_step,
    make_raw_step,
    make_run,
    make_step,
)
from edgernn.interpreters import Program, create
from edgernn.ports import ports

if TYPE_CHECKING:
    from edgernn.model import Model


class Worker(NamedTuple):
    """One interpreter, for one thread at a time: a float frame, a raw one or a raw block.

    All take one writable byte view per state, in the model's order, and replace the bytes.
    """

    step: Step
    step_raw: RawStep
    run: Run


class Engine:
    """A pool of workers for one model and backend.

    `idle` is used as `pop` and `append`, each of which is atomic: cheaper than a lock, and threads
    run their steps side by side, since the interpreters release Python's own lock.
    """

    def __init__(self, model: Model, backend: str) -> None:
        """Load the model into the named backend; see `interpreters.create` for what it raises."""
        self.backend = backend
        self.encoders, self.decoders = codecs(model)
        self._frames, self._predictions = model.frames, model.predictions
        self._program = program(model)
        # A model of several passes has the engines of its passes.
        self.idle = [] if model.passes else [self._worker()]

    def borrow(self) -> Worker:
        """A worker for the caller alone, who appends it to `idle` when done."""
        try:
            return self.idle.pop()
        except IndexError:
            return self._worker()

    def _worker(self) -> Worker:
        interpreter = create(self.backend, self._program)
        if not (self._frames.single and self._predictions.single):
            raw_step = make_joined_step(interpreter, self._frames, self._predictions)
            return Worker(lambda frame, states: None, raw_step, make_run(interpreter, raw_step))
        step = make_step(self.encoders[0], self.decoders[0], interpreter)
        raw_step = make_raw_step(interpreter)
        return Worker(step, raw_step, make_run(interpreter, raw_step))


def codecs(model: Model) -> tuple[list[Encoder], list[Decoder]]:
    """What turns real values into raw ones for each input, and back for each output."""
    described = zip(model.inputs.values(), model.metadata.inputs, strict=True)
    per_step = model.metadata.frames_per_step
    encoders = [
        Encoder(tensor, ports({"x": tensor}, per_step).shape, one.normalisation, one.vocabulary)
        for tensor, one in described
    ]
    return encoders, [Decoder(tensor) for tensor in model.outputs.values()]


def program(model: Model) -> Program:
    """What a backend needs of a model: frames before states, predictions before states."""
    return Program(
        data=model.data,
        path=model.path,
        graph=model.graph,
        inputs=(*model.inputs.values(), *(state.input for state in model.states)),
        outputs=(*model.outputs.values(), *(state.output for state in model.states)),
        frames=len(model.inputs),
        predictions=len(model.outputs),
    )
