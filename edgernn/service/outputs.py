"""Where the service's events go: sinks, and the live page, opened by the settings."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgernn.errors import InputError
from edgernn.service.places import Release
from edgernn.service.settings import ViewSettings, secret_path
from edgernn.sinks import Sink, open_sink
from edgernn.view import View
from edgernn.view.tap import page_of

if TYPE_CHECKING:
    from edgernn.pipeline import Pipeline


def open_sinks(publish: tuple[str, ...], state: Path) -> list[Sink]:
    """The sinks of the settings, all or none; files without a folder are in `state`.

    Raises:
        InputError, MissingDependencyError: one cannot be opened.
    """
    opened: list[Sink] = []
    try:
        for spec in publish:
            is_file = not spec.startswith(("mqtt:", "mqtts:"))
            opened.append(open_sink(str(state / spec) if is_file else spec))
    except BaseException:
        close_sinks(opened)
        raise
    return opened


def close_sinks(sinks: list[Sink]) -> None:
    """Close them all, whatever one of them says."""
    for sink in sinks:
        with suppress(Exception):
            sink.close()


def open_page(settings: ViewSettings, release: Release, pipeline: Pipeline) -> View:
    """The live page of the settings.

    Raises:
        InputError: the token or the certificate cannot be read, or it cannot be served there.
    """
    token = None
    if settings.token_file:
        token = _read(settings.token_file, release.folder, "view.token_file")
    tls = _tls(settings, release.folder) if settings.certificate else None
    name = f"{release.name} {release.id}"
    return page_of(pipeline, settings.address, settings.port, token, tls, name)


def _read(name: str, release: Path, field: str) -> str:
    path = secret_path(name, release)
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is no text").lower()
        raise InputError(f"{field}: {path} cannot be read ({reason})") from None
    if not text:
        raise InputError(f"{field}: {path} is empty")
    return text


def _tls(settings: ViewSettings, release: Path) -> ssl.SSLContext:
    certificate = secret_path(settings.certificate, release)
    key = secret_path(settings.key, release)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")  # one with a password is refused
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"view.certificate, view.key: {certificate} and {key} are no certificate with its key "
            f"({reason.lower()})"
        ) from None
    return context
