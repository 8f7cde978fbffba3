"""Sinks: files of JSON lines, functions, and a real Mosquitto on loopback."""

import json
import logging
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from edgernn.errors import InputError, MissingDependencyError
from edgernn.events import Event
from edgernn.sinks import mqtt, open_sink
from edgernn.sinks.callback import Callback

EVENT = Event("yes", 0.87654321, 1.5, 2.25)
TOLD = {"event": "on", "label": "yes", "score": 0.876543, "start": 1.5, "end": 2.25}


def numbered(count, first=0):
    return [Event("n", 0.5, float(i), float(i)) for i in range(first, first + count)]


def test_lines_come_behind_those_of_a_file(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"old": 1}\n{"cut": ')
    with open_sink(str(path)) as sink:
        sink.send(EVENT)
        assert json.loads(path.read_text().splitlines()[-1]) == TOLD  # without a close
    assert path.read_text().splitlines()[:2] == ['{"old": 1}', '{"cut": ']
    with pytest.raises(InputError, match="is closed"):
        sink.send(EVENT)


def test_stdout(capsys):
    with open_sink("-") as sink:
        sink.send(EVENT)
    assert json.loads(capsys.readouterr().out) == TOLD


def test_a_full_disk(tmp_path):
    with open_sink("/dev/full") as sink, pytest.raises(InputError, match="no space left"):
        sink.send(EVENT)
    with pytest.raises(InputError, match=r"nowhere/a: cannot be written \(no such file"):
        open_sink(str(tmp_path / "nowhere" / "a"))


def test_a_line_that_a_full_disk_cuts_is_taken_back(tmp_path):
    path = tmp_path / "events.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with open_sink(str(path)) as sink:
            sink.send(EVENT)
            with pytest.raises(InputError, match="cannot be written"):
                sink.send(EVENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [TOLD]


def test_callback():
    found = []
    with Callback(found.append) as sink:
        for event in numbered(50):
            sink.send(event)
    assert found == numbered(50)
    assert not any(sink.counters.values())


def test_a_slow_callback_holds_nothing_up():
    free = threading.Event()
    sink = Callback(lambda _: free.wait(5), patience=0.1)
    begun = time.monotonic()
    for event in numbered(1100):
        sink.send(event)
    sink.close()
    assert time.monotonic() - begun < 2
    counters = sink.counters
    assert counters["dropped_events"] in (99, 100)
    assert sum(counters.values()) >= 1099
    free.set()


def test_a_callback_that_raises():
    sink = Callback(lambda _: 1 / 0)
    sink.send(EVENT)
    with pytest.raises(ZeroDivisionError):
        sink.close()
    assert sink.counters["undelivered_events"] == 1


@pytest.mark.parametrize(
    "url", ["mqtt://", "mqtt://host", "mqtt://host/", "mqtt:///topic", "mqtt://host:x/a"]
)
def test_urls_that_are_incomplete(url):
    with pytest.raises(InputError, match=r"the form is mqtt://|of the form mqtt://"):
        open_sink(url)


def test_a_topic_with_a_wildcard():
    with pytest.raises(InputError, match="wildcard"):
        open_sink("mqtt://host/a/+")


def test_paho_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgernn\[mqtt\]'") as told:
        open_sink("mqtt://user:secret@host/a")
    assert "secret" not in str(told.value)


class Broker:
    """A Mosquitto that can be stopped and started again."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, *more):
        lines = [f"listener {self.port} 127.0.0.1", *(more or ["allow_anonymous true"])]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen(
            [binary, "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def _answers(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def listen(self, topic):
        """The messages that come, as a list that grows."""
        from paho.mqtt import client as paho

        found, ready = [], threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _c, _d, message: found.append(json.loads(message.payload))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert ready.wait(5)
        self.listeners = [*getattr(self, "listeners", []), client]
        return found

    def end(self):
        for client in getattr(self, "listeners", []):
            client.disconnect()
            client.loop_stop()
        self.stop()


def until(condition, seconds=8.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@pytest.fixture
def broker(tmp_path):
    pytest.importorskip("paho.mqtt", reason="pip install 'edgernn[mqtt]'")
    if not (shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")):
        pytest.skip("apt-get install mosquitto")
    broker = Broker(tmp_path)
    yield broker
    broker.end()


def test_mqtt(broker):
    broker.start()
    found = broker.listen("home/events")
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/home/events") as sink:
        sink.send(EVENT)
    until(lambda: found)
    assert found == [TOLD]
    assert not any(sink.counters.values())


def test_a_broker_that_comes_late(broker, caplog):
    with caplog.at_level(logging.WARNING):
        sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/a")
        for event in numbered(30):
            sink.send(event)
        until(lambda: sink.counters["broker_away"])
        broker.start()
        sink.close()
    assert sink.counters["undelivered_events"] == 0
    assert sink.counters["reconnects"] == 1
    assert "the broker is away" in caplog.text


def test_a_broker_that_goes_and_comes_back(broker):
    broker.start()
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/a") as sink:
        sink.send(EVENT)
        until(lambda: not sink._waiting)
        broker.stop()
        until(lambda: sink.counters["broker_away"] == 1)
        for event in numbered(100):
            sink.send(event)
        broker.start()
        found = broker.listen("a")
        until(lambda: len(found) >= 100)
    assert sorted({message["start"] for message in found}) == [float(i) for i in range(100)]
    assert sink.counters["reconnects"] == 1
    assert sink.counters["dropped_events"] == sink.counters["undelivered_events"] == 0


def test_a_broker_that_stays_away(broker, monkeypatch):
    monkeypatch.setattr(mqtt, "PATIENCE", 0.3)
    monkeypatch.setattr(mqtt, "QUEUE", 40)
    begun = time.monotonic()
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/a") as sink:
        for event in numbered(100):
            sink.send(event)
    assert time.monotonic() - begun < 5
    assert sink.counters["dropped_events"] == 60
    assert sink.counters["undelivered_events"] == 40


def test_a_broker_that_refuses(broker):
    broker.start("allow_anonymous false")
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/a") as sink:
        until(lambda: sink._refused)
        with pytest.raises(InputError, match="the broker refuses"):
            sink.send(EVENT)
    assert sink.counters["undelivered_events"] == 1
