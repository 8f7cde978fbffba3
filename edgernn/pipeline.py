"""The whole chain as one object: samples in, events out.

    samples -> front end -> frame quantizer -> step model -> detector -> events

Everything between the samples and an event's numbers is integers, the same as in the generated
`NAME_pipeline_t`; both are configured by the model's metadata alone.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn import detectors, frontends
from edgernn.detectors import Facts
from edgernn.errors import InputError, StateError
from edgernn.events import Event
from edgernn.frontends import Frames, FrontEnd
from edgernn.frontends.quantizer import frame_quantizer

if TYPE_CHECKING:
    from edgernn.detectors import Detector
    from edgernn.model import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """Predictions with the time of each.

    `times` is int64 `(n,)` in microseconds, `raw` the model's own numbers `(n, *prediction)`.
    """

    times: npt.NDArray[np.int64]
    raw: Array
    model: Model

    def __len__(self) -> int:
        return len(self.times)

    @property
    def real(self) -> npt.NDArray[np.float32]:
        """The predictions in real units."""
        from edgernn.codec import Decoder

        return Decoder(self.model.y).decode(self.raw)


Watcher = Callable[[Scores], None]
FramesWatcher = Callable[[Frames], None]


class Pipeline:
    """One stream of samples on its way to events; made by `Model.pipeline`.

    Any split of the samples into pushes gives the same events. `watch`, if given, is called with
    the predictions of every push, before its events are returned; `watch_frames`, if set, with its
    frames before that.
    """

    watch_frames: FramesWatcher | None = None

    def __init__(self, model: Model, backend: str = "auto", watch: Watcher | None = None) -> None:
        """Set up the chain of the model's metadata.

        Raises:
            InputError: the model has no front end, or its parts do not fit each other.
        """
        if not model.metadata.front_end:
            raise InputError(
                "the model has no front end, so it takes frames and no samples: give it one with "
                "`edgernn configure FILE --front-end FRONT_END.toml`, or feed frames to a stream"
            )
        self.model, self.watch = model, watch
        self.front_end = frontends.read(model.metadata.front_end)
        self.detector = detector_of(model, self.front_end)
        self._quantize = frame_quantizer(model, self.front_end)
        self._samples = self.front_end.stream()
        self._stream = model.stream(backend)
        self.events = self.detector.stream() if self.detector else None
        self._clock = Clock(model)

    @property
    def backend(self) -> str:
        """Name of the interpreter backend in use."""
        return self._stream.backend

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong so far, by name."""
        return dict(self._samples.counters)

    def push(self, samples: npt.ArrayLike, times: Array | None = None) -> list[Event]:
        """Feed samples: int16 `(n,)` of sound, or int32 `(n, channels)` of a sensor.

        `times` are int64 microseconds of the samples, for sources that have a clock.

        Raises:
            InputError: the samples have another shape or type; nothing was used.
        """
        frames = self._samples.push(np.asarray(samples), times)
        if self.watch_frames is not None and len(frames):
            self.watch_frames(frames)
        events: list[Event] = []
        starts = [0, *np.flatnonzero(frames.breaks).tolist(), len(frames)]
        for start, end in pairwise(starts):
            if start < len(frames) and frames.breaks[start]:
                self._break()
            if start < end:
                raw = self._quantize(frames.features[start:end])
                events += self._step(raw, frames.times[start:end])
        return events

    def _step(self, raw: Array, times: npt.NDArray[np.int64]) -> list[Event]:
        """Frames of one unbroken sequence through the model and the detector."""
        shaped = raw.reshape(-1, *self.model.frame_shape)
        if self.model.passes:  # only the stream knows which frame completes a window
            rows = [self._stream.push_raw(frame[np.newaxis]) for frame in shaped]
            stamps = np.repeat(times, [len(row) for row in rows])
            predictions = np.concatenate(rows)
        else:
            predictions = self._stream.push_raw(shaped)
            stamps = self._clock.stamps(times)
        scores = Scores(stamps, predictions, self.model)
        if self.watch is not None and len(scores):
            self.watch(scores)
        if self.events is None or not len(scores):
            return []
        paired = raw if len(raw) == len(scores) else None
        return self.events.push(predictions.reshape(len(scores), -1), stamps, paired)

    def _break(self) -> None:
        """The model and the detector begin anew, the front end goes on."""
        self._stream.reset()
        self._clock.reset()
        if self.events is not None:
            self.events.reset()

    def reset(self) -> None:
        """Back to the start."""
        self._samples.reset()
        self._break()

    def save(self) -> bytes:
        """The state of the whole chain, as a blob bound to the model."""
        parts = [self._samples.save(), self._stream.save(), self._clock.save()]
        parts.append(b"" if self.events is None else self.events.save())
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called.

        Raises:
            StateError: the blob is damaged or of another model. The chain is as it was.
        """
        parts = _parts(saved)
        self._stream.restore(parts[1])  # checks its model and its checksum before all others
        self._samples.restore(parts[0])
        self._clock.restore(parts[2])
        if self.events is not None:
            self.events.restore(parts[3])


_LENGTH: Final = struct.Struct("<I")


def _parts(saved: bytes) -> list[bytes]:
    parts, position = [], 0
    while position + _LENGTH.size <= len(saved):
        (length,) = _LENGTH.unpack_from(saved, position)
        position += _LENGTH.size
        parts.append(bytes(saved[position : position + length]))
        position += length
    if len(parts) != 4 or position != len(saved):
        raise StateError(
            f"these {len(saved)} bytes are not a saved pipeline, or only a part of one"
        )
    return parts


class Clock:
    """Which frame each prediction comes with: multi-rate steps and warm-ups counted."""

    def __init__(self, model: Model) -> None:
        document = model.metadata
        self._per_step, self._rows = document.frames_per_step, document.outputs_per_step
        self._warmup = document.warmup
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        self._waiting = np.empty(0, np.int64)
        self._steps = 0

    def stamps(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Times of the predictions that frames of these times bring."""
        waiting = np.concatenate([self._waiting, times])
        steps = len(waiting) // self._per_step
        self._waiting = waiting[steps * self._per_step :]
        ends = waiting[self._per_step - 1 :: self._per_step][:steps]
        first = max(0, self._warmup - self._steps)
        self._steps += steps
        return np.repeat(ends[first:], self._rows)

    def save(self) -> bytes:
        """The state."""
        return json.dumps([self._steps, self._waiting.tolist()]).encode()

    def restore(self, saved: bytes) -> None:
        """Continue where `save` was called."""
        self._steps, waiting = json.loads(saved)
        self._waiting = np.array(waiting, np.int64)


def prediction_rate(model: Model, front_end: FrontEnd) -> float:
    """Predictions per second."""
    document = model.metadata
    rate = front_end.frame_rate * document.outputs_per_step / document.frames_per_step
    if document.passes is not None and document.passes.window:
        rate /= document.passes.hop
    return rate


def detector_of(model: Model, front_end: FrontEnd) -> Detector | None:
    """The detector of the model's metadata, if it has one."""
    if not model.metadata.detector:
        return None
    document = model.metadata
    paces = (document.frames_per_step, document.outputs_per_step, document.warmup)
    if document.detector.get("kind") == "anomaly" and (paces != (1, 1, 0) or document.passes):
        raise InputError(
            "detector 'anomaly': it compares each frame with a prediction, and this model does not "
            "give one with every frame (strides, a warm-up or whole windows)"
        )
    return detectors.read(model.metadata.detector, facts_of(model, front_end))


def facts_of(model: Model, front_end: FrontEnd) -> Facts:
    """What a detector behind this front end and model must know."""
    rate = prediction_rate(model, front_end)
    return Facts(model.labels, model.x, model.y, rate, model.metadata.normalisation)
