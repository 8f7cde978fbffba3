"""The page over HTTP: one address for the page, one for its events, nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import queue
import re
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from edgernn.errors import InputError
from edgernn.view.clients import Clients, hang_up

CONNECTIONS: Final = 32
"""Connections open at once; more are closed as they come."""

TOKEN: Final = 16
"""Fewest characters of a token."""

HEARTBEAT: Final = 5.0
"""Seconds of silence after which a client is written to, to see whether it is still there."""

PAGE: Final = Path(__file__).with_name("page.html").read_bytes()


def _hashes(tag: str) -> str:
    """The page's own scripts or styles, as a Content-Security-Policy names them."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), PAGE, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


POLICY: Final = (
    f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Server(ThreadingHTTPServer):
    """Serves in a thread of its own from the start until `end`."""

    daemon_threads = True
    request_queue_size = 2 * CONNECTIONS

    def __init__(
        self,
        address: str,
        port: int,
        token: str | None,
        clients: Clients,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Bind and serve, over TLS if there is a context for it.

        Raises:
            InputError: see `View`.
        """
        self.address_family, ip = _resolved(address)
        if not ip.is_loopback and token is None:
            raise InputError(
                f"view: others can reach {address}: give a token of {TOKEN} characters or more, "
                "which the page then asks for, or stay at 127.0.0.1"
            )
        if token is not None and len(token) < TOKEN:
            raise InputError(f"view: the token is too short: it needs {TOKEN} characters or more")
        self.token, self.clients, self._tls = token, clients, tls
        self._free = threading.Condition()
        self._open: set[Any] = set()
        try:
            super().__init__((str(ip), port), _Handler)
        except (OSError, OverflowError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise InputError(
                f"view: cannot serve at {address} port {port} ({reason}): choose another port, "
                "or 0 for any free one"
            ) from None
        name = socket.gethostname() if ip.is_unspecified else str(ip)
        name = f"[{name}]" if ":" in name else name
        self.url = f"{'https' if tls else 'http'}://{name}:{self.server_address[1]}/"
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="edgernn-view-http", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without asking the DNS for the machine's name, as HTTPServer would."""
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[Any, Any]:
        """A connection; its handshake happens in its own thread, where it holds up nobody."""
        request, client_address = super().get_request()
        if self._tls is None:
            return request, client_address
        try:
            secure = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        except OSError:
            request.close()
            raise
        return secure, client_address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread."""
        if not isinstance(request, ssl.SSLSocket):
            return super().finish_request(request, client_address)
        request.settimeout(HEARTBEAT)
        request.do_handshake()
        super().finish_request(request, client_address)
        request.settimeout(0)
        with suppress(OSError, ValueError):
            request.unwrap()  # says goodbye, and waits for no answer
        return None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, unless there are too many."""
        with self._free:
            full = len(self._open) >= CONNECTIONS
            if not full:
                self._open.add(request)
        if full:
            self.clients.refuse()
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is over."""
        super().shutdown_request(request)
        with self._free:
            self._open.discard(request)
            self._free.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Stop; clients get a moment to take their last messages."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._free:
            self._free.wait_for(lambda: not self._open, 0.3)
            for request in self._open:
                with suppress(OSError):
                    hang_up(request)
            self._free.wait_for(lambda: not self._open, 0.5)


def _resolved(
    address: str,
) -> tuple[socket.AddressFamily, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
        family, _, _, _, endpoint = found[0]
        return family, ipaddress.ip_address(endpoint[0])
    except (OSError, ValueError, UnicodeError):
        raise InputError(f"view: {address!r} is no address of this machine") from None


def is_own_name(host: str | None) -> bool:
    """Whether a Host header names this machine: by number, as localhost, or by its own name.

    A page of another site that has its name point here (DNS rebinding) sends that name.
    """
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(:\d{1,5})?", host or "")
    if not found:
        return False
    name = found[1].strip("[]").lower().rstrip(".")
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    own = socket.gethostname().lower()
    return name in {"localhost", own, own.partition(".")[0] + ".local"}


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "edgernn", ""
    protocol_version = "HTTP/1.1"
    timeout = HEARTBEAT

    def do_GET(self) -> None:
        """The page, or its events."""
        try:
            url = urlsplit(self.path)
            given = parse_qs(url.query, max_num_fields=8).get("token", [""])[0]
        except ValueError:
            return self._answer(400, "no address of this page\n")
        token = self.server.token
        if not is_own_name(self.headers.get("Host")):
            return self._answer(403, "this page is not served under that name\n")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            return self._answer(403, "add ?token=TOKEN to the address\n")
        if url.path == "/":
            return self._answer(200, PAGE, "text/html; charset=utf-8")
        if url.path == "/events":
            return self._events()
        return self._answer(404, "nothing here: the page is at /\n")

    def _not_allowed(self) -> None:
        self._answer(405, "only GET\n")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _not_allowed  # noqa: N815

    def _answer(self, code: int, text: str | bytes, kind: str = "text/plain") -> None:
        body = text.encode() if isinstance(text, str) else text
        self._start(code, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, code: int, kind: str) -> None:
        self.close_connection = True
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")  # the address may hold the token
        self.send_header("X-Content-Type-Options", "nosniff")
        if code == 405:
            self.send_header("Allow", "GET")

    def _events(self) -> None:
        """Messages until the client leaves, is dropped, or the view ends."""
        # Another site's page cannot read the events, but could take all the places.
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return self._answer(403, "not for other pages\n")
        # A small buffer shows soon who is slow.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        client = self.server.clients.join(self.connection)
        if client is None:
            return self._answer(503, "too many pages are open\n")
        try:
            self._start(200, "text/event-stream")
            self.end_headers()
            self.wfile.write(b"retry: 1000\n\n")
            while True:
                try:
                    message = client.messages.get(timeout=HEARTBEAT)
                except queue.Empty:
                    message = b":\n\n"
                if message is None:
                    return None
                self.wfile.write(message)
        except TimeoutError:
            self.server.clients.drop(client)
        finally:
            self.server.clients.leave(client)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: stderr is the pipeline's, and the address may hold the token."""
