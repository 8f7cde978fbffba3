"""The interpreters of one model, shared by all its streams.

An interpreter costs about 150 kB and 0.2 ms, a stream's state a few hundred bytes; so streams
borrow an interpreter for each step, bring their state in and take it out again. There are as
many interpreters as threads that ever ran a step at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgernn.codec import Decoder, Encoder
from edgernn.fastpath import RawStep, Run, Step, make_raw_step, make_run, make_step
from edgernn.interpreters import Program, create

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
        self.encoder = Encoder(model.x, model.frame_shape, model.metadata.normalisation)
        self.decoder = Decoder(model.y)
        self._program = Program(
            data=model.data,
            path=model.path,
            graph=model.graph,
            inputs=(model.x, *(state.input for state in model.states)),
            outputs=(model.y, *(state.output for state in model.states)),
        )
        self.idle = [self._worker()]

    def borrow(self) -> Worker:
        """A worker for the caller alone, who appends it to `idle` when done."""
        try:
            return self.idle.pop()
        except IndexError:
            return self._worker()

    def _worker(self) -> Worker:
        interpreter = create(self.backend, self._program)
        step = make_step(self.encoder, self.decoder, interpreter)
        return Worker(step, make_raw_step(interpreter), make_run(interpreter))
