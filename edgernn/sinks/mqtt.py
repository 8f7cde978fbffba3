"""Events to an MQTT broker, through `paho-mqtt`."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edgernn.closing import Closing
from edgernn.errors import InputError, MissingDependencyError
from edgernn.events import Event
from edgernn.sinks import told

QUEUE: Final = 1000
"""Events that wait for a broker at most."""
PATIENCE: Final = 5.0
"""Seconds in which `close` tries to deliver what is left."""
BACKOFF: Final = (1, 30)
"""Seconds between attempts to connect: at first, and at most."""

_log = logging.getLogger(__name__)


class Mqtt(Closing):
    """A topic of a broker: `mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC`, `mqtts://` with TLS.

    A message is an event as JSON, delivered at least once (QoS 1). While the broker is away events
    wait; those that find no place are counted as `dropped_events`, and those that nobody took until
    the end as `undelivered_events`.
    """

    def __init__(self, url: str) -> None:
        """Begin to connect, which a broker that is away only delays.

        Raises:
            InputError: the URL names no host or topic.
            MissingDependencyError: `paho-mqtt` is not installed.
        """
        parts = _parts(url)
        self._topic = unquote(parts.path[1:])
        # The password must not get into messages.
        self._where = f"{parts.scheme}://{parts.hostname}/{self._topic}"
        try:
            from paho.mqtt import client as paho
        except ImportError:
            raise MissingDependencyError(
                f"{self._where}: needs paho-mqtt: run `pip install 'edgernn[mqtt]'`"
            ) from None
        self.counters = {
            "broker_away": 0,
            "reconnects": 0,
            "dropped_events": 0,
            "undelivered_events": 0,
        }
        self._lock = threading.Lock()
        self._waiting, self._connected, self._closed = 0, False, False
        self._refused = ""
        self._full = paho.MQTT_ERR_QUEUE_SIZE
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(QUEUE)
        self._client.reconnect_delay_set(*BACKOFF)
        self._client.connect_timeout = PATIENCE / 2
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        if parts.username:
            password = None if parts.password is None else unquote(parts.password)
            self._client.username_pw_set(unquote(parts.username), password)
        secure = parts.scheme == "mqtts"
        if secure:
            self._client.tls_set()
        port = parts.port or (8883 if secure else 1883)
        self._client.connect_async(str(parts.hostname), port, keepalive=10)
        self._client.loop_start()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason).lower()
            return
        self._refused, self._connected = "", True
        if self.counters["broker_away"]:
            self.counters["reconnects"] += 1
            _log.warning("%s: the broker is there", self._where)

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        if not self.counters["broker_away"]:
            self._away("cannot be reached")

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        was, self._connected = self._connected, False
        if was and not self._closed:
            self._away(str(reason).lower())

    def _away(self, told: str) -> None:
        self.counters["broker_away"] += 1
        _log.warning("%s: the broker is away (%s), events wait for it", self._where, told)

    def _on_publish(self, _client: Any, _data: Any, _mid: int, reason: Any, _: Any) -> None:
        with self._lock:
            self._waiting -= 1
            if reason.is_failure:
                self.counters["undelivered_events"] += 1

    def send(self, event: Event) -> None:
        """Hand an event over to be sent.

        Raises:
            InputError: the broker refuses the user, or this is closed.
        """
        if self._closed:
            raise InputError(f"{self._where}: is closed")
        with self._lock:
            self._waiting += 1
        try:
            sent = self._client.publish(self._topic, json.dumps(told(event)), qos=1)
        except ValueError as error:  # a topic that a broker would refuse
            raise InputError(f"{self._where}: cannot be published ({error})") from None
        if sent.rc == self._full:
            with self._lock:
                self._waiting -= 1
                self.counters["dropped_events"] += 1
        if self._refused:
            raise InputError(f"{self._where}: the broker refuses ({self._refused})")

    def close(self) -> None:
        """Wait a few seconds for the broker to take what is left, and disconnect."""
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + PATIENCE
        while self._waiting and time.monotonic() < deadline and not self._refused:
            time.sleep(0.02)
        self._client.disconnect()
        # It may be in the middle of an attempt to connect, which is not waited for.
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)
        ending.start()
        ending.join(2.0)
        with self._lock:
            self.counters["undelivered_events"] += self._waiting
            self._waiting = 0


def _parts(url: str) -> Any:
    form = "mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError(
            f"sink: the port of an MQTT URL is no number; the form is {form}"
        ) from None
    topic = unquote(parts.path[1:])
    if not parts.hostname or port == 0 or not topic or parts.query or parts.fragment:
        raise InputError(f"sink: an MQTT URL must be of the form {form}")
    if "+" in topic or "#" in topic:
        raise InputError(f"sink: the topic '{topic}' holds a wildcard, which cannot be published")
    return parts
