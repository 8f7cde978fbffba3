"""Whatever can run a pipeline: this Python, generated C here, and generated C on emulated cores."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edgernn import frontends
from edgernn.detectors.anomaly import Anomaly
from edgernn.errors import InputError
from edgernn.events import Event
from edgernn.frontends import FrontEnd
from edgernn.model import Model
from edgernn.pipeline import Pipeline, Scores, detector_of
from targets import firmware, link, qemu
from targets.boards import boards, boards_with
from targets.compile import compile_model
from targets.cores import cores
from targets.machine import EmulatedMachine, machine

Array = npt.NDArray[Any]

EVENT: Final = np.dtype(
    [("label", "i4"), ("score", "i4"), ("start", "i8"), ("end", "i8"), ("phase", "i4")], align=True
)
"""`edgernn_event_t`."""

_CAPACITY: Final = 64

_MESSAGE: Final = 4096
"""Bytes of samples and times that firmware takes at once."""

_DRIVER: Final = """\
#include "model_pipeline.h"

int32_t driver_size(void);
void driver_init(model_pipeline_t *p);
int32_t driver_push(model_pipeline_t *p, const void *samples, const int64_t *times_us,
                    int32_t count, void *events, int32_t capacity);

int32_t driver_size(void) { return (int32_t)sizeof(model_pipeline_t); }

void driver_init(model_pipeline_t *p) { model_pipeline_init(p); }

int32_t driver_push(model_pipeline_t *p, const void *samples, const int64_t *times_us,
                    int32_t count, void *events, int32_t capacity) {
"""


def _driver(has_events: bool) -> str:
    """Functions with the same arguments for every pipeline."""
    if has_events:
        call = "  return model_pipeline_push(p, samples, times_us, count, events, capacity);"
    else:
        call = "  (void)events;\n  (void)capacity;\n"
        call += "  return model_pipeline_push(p, samples, times_us, count);"
    return f"{_DRIVER}{call}\n}}\n"


@dataclass(frozen=True)
class Outcome:
    """What samples brought: `total` predictions, of those that were `seen` the raw values

    `(n, outputs)` and the times in microseconds, and events. A gap that is interpolated gives
    several predictions at once, of which C shows the last.
    """

    total: int
    seen: npt.NDArray[np.int64]
    scores: Array
    times: npt.NDArray[np.int64]
    events: list[Event]


class PipelineExecutor(Protocol):
    """One stream of samples."""

    def push(self, samples: Array, times: Array | None = None) -> Outcome:
        """Feed samples; the scores are those of all predictions, in order."""


class PythonPipeline:
    """`edgernn.pipeline`, on a backend."""

    def __init__(self, model: Model, backend: str) -> None:
        self._found: list[Scores] = []
        self._pipeline = Pipeline(model, backend, self._watch)
        self._outputs = model.y.shape[-1]

    @property
    def front_end(self) -> FrontEnd:
        """That of the model."""
        return self._pipeline.front_end

    def _watch(self, scores: Scores) -> None:
        self._found.append(scores)

    def push(self, samples: Array, times: Array | None = None) -> Outcome:
        """See `PipelineExecutor`."""
        self._found = []
        events = self._pipeline.push(samples, times)
        none = np.empty((0, self._outputs), self._pipeline.model.y.numpy_dtype)
        parts = [one.raw.reshape(len(one), -1) for one in self._found]
        scores = np.concatenate([none, *parts])
        stamps = np.concatenate([np.empty(0, np.int64), *(one.times for one in self._found)])
        return Outcome(len(scores), np.arange(len(scores)), scores, stamps, events)


class CompiledPipeline:
    """`NAME_pipeline_t` on a core; samples are pushed one frame's worth at a time."""

    def __init__(self, model: Model, engine: _Engine) -> None:
        self.model = model
        self.front_end = frontends.read(model.metadata.front_end)
        self.detector = detector_of(model, self.front_end)
        self._engine = engine
        self._rows = model.metadata.outputs_per_step
        self._made = 0

    def push(self, samples: Array, times: Array | None = None) -> Outcome:
        """See `PipelineExecutor`."""
        samples = np.ascontiguousarray(samples, self.front_end.sample_dtype)
        block = max(1, int(self.front_end.rate / self.front_end.frame_rate))
        block = min(block, _MESSAGE // (samples[:1].nbytes + 8) if len(samples) else block)
        before = self._made
        scores: list[Array] = []
        seen: list[int] = []
        stamps: list[int] = []
        events: list[Event] = []
        for start in range(0, len(samples), block):
            part = samples[start : start + block]
            clock = None if times is None else np.ascontiguousarray(times[start : start + block])
            made, time, prediction, found = self._engine.push(part, clock)
            events += [self._event(row) for row in found]
            if made > self._made:
                scores.append(prediction)
                seen += range(made - self._rows - before, made - before)
                stamps += [time] * self._rows
            self._made = made
        y = self.model.y
        rows = np.array(scores, y.numpy_dtype).reshape(-1, y.shape[-1])
        numbers = np.array(seen, np.int64), np.array(stamps, np.int64)
        return Outcome(self._made - before, numbers[0], rows, numbers[1], events)

    def _event(self, row: Any) -> Event:
        label, score, start, end, phase = row.item()
        if isinstance(self.detector, Anomaly):
            name, unit = "anomaly", self.detector.unit
        else:
            name = self.model.labels[label] if self.model.labels else str(label)
            unit = 1 / 32768
        return Event(name, score * unit, start / 1e6, end / 1e6, "on" if phase else "off")

    def close(self) -> None:
        """Switch it off."""
        self._engine.close()


class _Engine(Protocol):
    """What runs the C."""

    def push(self, samples: Array, times: Array | None) -> tuple[int, int, Array, Array]:
        """Predictions made so far, the newest one's time and raw values, and new events."""

    def close(self) -> None:
        """Switch it off."""


class MachineEngine:
    """The C on this machine (`"host"`) or on a core that unicorn emulates."""

    def __init__(self, model: Model, core: str, cc: str | None = None) -> None:
        """Compile it.

        Raises:
            EdgernnError: the model has no pipeline, or a part of it has no C.
        """
        compiled = compile_model(model.data, core, name="model")
        has_events = bool(model.metadata.detector)
        names = ["driver_size", "driver_init", "driver_push"]
        files = {**compiled.files, "driver.c": _driver(has_events)}
        self.machine = machine(files, core, names, cc)
        self.state = np.full(self.machine.call("driver_size"), 0xA5, np.uint8)
        self._events = np.zeros(_CAPACITY, EVENT)
        self._has_events = has_events
        y = compiled.outputs[0]
        self._prediction = self.state[16 : 16 + y.bytes].view(y.dtype)
        self.machine.call("driver_init", self.state)

    def _arguments(self, samples: Array, times: Array | None) -> tuple[Any, ...]:
        return self.state, samples, times, len(samples), self._events, _CAPACITY

    def push(self, samples: Array, times: Array | None) -> tuple[int, int, Array, Array]:
        """See `_Engine`."""
        found = self.machine.call("driver_push", *self._arguments(samples, times))
        made, time = int(self.state[:4].view(np.uint32)[0]), int(self.state[8:16].view(np.int64)[0])
        events = self._events[: found if self._has_events else 0].copy()
        return made, time, self._prediction.copy(), events

    def instructions(self, samples: Array) -> int:
        """How many a push of these samples executes, on an emulated core."""
        assert isinstance(self.machine, EmulatedMachine)
        return self.machine.count("driver_push", *self._arguments(samples, None))

    def close(self) -> None:
        """Nothing to do."""


class BoardEngine:
    """The firmware of a board in QEMU, over its serial port."""

    def __init__(
        self, model: Model, board: str, cc: str | None = None, features: bool = False
    ) -> None:
        """Compile, link and boot it; with `features` these stand where the prediction would.

        `firmware.build` and `qemu.Machine` say what they raise.
        """
        shown = "features" if features else ""
        self.firmware = firmware.build(model.data, board, cc, pipeline=True, shown=shown)
        y = self.firmware.compiled.outputs[0]
        size = math.prod(frontends.read(model.metadata.front_end).frame_shape)
        self._shown = np.dtype(("<i4", size)) if features else np.dtype((y.dtype, y.elements))
        self._machine = qemu.Machine(self.firmware.board, self.firmware.data)

    def push(self, samples: Array, times: Array | None) -> tuple[int, int, Array, Array]:
        """See `_Engine`."""
        kind = link.SAMPLES if times is None else link.TIMED_SAMPLES
        clock = b"" if times is None else times.astype("<i8").tobytes()
        raw = link.ask(self._machine, kind, clock + samples.tobytes())
        made, found, time = struct.unpack_from("<Iiq", raw)
        end = 16 + self._shown.itemsize
        if len(raw) != end + found * EVENT.itemsize:
            raise link.BoardError(f"the board answers with {len(raw)} bytes for {found} events")
        shown = np.frombuffer(raw[16:end], self._shown)[0]
        return made, time, shown, np.frombuffer(raw[end:], EVENT)

    def reset(self) -> None:
        """Back to the start."""
        link.ask(self._machine, link.RESET)

    def stack(self) -> int:
        """Bytes of stack used since the board was switched on."""
        return int.from_bytes(link.ask(self._machine, link.STACK), "little")

    def close(self) -> None:
        """Switch the board off."""
        self._machine.close()


def start_pipeline(target: str, model: Model, cc: str | None = None) -> CompiledPipeline:
    """The pipeline's C on a target: `"host"`, a core or a board.

    Raises:
        EdgernnError: it cannot be compiled or emulated, or a tool is missing.
    """
    if target in cores() and (cores()[target].emulator or cores()[target].hosted):
        return CompiledPipeline(model, MachineEngine(model, target, cc))
    places = [target] if target in boards() else [place.name for place in boards_with(target)]
    if not places:
        raise InputError(f"{target} cannot be emulated")
    return CompiledPipeline(model, BoardEngine(model, places[0], cc))
