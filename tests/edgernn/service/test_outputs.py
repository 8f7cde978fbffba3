"""Where events and the page go: sinks all or none, and a page that others see over TLS only."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from edgernn.errors import InputError
from edgernn.events import Event
from edgernn.service.outputs import close_sinks, open_page, open_sinks
from edgernn.service.places import Release
from edgernn.service.settings import ViewSettings
from edgernn.view import View
from tests.edgernn.tones import tone_model

TOKEN = "a token nobody guesses"
QUERY = "?token=a%20token%20nobody%20guesses"
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is missing; install with: apt-get install it"
)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path, "tones", "1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert` and its `key`."""
    folder = tmp_path_factory.mktemp("tls")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(["openssl", *command.split(), *names, *files], check=True, capture_output=True)
    return folder


def secured(release: Release, certificate: Path) -> View:
    (release.folder / "token").write_text(TOKEN + "\n")
    cert, key = str(certificate / "cert"), str(certificate / "key")
    return open_page(
        ViewSettings(0, "127.0.0.1", "token", cert, key), release, tone_model().pipeline()
    )


def connected(view: View, certificate: Path) -> http.client.HTTPSConnection:
    port = int(view.url.rstrip("/").rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(certificate / "cert"))
    return http.client.HTTPSConnection("localhost", port, timeout=30, context=context)


@needs_openssl
def test_the_page_is_served_over_tls_and_asks_for_the_token(
    release: Release, certificate: Path
) -> None:
    with secured(release, certificate) as view:
        assert view.url.startswith("https://127.0.0.1:")
        for path, wanted in (("/", 403), ("/" + QUERY, 200), ("/events", 403), ("/x" + QUERY, 404)):
            connection = connected(view, certificate)
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (wanted, True)
            connection.close()


@needs_openssl
def test_events_come_over_tls_and_end_with_the_page(release: Release, certificate: Path) -> None:
    view = secured(release, certificate)
    port = int(view.url.rstrip("/").rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(certificate / "cert"))
    plain = socket.create_connection(("localhost", port), timeout=30)
    # An end without a goodbye is an error here: someone may have cut the page short.
    connection = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
    request = f"GET /events{QUERY} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection.sendall(request.encode())
    heard = connection.recv(1 << 16)
    view.publish({"events": [Event("a", 0.5, 1.0, 2.0)]})
    while b'"label":"a"' not in heard:
        heard += connection.recv(1 << 16)
    assert b"tones 1 \\u00b7 " in heard
    view.close()
    while data := connection.recv(1 << 16):
        heard += data
    assert b"event: end" in heard
    connection.close()


@needs_openssl
def test_who_does_not_speak_tls_holds_nobody_up(release: Release, certificate: Path) -> None:
    with secured(release, certificate) as view:
        port = int(view.url.rstrip("/").rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        silent[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = time.monotonic()
        connection = connected(view, certificate)
        connection.request("GET", "/" + QUERY)
        assert connection.getresponse().status == 200
        assert time.monotonic() - begun < 4
        silent[0].settimeout(30)
        assert b"<html" not in silent[0].recv(4096)
        for one in (*silent, connection):
            one.close()


@needs_openssl
def test_wrong_keys_and_tokens_are_refused(release: Release, certificate: Path) -> None:
    pipeline = tone_model().pipeline()
    cert, key = str(certificate / "cert"), str(certificate / "key")
    locked = release.folder / "locked"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    for pair in ((cert, cert), (key, key), (cert, "/no/key"), (cert, str(locked))):
        with pytest.raises(InputError, match=r"view\.certificate"):
            open_page(ViewSettings(0, "127.0.0.1", "", *pair), release, pipeline)
    (release.folder / "empty").touch()
    (release.folder / "short").write_text("short")
    for name, told in (("none", "cannot be read"), ("empty", "is empty"), ("short", "too short")):
        with pytest.raises(InputError, match=told):
            open_page(ViewSettings(0, "127.0.0.1", name), release, pipeline)


def test_sinks_are_opened_all_or_none(tmp_path: Path) -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InputError, match="no/folder"):
        open_sinks(("one.jsonl", "no/folder"), tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    sinks = open_sinks(("one.jsonl", str(tmp_path / "two.jsonl")), tmp_path)
    for sink in sinks:
        sink.send(Event("a", 0.5, 1.0, 2.0))
    close_sinks(sinks)
    for name in ("one.jsonl", "two.jsonl"):
        assert (tmp_path / name).read_text().count("\n") == 1
