"""What a service does: `run.toml`, read strictly. Every error names the file and the field."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.configuration import read_configuration
from edgernn.errors import InputError

BACKENDS: Final = ("auto", "native", "litert", "tflite-runtime")
FILE: Final = "run.toml"
"""Its name in a release."""
TEXT: Final = 4096
"""Characters that a text has at most."""


@dataclass(frozen=True)
class LogSettings:
    """The event log: `bytes` it takes on disk at most, and how long an event may wait for the disk.

    With `sync_seconds` 0 each event is on the disk before anybody is told of it; else 1 and more.
    """

    bytes: int = 1 << 20
    sync_seconds: float = 5.0


@dataclass(frozen=True)
class ViewSettings:
    """The live page. Where others reach `address`, a token and TLS are needed.

    `token_file`, `certificate` and `key` are absolute paths, or names of systemd credentials; see
    `secret_path`.
    """

    port: int = 8765
    address: str = "127.0.0.1"
    token_file: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Settings:
    """All that can be chosen. `input` and `options` are those of `edgernn run --input`, `--option`.

    `model` is a file of the release. `repeat` begins an input that has an end anew. `publish` are
    MQTT URLs and files of JSON lines, those without a folder in the service's state folder.
    `keep_state` saves the stream's state every `snapshot_seconds`, and at the end, and goes on with
    it at the next start. `users` may watch, record and reload beside root. Without `view` there is
    no live page.
    """

    input: str
    model: str = "model.tflite"
    options: Mapping[str, Any] = field(default_factory=dict)
    repeat: bool = False
    backend: str = "auto"
    publish: tuple[str, ...] = ()
    keep_state: bool = False
    snapshot_seconds: float = 10.0
    users: tuple[str, ...] = ()
    log: LogSettings = LogSettings()
    view: ViewSettings | None = None

    def to_toml(self) -> str:
        """The file that gives these settings."""
        return _toml(self)


def read_settings(path: Path, override: Path | None = None) -> Settings:
    """The settings of a file; fields and tables of `override`, if it exists, replace its own.

    Raises:
        InputError: a file cannot be read, or a field is missing, unknown or wrong.
    """
    found, where = read_configuration(path), str(path)
    if override is not None and override.exists():
        found, where = {**found, **read_configuration(override)}, f"{path} with {override}"
    return parse_settings(found, where)


def parse_settings(found: Mapping[str, Any], where: str = FILE) -> Settings:
    """The settings of a table of fields.

    Raises:
        InputError: a field is missing, unknown or wrong; the message begins with `where` and the
            field's name.
    """
    settings: Settings = _made(Settings, found, where)
    if settings.view is not None:
        _check_view(settings.view, where)
    return settings


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine reach an address."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def secret_path(name: str, release: Path) -> Path:
    """Where a token or a key is: an absolute path, a systemd credential, or beside the model."""
    path = Path(name)
    if path.is_absolute():
        return path
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), name)
    return credential if credential.exists() else release / name


def _check_view(view: ViewSettings, where: str) -> None:
    if bool(view.certificate) != bool(view.key):
        raise InputError(f"{where}: view.certificate and view.key are only of use together")
    if is_loopback(view.address):
        return
    for name in ("token_file", "certificate", "key"):
        if not getattr(view, name):
            raise InputError(
                f"{where}: view.{name} is missing: others can reach {view.address}, which needs a "
                "token and TLS; or stay at 127.0.0.1"
            )


class _WrongError(Exception):
    """What a value must be."""


Check = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > TEXT or not value.isprintable():
        raise _WrongError(f"a printable text of 1 to {TEXT} characters")
    return value


def _optional_secret(value: Any) -> str:
    if value == "":
        return ""
    name = _text(value)
    if not name.startswith("/") and ("/" in name or name in (".", "..")):
        raise _WrongError("an absolute path, or a name without '/'")
    return name


def _file(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}", _text(value)):
        raise _WrongError("the name of a file in the release: letters, digits and . _ + -")
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("true or false")
    return value


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not low <= value <= high:  # no NaN is in between
            raise _WrongError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def _sync(value: Any) -> float:
    """0, or no less than what the loop can promise."""
    number = float(_number(0, 3600)(value))
    if 0 < number < 1:
        raise _WrongError("0, or a number from 1 to 3600")
    return number


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _WrongError(f"a whole number from {low} to {high}")
        return value

    return check


def _backend(value: Any) -> str:
    if value not in BACKENDS:
        raise _WrongError(f"one of {', '.join(BACKENDS)}")
    return str(value)


def _sink(value: Any) -> str:
    if value == "-":
        raise _WrongError("an MQTT URL or a file: events are in the journal anyway")
    return _text(value)


def _user(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", _text(value)):
        raise _WrongError("the name of a user")
    return str(value)


def _list_of(check: Check) -> Check:
    def check_all(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, (list, tuple)) or len(values) > 64:
            raise _WrongError("a list of at most 64 texts")
        return tuple(check(value) for value in values)

    return check_all


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > 64:
        raise _WrongError("a table of at most 64 options")
    for name, one in value.items():
        parts = one if isinstance(one, (list, tuple)) else [one]
        plain = all(
            (isinstance(part, str) and part.isprintable() and len(part) <= TEXT)
            or (isinstance(part, (bool, int)) and -(1 << 63) <= part < 1 << 63)
            or (isinstance(part, float) and math.isfinite(part))
            for part in parts
        )
        named = name.isidentifier() and name.isascii()  # what TOML takes without quotes
        if not named or name in ("spec", "front_end") or not plain:
            raise _WrongError("a table of options: names, with a text, a number or a list each")
    return dict(value)


_CHECKS: Final[Mapping[str, Check]] = {
    "input": _text,
    "model": _file,
    "options": _options,
    "repeat": _flag,
    "backend": _backend,
    "publish": _list_of(_sink),
    "keep_state": _flag,
    "snapshot_seconds": _number(1, 86_400),
    "users": _list_of(_user),
    "log.bytes": _whole(4096, 1 << 30),
    "log.sync_seconds": _sync,
    "view.port": _whole(0, 65_535),
    "view.address": _text,
    "view.token_file": _optional_secret,
    "view.certificate": _optional_secret,
    "view.key": _optional_secret,
}
"""What makes the value of each field, or refuses it."""

_TABLES: Final[Mapping[str, type]] = {"log": LogSettings, "view": ViewSettings}


def _made(kind: type, found: Any, where: str, within: str = "") -> Any:
    if not isinstance(found, Mapping):
        raise InputError(f"{where}: {within.rstrip('.')} is {found!r} and must be a table")
    known = {one.name: one for one in fields(kind)}
    for name in found:
        if name not in known:
            listed = ", ".join(within + one for one in known)
            raise InputError(f"{where}: there is no field '{within}{name}'; there are {listed}")
    for name, one in known.items():
        if name not in found and one.default is MISSING and one.default_factory is MISSING:
            raise InputError(f"{where}: the field '{within}{name}' is missing")
    made: dict[str, Any] = {}
    for name, value in found.items():
        if name in _TABLES and not within:
            made[name] = _made(_TABLES[name], value, where, f"{name}.")
            continue
        try:
            made[name] = _CHECKS[within + name](value)
        except _WrongError as error:
            told = repr(value) if len(repr(value)) < 80 else f"{repr(value)[:77]}..."
            raise InputError(f"{where}: {within}{name} is {told} and must be {error}") from None
    return kind(**made)


def _toml(one: Any) -> str:
    """Plain fields before tables, as TOML wants."""
    plain, tables = [], []
    for item in fields(one):
        value = getattr(one, item.name)
        if value is None:
            continue
        if is_dataclass(value):
            tables.append(f"\n[{item.name}]\n{_toml(value)}")
        elif isinstance(value, Mapping):
            lines = "".join(f"{name} = {_value(v)}\n" for name, v in value.items())
            tables += [f"\n[{item.name}]\n{lines}"] if value else []
        else:
            plain.append(f"{item.name} = {_value(value)}\n")
    return "".join([*plain, *tables])


def _value(value: Any) -> str:
    """Printable texts are the same in JSON and in TOML."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
