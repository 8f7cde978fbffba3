"""`edgernn record USER@HOST`: samples of a service on a Linux device, as it hears them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edgernn.link.messages import Hello

_TYPES = ("int16", "float64")


class _Take:
    """What has come of a recording."""

    def __init__(self, host: str, tell: Callable[[float], None]) -> None:
        self.host, self.tell = host, tell
        self.hello: Hello | None = None
        self.parts: list[npt.NDArray[Any]] = []
        self.times: list[npt.NDArray[np.int64]] = []
        self.count, self.ended = 0, False

    def take(self, line: dict[str, Any]) -> None:
        """One line of the answer."""
        from edgernn.errors import DeviceError

        try:
            if "hello" in line:
                self.hello = _hello(line["hello"], self.host)
            elif "data" in line:
                self._samples(line)
            elif "end" in line:
                self.ended = line["samples"] == self.count
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DeviceError(f"{self.host}: the service sends no samples: {error}") from None

    def _samples(self, line: dict[str, Any]) -> None:
        if self.hello is None or self.hello.sample is None or line["first"] != self.count:
            raise ValueError(f"{line['first']} is not the number of the next one, {self.count}")
        raw = base64.b64decode(line["data"], validate=True)
        self.parts.append(self.hello.sample.parse(raw))
        if "times" in line:
            clock = np.frombuffer(base64.b64decode(line["times"], validate=True), "<i8")
            self.times.append(clock.astype(np.int64))
        self.count += len(self.parts[-1])
        self.tell(self.count / self.hello.rate)


def record_host(
    host: str,
    name: str | None,
    ssh_config: Path | None,
    seconds: float,
    tell: Callable[[float], None],
) -> tuple[Hello, npt.NDArray[Any], npt.NDArray[np.int64] | None]:
    """Raw samples `(n, channels)` of so many seconds, without a gap, and their times if there are.

    `tell` gets the seconds that are there.

    Raises:
        DeviceError: it cannot be reached, the service refuses, or samples were lost.
    """
    from edgernn.cli.service_answers import answer
    from edgernn.errors import DeviceError

    take = _Take(host, tell)
    answer(host, name, ssh_config, f"record {seconds:.6f}", take.take)
    if take.hello is None or not take.ended:
        raise DeviceError(f"{host}: the service ended the recording after {take.count:,} samples")
    samples = np.concatenate(take.parts)
    times = np.concatenate(take.times) if take.times else None
    if times is not None and len(times) != len(samples):
        raise DeviceError(f"{host}: the service sends {len(times):,} times of {len(samples):,}")
    return take.hello, samples, times


def _hello(told: dict[str, Any], host: str) -> Hello:
    """As a board would introduce itself."""
    from edgernn.link.messages import Hello, Values

    sample, rate = told["sample"], float(told["rate"])
    if sample["dtype"] not in _TYPES or not 0 < int(sample["size"]) < 1 << 16 or not 0 < rate < 1e9:
        raise ValueError(f"{sample} at {rate:g} a second is no kind of sample")
    nothing = Values("int8", 1)
    return Hello(
        model=str(told["model"]),
        name=str(told["name"]),
        board=host,
        core="",
        frame=nothing,
        prediction=nothing,
        payload=0,
        ticks=1,
        rate=rate,
        sample=Values(sample["dtype"], int(sample["size"]), float(sample["scale"])),
        columns=tuple(map(str, told["columns"])),
        sensor=True,
    )
