"""What a device answers, which may be anything."""

from __future__ import annotations

import json

import pytest

from edgernn.errors import DeviceError
from targets.pi.device_tool import call
from targets.pi.remote import Reply


class Device:
    """Answers with these lines, whatever it is asked."""

    host = "pi"

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def run(self, words, feed, line, seconds):
        for text in self.lines:
            line(text)
        return Reply(1, "")


def test_nothing_reaches_the_terminal_but_text():
    nasty = "\x1b]0;owned\x07\x1b[2J\r\u202e\u0085a\tb"
    told: list[str] = []
    device = Device(
        "Last login: \x1b[31m",
        *(json.dumps({kind: nasty}) for kind in ("step", "line")),
        json.dumps({"result": {nasty: [nasty, {"x": nasty}], "n": 1}}),
    )
    result = call(device, ["status"], tell=told.append, line=told.append)
    assert result.pop("n") == 1
    ((key, (first, second)),) = result.items()
    for text in [*told, key, first, second["x"]]:
        assert all(c.isprintable() or c == "\t" for c in text)
        assert text.endswith("a\tb")
    assert len(told) == 2


@pytest.mark.parametrize(
    "lines",
    [(), ("[]",), ('{"result": []}',), ('{"result": null}',), ("[" * 100_000,), ('{"x": 1}',)],
)  # fmt: skip
def test_answers_that_are_none(lines):
    with pytest.raises(DeviceError, match="pi: the command ended with 1"):
        call(Device(*lines), ["status"])


def test_errors_are_said():
    with pytest.raises(DeviceError, match=r"pi: no room\?\[2J"):
        call(Device('{"error": "no room\\u001b[2J"}'), ["status"])
