"""The control socket: who may ask, what is refused, recordings without a gap."""

from __future__ import annotations

import base64
import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.service.audience import LINES, Audience
from edgernn.service.client import ask, wait_for
from edgernn.service.control import CONNECTIONS, Control
from edgernn.sources import Block


class Service:
    """Answers without a pipeline."""

    def __init__(self) -> None:
        self.audience = Audience()
        self.allowed: tuple[str, ...] = ()

    def status(self) -> dict[str, Any]:
        return {"state": "running"}

    def hello(self) -> dict[str, Any]:
        return {"hello": {"rate": 100.0}}

    def logs(self, count: int) -> list[dict[str, Any]]:
        return [{"number": i} for i in range(count)]

    def reload(self) -> list[str]:
        raise InputError("run.toml: input is 3")

    def users(self) -> tuple[str, ...]:
        return self.allowed


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def path(service: Service, tmp_path: Path) -> Iterator[Path]:
    control = Control(tmp_path / "control.sock", service)
    yield tmp_path / "control.sock"
    service.audience.end()
    control.end()


def answers(path: Path, request: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ask(path, request, 30.0)]


def test_each_request_has_its_answer(path: Path) -> None:
    assert answers(path, "status") == [{"state": "running"}]
    assert answers(path, "logs 2") == [{"number": 0}, {"number": 1}]
    assert answers(path, "reload") == [{"error": "run.toml: input is 3"}]
    assert wait_for(path, 5.0)


@pytest.mark.parametrize(
    "request_line",
    ["", "nothing", "status now", "logs", "logs -1", "logs 0", "logs 1e3", "logs 999999999",
     "record", "record 0", "record nan", "record inf", "record -1", "x" * 5000, "\0", "logs ١x"],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(path: Path, request_line: str) -> None:
    (answer,) = answers(path, request_line)
    assert list(answer) == ["error"]
    assert answers(path, "status") == [{"state": "running"}]


def test_a_socket_that_a_dead_process_left_is_replaced(service: Service, tmp_path: Path) -> None:
    left = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    control = Control(left, service)
    assert answers(left, "status") == [{"state": "running"}]
    control.end()
    assert not left.exists()
    with pytest.raises(InputError, match="no service answers"):
        answers(left, "status")
    with pytest.raises(InputError, match="cannot listen"):
        Control(tmp_path / "no" / "folder", service)


NOBODY = 65534


def as_nobody(path: Path, request: str) -> str:
    """The answer that another user gets, who is a child of this process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(request.encode() + b"\n")
                os.write(write, connection.makefile("rb").readline())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as answer:
        return answer.read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_other_users_may_ask_for_status_only(service: Service) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "control.sock"
        control = Control(path, service)
        assert "running" in as_nobody(path, "status")
        for request in ("logs 1", "watch", "record 1", "reload"):
            assert "'nobody' may only ask for status" in as_nobody(path, request)
        service.allowed = ("nobody",)
        assert '"number"' in as_nobody(path, "logs 1")
        control.end()


def blocks(count: int, size: int = 7) -> list[Block]:
    random = np.random.default_rng(0)
    return [Block(random.integers(-99, 99, size).astype(np.int16)) for _ in range(count)]


def recording(path: Path, service: Service, seconds: float, given: list[Block]) -> Any:
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.extend(answers(path, f"record {seconds}")))
    thread.start()
    while not service.audience._clients:
        pass
    for block in given:
        service.audience.record(block)
    return thread, found


def test_a_recording_is_the_samples_as_they_came(path: Path, service: Service) -> None:
    given = blocks(30)
    thread, found = recording(path, service, 1.0, given)
    thread.join(30)
    assert found[0] == {"hello": {"rate": 100.0}}
    assert found[-1] == {"end": True, "samples": 100}
    parts = [np.frombuffer(base64.b64decode(line["data"]), "<i2") for line in found[1:-1]]
    assert [line["first"] for line in found[1:-1]] == [7 * i for i in range(len(parts))]
    whole = np.concatenate([block.samples for block in given])
    assert np.concatenate(parts).tolist() == whole[:100].tolist()


def test_a_sensors_times_are_recorded_too(path: Path, service: Service) -> None:
    samples = np.array([[1.5, -2.0], [0.1, 7.0]])
    thread, found = recording(path, service, 0.02, [Block(samples, np.array([5, 9]))])
    thread.join(30)
    line = found[1]
    assert np.frombuffer(base64.b64decode(line["data"]), "<f8").tolist() == samples.ravel().tolist()
    assert np.frombuffer(base64.b64decode(line["times"]), "<i8").tolist() == [5, 9]


def test_a_recording_with_a_gap_ends_with_an_error(path: Path, service: Service) -> None:
    thread, found = recording(path, service, 60.0, blocks(3))
    service.audience.interrupt("the input was opened anew")
    thread.join(30)
    assert found[-1] == {"error": "the input was opened anew"}


def test_a_client_that_does_not_read_loses_lines_and_holds_nobody_up() -> None:
    audience = Audience()
    watching, recording = audience.join(), audience.join(wanted=10**9)
    for i in range(2 * LINES):
        audience.tell(lambda: {"time": i})  # noqa: B023
        audience.record(blocks(1)[0])
    lines = [watching.lines.get_nowait() for _ in range(LINES)]
    assert json.loads(lines[-1] or b"") == {"time": LINES - 1}
    audience.tell(lambda: {"time": -1})
    assert json.loads(watching.lines.get_nowait() or b"") == {"lost": LINES}
    assert json.loads(watching.lines.get_nowait() or b"") == {"time": -1}
    ended = [recording.lines.get_nowait() for _ in range(LINES)]
    assert ended[-1] is None
    assert b"too slow" in (ended[-2] or b"")
    audience.end()
    assert watching.lines.get_nowait() is None


def test_too_many_clients_are_turned_away_and_the_others_served(path: Path) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS)]
    for one in silent:
        one.connect(str(path))
    with socket.socket(socket.AF_UNIX) as late:
        late.connect(str(path))
        late.settimeout(30)
        assert late.recv(1) == b""
    for one in silent:
        one.close()
    assert wait_for(path, 30)
