"""What the messages say: their types, and the numbers in their payloads; see docs/link.md.

All integers are little-endian. A payload that is none of its type is a `LinkError`, never anything
else: it may come from any device.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgernnError

Array = npt.NDArray[Any]


class LinkError(EdgernnError):
    """A device does not answer, or not as it should."""


class Type(IntEnum):
    """What a message is. An answer has its request's type and sequence number, and bit 7."""

    HELLO = 0x01
    SELF_TEST = 0x02
    FRAMES = 0x03
    SAMPLES = 0x04
    RESET = 0x05
    START = 0x06
    STOP = 0x07
    LOAD = 0x08
    # Sent by the device unasked, with sequence numbers of its own.
    BOOT = 0x40
    SCORES = 0x41
    EVENT = 0x42
    STATUS = 0x43
    DATA = 0x44
    FAULT = 0x45
    ERROR = 0xFF


ANSWER: Final = 0x80
UNASKED: Final = range(0x40, 0x80)


class Wanted(IntFlag):
    """What START asks for."""

    SCORES = 1
    EVENTS = 2
    STATUS = 4
    DATA = 8


REASONS: Final = {
    1: "the message has the wrong size",
    2: "the message is of an unknown type",
    3: "it has no sensor",
}
"""Codes of ERROR."""

_TYPES: Final = ("int8", "int16", "int32", "float32")


@dataclass(frozen=True)
class Values:
    """Numbers of one kind: a frame, a prediction or a sample; `real = (raw - zero_point) * scale`.

    `scale` is 0 where the numbers have no unit.
    """

    dtype: str
    size: int
    scale: float = 0.0
    zero_point: int = 0

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.size * np.dtype(self.dtype).itemsize

    def parse(self, raw: bytes) -> Array:
        """Raw values `(n, size)`; `LinkError` if there is a part of one."""
        if len(raw) % self.nbytes:
            raise LinkError(f"{len(raw)} bytes are no whole number of {self.nbytes} bytes")
        return np.frombuffer(raw, np.dtype(self.dtype).newbyteorder("<")).reshape(-1, self.size)

    def real(self, raw: Array) -> npt.NDArray[np.float64]:
        """Raw values in real units."""
        scale = self.scale or 1.0
        return (raw.astype(np.float64) - self.zero_point) * scale


@dataclass(frozen=True)
class Hello:
    """Who a device is. `frame_rate` and `rate` are per second, 0 if unknown; sizes are bytes.

    `sample` is None for a model that takes frames; `sensor` says whether it can record by itself,
    `payload` how long a message to it may be. `ticks` a second are what its timer counts;
    `score_unit` is the real value of one unit of an event's score.
    """

    model: str
    name: str
    board: str
    core: str
    frame: Values
    prediction: Values
    payload: int
    ticks: int
    golden: int = 0
    labels: tuple[str, ...] = ()
    frame_rate: float = 0.0
    rate: float = 0.0
    sample: Values | None = None
    columns: tuple[str, ...] = ()
    sensor: bool = False
    score_unit: float = 0.0

    def to_json(self) -> bytes:
        """As a payload."""
        document = {f.name: getattr(self, f.name) for f in fields(self)}
        for key in ("frame", "prediction", "sample"):
            document[key] = document[key] and vars(document[key])
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    def label(self, index: int) -> str:
        """The name of an output."""
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)


def parse_hello(payload: bytes) -> Hello:
    """Read a HELLO.

    Raises:
        LinkError: it is none.
    """
    try:
        document = json.loads(payload)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        known = {f.name: document[f.name] for f in fields(Hello) if f.name in document}
        made = Hello(
            **{
                **known,
                "frame": _values(document["frame"]),
                "prediction": _values(document["prediction"]),
                "sample": _values(document["sample"]) if document.get("sample") else None,
                "labels": _names(document.get("labels", ())),
                "columns": _names(document.get("columns", ())),
            }
        )
        for name, kind in _HELLO_TYPES.items():
            value = getattr(made, name)
            if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
                raise TypeError(f"'{name}' is {value!r}")
            if kind is not str and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"'{name}' is {value!r}")
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise LinkError(f"the device introduces itself wrongly: {error}") from None
    return made


_HELLO_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("model", "name", "board", "core"), str),
    **dict.fromkeys(("payload", "ticks", "golden"), int),
    **dict.fromkeys(("frame_rate", "rate", "score_unit"), (int, float)),
    "sensor": bool,
}


def _values(document: dict[str, Any]) -> Values:
    made = Values(
        str(document["dtype"]),
        int(document["size"]),
        float(document["scale"]),
        int(document["zero_point"]),
    )
    if made.dtype not in _TYPES or not 0 < made.size < 1 << 24 or not math.isfinite(made.scale):
        raise ValueError(f"{document} are no values")
    return made


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise TypeError(f"{names!r} are no names")
    return tuple(names)


@dataclass(frozen=True)
class SelfTest:
    """What replaying the golden sequence on the device gave; ticks are of its timer.

    `differing` counts values, `first` is the first step with one.
    """

    steps: int
    differing: int
    first: int
    worst_ticks: int
    total_ticks: int

    FORMAT = struct.Struct("<5I")

    @property
    def passed(self) -> bool:
        """Whether there was something to test, and all of it was right."""
        return self.steps > 0 and self.differing == 0


@dataclass(frozen=True)
class Load:
    """How busy a device is. `overruns` are steps that took longer than the time between two.

    `lost` are samples or events for which there was no time or room, `damaged` frames of the link
    that it dropped; the stack's high-water and size are in bytes, ticks are of its timer.
    """

    steps: int
    last_ticks: int
    worst_ticks: int
    total_ticks: int
    overruns: int
    lost: int
    damaged: int
    stack: int
    stack_size: int

    FORMAT = struct.Struct("<3IQ5I")


@dataclass(frozen=True)
class Scores:
    """A prediction: how many there were with it, its time, and the rest of the payload."""

    count: int
    time_us: int
    raw: bytes


@dataclass(frozen=True)
class DeviceEvent:
    """What the device's detector reports: `edgernn_event_t`."""

    label: int
    score: int
    start_us: int
    end_us: int
    phase: int

    FORMAT = struct.Struct("<iiqqi")


@dataclass(frozen=True)
class Data:
    """Samples that the device's sensor gave, from number `first` on."""

    first: int
    raw: bytes


@dataclass(frozen=True)
class Pushed:
    """The answer to SAMPLES: predictions made so far, and events that found no room."""

    predictions: int
    lost: int

    FORMAT = struct.Struct("<II")


_SCORES: Final = struct.Struct("<Iq")
_DATA: Final = struct.Struct("<I")

Content = Hello | SelfTest | Load | Scores | DeviceEvent | Data | Pushed | int | bytes

_FIXED: Final[dict[int, Any]] = {
    Type.BOOT: SelfTest,
    Type.SELF_TEST | ANSWER: SelfTest,
    Type.STATUS: Load,
    Type.LOAD | ANSWER: Load,
    Type.EVENT: DeviceEvent,
    Type.SAMPLES | ANSWER: Pushed,
}


def parse(kind: int, payload: bytes) -> Content:
    """What a device says. FRAMES' answer stays bytes: `Hello.prediction` parses them.

    Raises:
        LinkError: the payload is none of this type, or the type is unknown.
    """
    if kind == Type.HELLO | ANSWER:
        return parse_hello(payload)
    if kind in _FIXED:
        content = _FIXED[kind]
        if len(payload) != content.FORMAT.size:
            raise LinkError(
                f"a message of type {kind:#04x} has {len(payload)} bytes instead of "
                f"{content.FORMAT.size}"
            )
        made: Content = content(*content.FORMAT.unpack(payload))
        return made
    if kind in (Type.SCORES, Type.DATA):
        head = _SCORES if kind == Type.SCORES else _DATA
        if len(payload) < head.size:
            raise LinkError(f"a message of type {kind:#04x} has only {len(payload)} bytes")
        numbers: tuple[int, ...] = head.unpack_from(payload)
        rest = payload[head.size :]
        if kind == Type.SCORES:
            return Scores(numbers[0], numbers[1], rest)
        return Data(numbers[0], rest)
    if kind == Type.ERROR and len(payload) == 1:
        return payload[0]
    if kind == Type.FRAMES | ANSWER:
        return payload
    plain = (Type.RESET | ANSWER, Type.START | ANSWER, Type.STOP | ANSWER, Type.FAULT)
    if kind in plain and not payload:
        return payload
    raise LinkError(f"the device sends a message of type {kind:#04x} with {len(payload)} bytes")
