"""What is asked of a running service, which may have gone mad."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgernn.releases import supervisor
from edgernn.releases.supervisor import request


@contextlib.contextmanager
def service(path: Path, *parts: bytes, forever: bool = False) -> Iterator[None]:
    """Something that answers with these bytes, once or without end."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(100)
            for part in parts:
                connection.sendall(part)
            while forever:
                connection.sendall(parts[-1])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ((b'{"release"', b': "x"}\n'), [{"release": "x"}]),
        ((b'{"a": 1}\n{"a": 2}\n',), [{"a": 1}, {"a": 2}]),
        ((b"",), [{}]), ((b"nonsense\n",), [{}]), ((b"[1]\n2\n",), [{}]), ((b"\xff\xfe\n",), [{}]),
    ],
)  # fmt: skip
def test_answers(tmp_path, parts, answer):
    with service(tmp_path / "s", *parts):
        assert request(tmp_path / "s", "status") == answer


def test_a_service_that_never_stops_talking(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_ANSWER_BYTES", 1 << 20)
    start = time.monotonic()
    with service(tmp_path / "s", b'{"a": 1}\n' * 1000, forever=True):
        request(tmp_path / "s", "status")
    assert time.monotonic() - start < 5


def test_nobody_there(tmp_path):
    assert request(tmp_path / "s", "status") == [{}]
