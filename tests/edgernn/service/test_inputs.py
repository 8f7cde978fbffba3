"""The input: opened again and again, with growing pauses, and closed at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgernn.closing import Closing
from edgernn.errors import InputError
from edgernn.service import inputs
from edgernn.service.inputs import QUEUE, Input, Mark
from edgernn.service.settings import Settings
from edgernn.sources import Block
from tests.edgernn.tones import FRONT_END


class Source(Closing):
    """Gives some blocks, then fails, ends, or waits until it is closed."""

    live, rate = True, 8000.0

    def __init__(self, blocks: int, end: Callable[[], object] | None = None) -> None:
        self.counters = {"dropped_samples": blocks}
        self._blocks, self._end = blocks, end
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Block]:
        for i in range(self._blocks):
            yield Block(np.full(10, i, np.int16))
        if self._end is not None:
            self._end()
        else:
            self.closed.wait(60)

    def close(self) -> None:
        self.closed.set()


def unplugged() -> None:
    raise InputError("microphone: has given no sound for 5 s")


def crash() -> None:
    raise ZeroDivisionError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Input, list[Any], list[str]]]:
    """An input of these sources or errors in turn, the times of their openings, what it told."""

    def make(*sources: Source | Exception, **settings: Any) -> tuple[Input, list[Any], list[str]]:
        given, openings, told = iter(sources), [], []

        def open_source(*_: Any, **__: Any) -> Source:
            openings.append(time.monotonic())
            one = next(given)
            if isinstance(one, Exception):
                raise one
            return one

        monkeypatch.setattr(inputs, "open_source", open_source)
        made = Settings("microphone:", **settings)
        return Input(made, FRONT_END, told.append, (0.05, 0.2)), openings, told

    return make


def items(given: Input, count: int) -> list[Any]:
    found = [given.queue.get(timeout=30) for _ in range(count)]
    return [int(one.samples[0]) if isinstance(one, Block) else one for one in found]


def test_a_source_that_fails_is_opened_again_behind_growing_pauses(opened: Any) -> None:
    away = InputError("microphone: there is no such device")
    sources = [away, away, away, away, Source(2, unplugged), Source(1, crash), Source(1)]
    given, openings, told = opened(*sources)
    given.start()
    assert items(given, 3) == [Mark.BEGUN, 0, 1]
    assert items(given, 4) == [Mark.BEGUN, 0, Mark.BEGUN, 0]
    pauses = np.diff(openings)
    for pause, wanted in zip(pauses, [0.05, 0.1, 0.2, 0.2, 0.2], strict=False):
        assert pause >= wanted
    assert given.failures == 6
    assert (given.state, given.error) == ("open", "")
    assert given.counters == {"dropped_samples": 4}
    given.close()
    assert [line for line in told if "no such device" in line] == told[:1]  # said once
    assert sum("is there again" in line for line in told) == 3
    assert any("ZeroDivisionError" in line for line in told)
    assert all(one.closed.is_set() for one in sources if isinstance(one, Source))


def test_an_end_is_told_or_begins_anew(opened: Any) -> None:
    given, *_ = opened(Source(2, lambda: None))
    given.start()
    assert items(given, 4) == [Mark.BEGUN, 0, 1, Mark.ENDED]
    assert given.state == "ended"
    given.close()
    again, *_ = opened(Source(1, lambda: None), Source(1, lambda: None), Source(0), repeat=True)
    again.start()
    assert items(again, 5) == [Mark.BEGUN, 0, Mark.BEGUN, 0, Mark.BEGUN]
    again.close()


def test_a_recording_without_samples_is_no_endless_loop(opened: Any) -> None:
    given, openings, _ = opened(*(Source(0, lambda: None) for _ in range(4)), repeat=True)
    given.start()
    assert items(given, 2) == [Mark.BEGUN, Mark.BEGUN]
    assert "no samples" in given.error
    assert openings[1] - openings[0] >= 0.05
    given.close()


def test_a_full_queue_makes_the_source_wait_and_close_does_not(opened: Any) -> None:
    given, *_ = opened(Source(100))
    given.start()
    while given.queue.qsize() < QUEUE:
        time.sleep(0.01)
    begun = time.monotonic()
    given.close()
    assert time.monotonic() - begun < 3
    assert given.queue.qsize() == QUEUE


def test_one_that_must_open_says_why_it_does_not(opened: Any) -> None:
    given, *_ = opened(InputError("microphone: there is no such device"))
    with pytest.raises(InputError, match="no such device"):
        given.start(must_open=True)
    given.close()
    wrong, *_ = opened(options={"realtime": "perhaps"})
    with pytest.raises(InputError, match="realtime: must be true or false"):
        wrong.start(must_open=True)
