"""The live page: what it serves, to whom, and that nobody can hold it up."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.events import Event
from edgernn.view import View
from edgernn.view.clients import CLIENTS
from edgernn.view.server import CONNECTIONS, is_own_name
from edgernn.view.updates import ROWS, digest

TOKEN = "a token nobody guesses"
QUERY = "?token=a%20token%20nobody%20guesses"


@pytest.fixture
def view() -> Iterator[View]:
    with View(title="digits", labels=("yes", "no")) as opened:
        yield opened


def ask(
    view: View, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of one request."""
    connection = http.client.HTTPConnection(address(view), timeout=5)
    with closing(connection):
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers)


def address(view: View) -> str:
    return view.url.removeprefix("http://").rstrip("/")


@contextmanager
def looking(view: View, path: str = "/events") -> Iterator[Iterator[tuple[str, Any]]]:
    """A client's messages: their kinds and contents."""
    connection = http.client.HTTPConnection(address(view), timeout=5)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200

        def messages() -> Iterator[tuple[str, Any]]:
            kind = ""
            for line in answer:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

        yield messages()


def event(label: str, at: float) -> Event:
    return Event(label, 0.9, at, at + 0.5)


def test_the_page_needs_nothing_else(view: View) -> None:
    status, page, headers = ask(view)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2  # the script and the style it has, and no other


@pytest.mark.parametrize(
    "path", ["/page.html", "/../clients.py", "/%2e%2e/clients.py", "//etc/passwd", "/events/x"]
)
def test_nothing_else_is_served(view: View, path: str) -> None:
    assert ask(view, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_only_get(view: View, method: str) -> None:
    status, _, headers = ask(view, method=method)
    assert (status, headers["Allow"]) == (405, "GET")


def test_a_client_is_greeted_and_gets_updates_and_events_in_order(view: View) -> None:
    view.publish({"events": [event("yes", 0.0)], "counters": {"gaps": np.int64(3)}})
    time.sleep(0.15)
    with looking(view) as messages:
        kind, hello = next(messages)
        assert kind == "hello"
        assert (hello["title"], hello["labels"]) == ("digits", ["yes", "no"])
        assert [one["label"] for one in hello["events"]] == ["yes"]
        assert hello["counters"] == {"gaps": 3}
        for number in range(1, 200):
            view.publish(
                {"times": [number], "scores": [[0.5, 0.25]], "events": [event("no", number)]}
            )
            time.sleep(0.001)
        starts: list[float] = []
        while len(starts) < 199:
            kind, update = next(messages)
            assert kind == "update"
            starts += [one["start"] for one in update.get("events", [])]
            assert update["scores"][-1] == [0.5, 0.25]
        assert starts == list(range(1, 200))


def test_updates_come_twenty_times_a_second_whatever_the_frame_rate(view: View) -> None:
    stop = time.monotonic() + 1.0
    published = 0
    with looking(view) as messages:
        next(messages)
        while time.monotonic() < stop:
            view.publish({"times": [published], "scores": [[0.0, 0.0]]})
            published += 1
            time.sleep(0.0005)
        view.close()
        kinds = [kind for kind, _ in messages]
    assert published > 100
    assert kinds[-1] == "end"
    assert 5 <= len(kinds) <= 23


def test_peaks_survive_the_thinning() -> None:
    scores = np.zeros((1000, 2), np.float32)
    scores[617, 1] = 0.875
    message = digest([{"times": np.arange(1000) / 100, "scores": scores}])
    assert len(message["scores"]) == len(message["times"]) == ROWS
    assert max(row[1] for row in message["scores"]) == 0.875
    assert message["times"][-1] == 9.99
    message = digest(
        [{"channels": scores - 1}, {"channels": scores}, {"level": 0.25}, {"level": 0.1}]
    )
    assert min(row[1] for row in message["low"]) == -1
    assert max(row[1] for row in message["high"]) == 0.875
    assert message["level"] == 0.25


def test_values_that_are_no_numbers_are_gaps() -> None:
    message = digest([{"channels": np.array([[math.nan, 1.0]]), "latency": math.inf}])
    assert message["low"] == [[None, 1.0]]
    json.dumps(message, allow_nan=False)


def test_what_cannot_be_shown_is_refused(view: View) -> None:
    with pytest.raises(InputError, match=r"'score'.*scores"):
        view.publish({"score": 1.0})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(InputError, match="rows of 2 values"):
        view.publish({"scores": [[1.0, 2.0, 3.0]]})
    with pytest.raises(InputError, match="2 times for 1 rows"):
        view.publish({"times": [1, 2], "scores": [[1.0, 2.0]]})


def test_the_caller_may_change_its_arrays(view: View) -> None:
    with looking(view) as messages:
        next(messages)
        scores = np.array([[0.5, 0.5]], np.float32)
        view.publish({"scores": scores})
        scores[:] = 0
        assert next(messages)[1]["scores"] == [[0.5, 0.5]]


def test_a_slow_client_is_dropped_and_nobody_waits(view: View) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = address(view).split(":")
    slow.connect((host, int(port)))
    slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    frames = np.random.default_rng(1).normal(size=(ROWS, 1000))
    with closing(slow):
        deadline = time.monotonic() + 15
        while not view.counters["clients_dropped"] and time.monotonic() < deadline:
            begun = time.monotonic()
            view.publish({"features": frames})
            assert time.monotonic() - begun < 0.5
            time.sleep(0.05)
    assert view.counters["clients_dropped"] == 1
    with looking(view) as messages:  # the place is free, and others are served
        assert next(messages)[0] == "hello"


def test_so_many_clients_and_no_more(view: View) -> None:
    host, port = address(view).split(":")
    clients = [socket.create_connection((host, int(port)), 5) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(15).startswith(b"HTTP/1.1 200")
    with socket.create_connection((host, int(port)), 5) as late:
        late.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert late.recv(12) == b"HTTP/1.1 503"
    assert view.counters["clients_refused"] == 1
    for client in clients:
        client.close()
    for _ in range(100):  # gone clients are noticed by the next messages
        view.publish({"level": 0.5})
        time.sleep(0.05)
        if not view._clients._open:
            break
    with looking(view) as messages:
        assert next(messages)[0] == "hello"


def test_idle_connections_do_not_pile_up(view: View) -> None:
    host, port = address(view).split(":")
    idle = [socket.create_connection((host, int(port)), 5) for _ in range(CONNECTIONS + 8)]
    deadline = time.monotonic() + 4
    while view.counters["clients_refused"] < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert view.counters["clients_refused"] == 8
    for connection in idle:
        connection.close()
    while view._server._open and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ask(view)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_another_name_for_this_machine_is_refused(view: View, host: str) -> None:
    for path in ("/", "/events"):
        assert ask(view, path, headers={"Host": host})[0] == 403


def test_names_of_this_machine() -> None:
    for own in ("localhost:80", "127.0.0.1:8000", "192.168.1.7", "[::1]:8000", "LOCALHOST"):
        assert is_own_name(own)
    assert is_own_name(socket.gethostname() + ":8000")
    for other in (None, "[evil]", "[::1", "a:b:c", "localhost:port", "::1.evil"):
        assert not is_own_name(other)


def test_pages_of_other_sites_take_no_place(view: View) -> None:
    assert ask(view, "/events", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_others_need_a_token_to_reach() -> None:
    with pytest.raises(InputError, match=r"others can reach 0\.0\.0\.0.*token of 16"):
        View("0.0.0.0")
    with pytest.raises(InputError, match="too short"):
        View("0.0.0.0", token="1234")


@pytest.mark.parametrize("path", ["/", "/events", "/nothing"])
def test_nothing_without_the_token(capfd: pytest.CaptureFixture[str], path: str) -> None:
    with View(token=TOKEN) as view:
        assert TOKEN not in view.url
        for wrong in ("", "?token=", "?token=a+token+nobody+guesse", "?token=%FF", "?tok=1"):
            assert ask(view, path + wrong)[0] == 403
        if path == "/":
            assert ask(view, path + QUERY)[0] == 200
        if path == "/events":
            with looking(view, path + QUERY) as messages:
                assert next(messages)[0] == "hello"
    told = capfd.readouterr()
    assert told.out + told.err == ""  # least of all the token


def test_a_port_that_is_taken(view: View) -> None:
    port = int(address(view).split(":")[1])
    with pytest.raises(InputError, match=f"port {port} .*in use.*another port") as error:
        View(port=port)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no address of this machine"):
        View("no such host.invalid")
    with pytest.raises(InputError, match="port 70000"):
        View(port=70000)


def test_close_ends_everything_at_once() -> None:
    before = set(threading.enumerate())
    view = View()
    with looking(view) as messages:
        assert next(messages)[0] == "hello"
        view.publish({"events": [event("last", 1.0)]})
        begun = time.monotonic()
        view.close()
        assert time.monotonic() - begun < 1.0
        rest = list(messages)
    assert [kind for kind, _ in rest] == ["update", "end"]
    assert rest[0][1]["events"][0]["label"] == "last"
    assert set(threading.enumerate()) <= before
    view.close()
    view.publish({"level": 0.5})  # a pipeline that is still at work does no harm
    with pytest.raises(ConnectionRefusedError):
        ask(view)
