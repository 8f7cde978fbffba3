"""The training loop: deterministic, and if it is killed it goes on to the very same weights.

Every batch is a function of (seed, epoch, index) alone, and a checkpoint holds all else that a step
depends on: weights, optimiser, random seeds, carried states. So a resumed run computes what the
uninterrupted one would have, bit for bit (on the same machine and versions).
"""

from __future__ import annotations

import io
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.training.architectures import copy_weights, trained
from converters.training.settings import FitSettings
from edgernn.errors import InputError, MissingDependencyError
from edgernn.files import write_atomically

Array = npt.NDArray[Any]
Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps there are, and a word on how it goes."""

_AHEAD: Final = 4
"""Batches made while the network works."""
_AVERAGED: Final = 0.99
"""Share of the old in the running average of the weights, which is what is judged and kept."""
_WARM: Final = 100
"""Steps until the learning rate is at its height; from there it falls along a cosine to 2 %."""


class Batch(NamedTuple):
    """Rows that are trained on together: `rows` streams over `frames` frames.

    `x` is float32 `(rows, context + frames, features)`; `y` is int `(rows, outputs of frames)`, -c
    for class c or the first, or float32 `(…, values)`; `weight` is float32 `(rows, outputs)`, 0
    where nothing is to be learned: while the network warms up, behind the end, where the truth is
    not certain. `fresh`, bool `(rows,)`, tells which rows begin anew here and carry no state.
    """

    x: Array
    y: Array
    weight: Array
    fresh: Array | None = None


class Batches(Protocol):
    """What is trained on. `carried`: every row goes on where the batch before ended."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""

    @property
    def carried(self) -> bool:
        """Whether states are kept from batch to batch of an epoch."""

    def batch(self, epoch: int, index: int) -> Batch:
        """A function of these numbers and the seed alone."""


@dataclass
class History:
    """Loss and validation score (higher is better) of every epoch, and the best one's number."""

    loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = -1

    @property
    def stale(self) -> int:
        """Epochs since the best."""
        return len(self.validation) - 1 - self.best


def deterministic(seed: int) -> None:
    """Make TensorFlow's operators, and whatever draws random numbers, repeat themselves."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def fit(
    model: keras.Model,
    twin: keras.Model,
    batches: Batches,
    validation: Callable[[keras.Model], float],
    loss: str,
    settings: FitSettings,
    folder: Path,
    progress: Progress | None = None,
) -> History:
    """Train `twin` on the batches and leave the best weights in `model`.

    `model` and `twin` are of `architectures.build` and `build_carried`. `loss` is `classes` or
    `values`. `validation` gets `model` with the averaged weights after every epoch. `folder`
    holds the checkpoint; one that is there is continued.

    Raises:
        InputError: the checkpoint in the folder belongs to other settings or another network.
    """
    run = _Run(model, twin, loss, settings, batches.steps * settings.epochs)
    path = folder / "checkpoint.npz"
    epoch, index = run.load(path) if path.exists() else (0, 0)
    record = _tensorboard(folder / "tensorboard") if settings.tensorboard else None
    saved = time.monotonic()
    while epoch < settings.epochs and not run.exhausted:
        if index == 0:
            run.begin_epoch()
        for at, batch in _ahead(batches, epoch, index):
            if not batches.carried:
                run.forget()
            run.step(batch)
            if progress is not None:
                done = epoch * batches.steps + at + 1
                progress(done, batches.steps * settings.epochs, run.words())
            if time.monotonic() - saved > settings.every and at + 1 < batches.steps:
                run.save(path, epoch, at + 1)
                saved = time.monotonic()
        run.end_epoch(validation)
        if record is not None:
            record(epoch, {"loss": run.history.loss[-1], "validation": run.history.validation[-1]})
        epoch, index = epoch + 1, 0
        run.save(path, epoch, 0)
        saved = time.monotonic()
    run.finish()
    return run.history


class _Run:
    """All that a training step changes."""

    def __init__(
        self,
        model: keras.Model,
        twin: keras.Model,
        loss: str,
        settings: FitSettings,
        total: int,
    ) -> None:
        self.model, self.twin, self.settings, self.total = model, twin, settings, total
        self.history = History()
        self._loss = _LOSSES[loss](settings)
        self._optimizer = keras.optimizers.AdamW(
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            global_clipnorm=settings.clip_norm or None,
        )
        self._optimizer.build(twin.trainable_variables)
        # The twin computes with its own weights; the model holds their running average.
        copy_weights(twin, model)
        self._best = [v.numpy() for v in trained(model)]
        self._sum = np.zeros(2)
        self._states = [s for layer in twin.layers for s in _flat(getattr(layer, "states", None))]
        self._count = 0
        self._train = tf.function(self._gradient_step, reduce_retracing=True)

    @property
    def exhausted(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self.settings.patience <= self.history.stale

    def begin_epoch(self) -> None:
        self._sum = np.zeros(2)
        self.forget()

    def forget(self, rows: Array | None = None) -> None:
        """These streams begin anew, or all."""
        for state in self._states:
            kept = 0.0 if rows is None else 1.0 - rows.astype(np.float32)[:, np.newaxis]
            state.assign(state.numpy() * kept)

    def step(self, batch: Batch) -> None:
        """One step of the optimiser."""
        self._optimizer.learning_rate.assign(_rate(self._count, self.total, self.settings))
        share = min(_AVERAGED, (1 + self._count) / (10 + self._count))
        if batch.fresh is not None and batch.fresh.any():
            self.forget(batch.fresh)
        value = self._train(*map(tf.constant, batch[:3]), tf.constant(share, tf.float32))
        self._sum += (float(value), 1.0)
        self._count += 1

    def _gradient_step(self, x: Any, y: Any, weight: Any, share: Any) -> Any:
        with tf.GradientTape() as tape:
            value = self._loss(y, self.twin(x, training=True), weight)
        gradients = tape.gradient(value, self.twin.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.twin.trainable_variables, strict=True))
        for slow, fast in zip(trained(self.model), trained(self.twin), strict=True):
            slow.assign(slow * share + fast * (1.0 - share))
        return value

    def end_epoch(self, validation: Callable[[keras.Model], float]) -> None:
        """Judge the averaged weights, and keep them if they are the best so far."""
        self.history.loss.append(float(self._sum[0] / self._sum[1]))
        score = float(validation(self.model))
        self.history.validation.append(score)
        best = self.history.best
        if best < 0 or score >= self.history.validation[best]:
            self.history.best = len(self.history.validation) - 1
            self._best = [v.numpy() for v in trained(self.model)]

    def finish(self) -> None:
        """The best weights into the model."""
        for variable, value in zip(trained(self.model), self._best, strict=True):
            variable.assign(value)

    def words(self) -> str:
        """How it goes, in a few words."""
        loss = self._sum[0] / max(1.0, self._sum[1])
        judged = f", validation {self.history.validation[-1]:.3f}" if self.history.loss else ""
        return f"epoch {len(self.history.loss) + 1}: loss {loss:.3f}{judged}"

    def _all(self) -> list[Any]:
        kept = [*self.twin.variables, *self._states, *trained(self.model)]
        return [*kept, *self._optimizer.variables]

    def save(self, path: Path, epoch: int, index: int) -> None:
        """Write the checkpoint, whole or not at all."""
        arrays = {f"v{k}": v.numpy() for k, v in enumerate(self._all())}
        arrays |= {f"best{k}": value for k, value in enumerate(self._best)}
        facts = {
            "settings": _identity(self.settings),
            "history": asdict(self.history),
            "epoch": epoch,
            "index": index,
            "count": self._count,
            "total": self.total,
        }
        file = io.BytesIO()
        np.savez(file, facts=np.array(json.dumps(facts)), sum=self._sum, **arrays)
        write_atomically(path, file.getvalue())

    def load(self, path: Path) -> tuple[int, int]:
        """Continue from a checkpoint; gives the epoch and the batch that are next."""
        other = f"{path}: is of other settings or data: begin in another folder, or delete it"
        try:
            with np.load(path) as file:
                arrays = dict(file)
            facts = json.loads(str(arrays["facts"]))
            same = facts["settings"] == _identity(self.settings) and facts["total"] == self.total
            variables = self._all()
            values = [arrays[f"v{k}"] for k in range(len(variables))]
            best = [arrays[f"best{k}"] for k in range(len(self._best))]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise InputError(f"{path}: is no checkpoint ({error}): delete it") from None
        fits = all(tuple(v.shape) == a.shape for v, a in zip(variables, values, strict=True))
        if not same or not fits:
            raise InputError(other)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self._best, self._sum, self._count = best, arrays["sum"], int(facts["count"])
        self.history = History(**facts["history"])
        return int(facts["epoch"]), int(facts["index"])


def _identity(settings: FitSettings) -> dict[str, Any]:
    """The settings that a result depends on."""
    fields = asdict(settings)
    return {name: fields[name] for name in fields if name not in ("every", "tensorboard")}


def _tensorboard(folder: Path) -> Callable[[int, dict[str, float]], None]:
    """What writes numbers of an epoch where TensorBoard looks for them."""
    if find_spec("tensorboard") is None:
        raise MissingDependencyError("TensorBoard is not installed: pip install 'edgernn[train]'")
    writer = tf.summary.create_file_writer(str(folder))

    def record(epoch: int, values: dict[str, float]) -> None:
        with writer.as_default(step=epoch):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        writer.flush()

    return record


def _flat(states: Any) -> list[Any]:
    return [] if states is None else list(tf.nest.flatten(states))


def _rate(step: int, total: int, settings: FitSettings) -> float:
    rise = min(1.0, (step + 1) / min(_WARM, max(1, total // 5)))
    fall = 0.02 + 0.98 * 0.5 * (1.0 + np.cos(np.pi * min(1.0, step / max(1, total))))
    return float(settings.learning_rate * rise * fall)


def _ahead(batches: Batches, epoch: int, index: int) -> Iterator[tuple[int, Batch]]:
    """The rest of an epoch, made in a thread meanwhile; an error there is raised here."""
    made: queue.Queue[tuple[int, Batch] | BaseException] = queue.Queue(_AHEAD)
    left = threading.Event()

    def put(item: tuple[int, Batch] | BaseException) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.2)
                return

    def make() -> None:
        try:
            for at in range(index, batches.steps):
                if left.is_set():
                    return
                put((at, batches.batch(epoch, at)))
        except BaseException as error:
            put(error)

    worker = threading.Thread(target=make, daemon=True)
    worker.start()
    try:
        for _ in range(index, batches.steps):
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        worker.join()


def _classes(settings: FitSettings) -> Callable[[Any, Any, Any], Any]:
    def loss(y: Any, predicted: Any, weight: Any) -> Any:
        count = predicted.shape[-1]
        wanted = tf.one_hot(y, count) * (1.0 - settings.smoothing) + settings.smoothing / count
        one = keras.losses.categorical_crossentropy(wanted, predicted)
        # Of two classes it does not matter which, so long as it is no third.
        two = tf.one_hot(-y, count) + tf.one_hot(tf.zeros_like(y), count)
        either = -tf.math.log(tf.reduce_sum(two * predicted, axis=-1) + keras.config.epsilon())
        each = tf.where(y < 0, either, one)
        return tf.reduce_sum(each * weight) / (tf.reduce_sum(weight) + 1e-6)

    return loss


def _values(settings: FitSettings) -> Callable[[Any, Any, Any], Any]:
    def loss(y: Any, predicted: Any, weight: Any) -> Any:
        # Huber's: one outlier must not outweigh an hour of ordinary readings. What is ordinary
        # is a fraction of the series' deviation; at 1 nearly every error would be squared.
        each = keras.losses.huber(y, predicted, delta=0.3)
        return tf.reduce_sum(each * weight) / (tf.reduce_sum(weight) + 1e-6)

    return loss


_LOSSES: Final = {"classes": _classes, "values": _values}
