"""A device at the other end of a line: asked, and listened to."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from edgernn.link.framing import Message, Receiver, encode
from edgernn.link.messages import (
    ANSWER,
    REASONS,
    UNASKED,
    Content,
    DeviceEvent,
    Hello,
    LinkError,
    Load,
    Pushed,
    Scores,
    SelfTest,
    Type,
    Wanted,
    parse,
)
from edgernn.link.ports import Port

Array = npt.NDArray[Any]
_Content = TypeVar("_Content", bound=Content)

TIMEOUT: Final = 1.0
"""Seconds without an answer after which a request is sent again."""
ATTEMPTS: Final = 8
_MOST: Final = 100_000
"""Unasked messages that wait to be read."""


class Device:
    """A device that runs our device program; a context manager, which hangs up.

    `boots` counts how often it was switched on meanwhile, `lost` unasked messages that did not
    arrive, `again` requests that were repeated.
    """

    def __init__(self, port: Port, timeout: float = TIMEOUT) -> None:
        """Ask who is there.

        Raises:
            LinkError: nobody, or somebody who does not speak this protocol.
        """
        self._port, self._timeout = port, timeout
        self._receiver = Receiver()
        self._sequence = secrets.randbelow(1 << 16)
        self._expected: int | None = None
        self._unasked: deque[Content] = deque(maxlen=_MOST)
        self.boots = self.lost = self.again = 0
        self.boot: SelfTest | None = None
        # Ends whatever the line was in the middle of.
        port.write(b"\0")
        self.hello: Hello = self._ask(Type.HELLO, b"", Hello)

    @property
    def damaged(self) -> int:
        """Frames from the device that were dropped."""
        return self._receiver.damaged

    def self_test(self) -> SelfTest:
        """Replay the golden sequence there, and begin a new stream."""
        return self._ask(Type.SELF_TEST, b"", SelfTest)

    def load(self) -> Load:
        """How busy it is."""
        return self._ask(Type.LOAD, b"", Load)

    def reset(self) -> None:
        """Begin a new stream."""
        self._ask(Type.RESET, b"", bytes)

    def start(self, wanted: Wanted) -> None:
        """Let its sensor feed the model, and have it send what is wanted; see `listen`."""
        self._ask(Type.START, bytes((wanted,)), bytes)

    def stop(self) -> None:
        """End that."""
        self._ask(Type.STOP, b"", bytes)

    def frames(self, raw: Array) -> Array:
        """Predictions `(n, outputs)` of raw frames `(n, values)`, in the model's own integers.

        Raises:
            LinkError: it does not answer, or takes no frames.
        """
        x, y = self.hello.frame, self.hello.prediction
        rows = np.ascontiguousarray(raw, x.dtype).reshape(-1, x.size)
        most = self.hello.payload // x.nbytes
        parts = [np.empty((0, y.size), y.dtype)]
        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            predictions = y.parse(self._ask(Type.FRAMES, part.tobytes(), bytes))
            if len(predictions) != len(part):
                raise LinkError(f"{len(part)} frames gave {len(predictions)} predictions")
            parts.append(predictions)
        return np.concatenate(parts)

    def samples(self, raw: Array) -> tuple[list[Scores], list[DeviceEvent]]:
        """What raw samples `(n, channels)` bring, in order.

        Raises:
            LinkError: it does not answer, takes no samples, or something was lost on the way.
        """
        kind = self.hello.sample
        if kind is None:
            raise LinkError(f"{self.hello.name} takes frames and no samples")
        rows = np.ascontiguousarray(raw, kind.dtype).reshape(-1, kind.size)
        scores: list[Scores] = []
        events: list[DeviceEvent] = []
        most = self.hello.payload // kind.nbytes
        for start in range(0, len(rows), most):
            self._unasked.clear()
            lost = self.lost
            part = rows[start : start + most].tobytes()
            pushed = self._ask(Type.SAMPLES, part, Pushed)
            scores += [c for c in self._unasked if isinstance(c, Scores)]
            events += [c for c in self._unasked if isinstance(c, DeviceEvent)]
            newest = scores[-1].count if scores else pushed.predictions
            if self.lost > lost or newest != pushed.predictions:
                raise LinkError("predictions were lost on the line: reset the stream")
        self._unasked.clear()
        return scores, events

    def listen(self, seconds: float) -> Iterator[Content]:
        """What it sends unasked, as it comes, for so long."""
        end = time.monotonic() + seconds
        while True:
            while self._unasked:
                yield self._unasked.popleft()
            left = end - time.monotonic()
            if left <= 0:
                return
            self._take(min(left, 0.05), lambda message: None)

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, kind: Type, payload: bytes, expected: type[_Content]) -> _Content:
        """Send a request, again if need be, until its answer comes."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        request = encode(Message(kind, self._sequence, payload))
        found: list[Content] = []

        def answer(message: Message) -> None:
            if message.sequence != self._sequence:
                return  # of a request that was given up or repeated
            if message.type in (kind | ANSWER, Type.ERROR):
                content = parse(message.type, message.payload)
                if message.type == Type.ERROR and isinstance(content, int):
                    raise LinkError(
                        f"the device refuses {kind.name}: {REASONS.get(content, content)}"
                    )
                if kind == Type.START:  # what came before is not of this run
                    self._unasked.clear()
                found.append(content)

        for attempt in range(ATTEMPTS):
            self.again += attempt > 0
            self._port.write(request)
            end = time.monotonic() + self._timeout
            while not found and (left := end - time.monotonic()) > 0:
                self._take(left, answer)
            if found:
                if not isinstance(found[0], expected):
                    raise LinkError(f"the device answers {kind.name} with {found[0]!r}")
                return found[0]
        seconds = ATTEMPTS * self._timeout
        raise LinkError(
            f"no answer to {kind.name} in {seconds:.0f} seconds: is a device program there "
            "(`edgernn deploy`), and the baud rate the same?"
        )

    def _take(self, timeout: float, answer: Callable[[Message], None]) -> None:
        """Wait for bytes; sort the messages in them."""
        for message in self._receiver.feed(self._port.receive(timeout)):
            if message.type not in UNASKED:
                answer(message)
                continue
            content = parse(message.type, message.payload)
            if message.type == Type.FAULT:
                raise LinkError("the device's processor stopped at a fault: switch it off and on")
            if isinstance(content, SelfTest):  # switched on: its numbers begin anew
                self.boots += 1
                self.boot, self._expected = content, None
            if self._expected is not None:
                self.lost += (message.sequence - self._expected) & 0xFFFF
            self._expected = (message.sequence + 1) & 0xFFFF
            self._unasked.append(content)
