"""`run.toml`: what it may say, that errors name the field, and that writing it is exact."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.errors import InputError
from edgernn.service.settings import (
    Settings,
    ViewSettings,
    parse_settings,
    read_settings,
    secret_path,
)

TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)
OPTIONS = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda n: n != "spec"),
    st.one_of(TEXTS, st.integers(0, 99), st.booleans(), st.lists(TEXTS, max_size=3)),
    max_size=4,
)
VIEWS = st.builds(ViewSettings, port=st.integers(0, 65535))
SETTINGS = st.builds(
    Settings,
    input=TEXTS,
    options=OPTIONS,
    publish=st.lists(TEXTS.filter(lambda t: t != "-"), max_size=3).map(tuple),
    snapshot_seconds=st.floats(1, 86400),
    keep_state=st.booleans(),
    view=st.none() | VIEWS,
)


def read_back(settings: Settings) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.toml"
        path.write_text(settings.to_toml(), "utf-8")
        return read_settings(path)


@given(SETTINGS)
def test_what_is_written_is_read_again(settings: Settings) -> None:
    assert read_back(settings) == settings


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(["input", "options", "repeat", "publish", "users", "log", "view", "x"])


@given(st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_table_is_settings_or_one_error(fields: dict[str, object]) -> None:
    try:
        settings = parse_settings(fields, "here")
    except InputError as error:
        told = str(error)
    else:
        told = "here: "
        assert read_back(settings) == settings
    assert told.startswith("here: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", ""),
        ("input", "microphone:\nreboot"),
        ("input", ["microphone:"]),
        ("model", "../model.tflite"),
        ("model", "/etc/passwd"),
        ("backend", "tensorflow"),
        ("keep_state", 1),
        ("snapshot_seconds", 0),
        ("snapshot_seconds", True),
        ("snapshot_seconds", float("nan")),
        ("publish", "mqtt://broker/kitchen"),
        ("publish", ["-"]),
        ("users", ["pi; reboot"]),
        ("options", {"spec": "x"}),
        ("options", {"a b": "x"}),
        ("options", {"channel": {"a": 1}}),
        ("options", {"naïve": 1}),
        ("options", {"channel": 10**400}),
        ("options", {"channel": -(1 << 63) - 1}),
        ("options", {"channel": float("inf")}),
        ("snapshot_seconds", 10**400),
        ("snapshot_seconds", float("inf")),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"run.toml: {field} is "):
        parse_settings({"input": "microphone:", field: value})


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("log", "bytes", 1),
        ("log", "sync_seconds", -1),
        ("log", "sync_seconds", 0.01),
        ("log", "sync_seconds", 0.5),
        ("log", "sync_seconds", False),
        ("view", "port", 65536),
        ("view", "port", "80"),
        ("view", "token_file", "../token"),
    ],
)
def test_so_is_one_in_a_table(table: str, field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"run.toml: {table}\.{field} is "):
        parse_settings({"input": "microphone:", table: {field: value}})


def test_an_unknown_field_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(InputError, match=r"no field 'view\.prot'; there are view\.port"):
        parse_settings({"input": "x", "view": {"prot": 1}})
    with pytest.raises(InputError, match="no field 'inputs'; there are input"):
        parse_settings({"inputs": "x"})
    with pytest.raises(InputError, match="'input' is missing"):
        parse_settings({})


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.4", "::", "raspberry"])
def test_a_page_for_others_needs_a_token_and_tls(address: str) -> None:
    view = {"address": address, "token_file": "token", "certificate": "c.pem", "key": "k.pem"}
    parse_settings({"input": "x", "view": view})
    for missing in ("token_file", "certificate", "key"):
        less = {name: value for name, value in view.items() if name != missing}
        with pytest.raises(InputError, match=r"view\.(token_file|certificate|key)"):
            parse_settings({"input": "x", "view": less})


def test_the_local_file_replaces_fields_of_the_release(tmp_path: Path) -> None:
    release, local = tmp_path / "run.toml", tmp_path / "local.toml"
    release.write_text('input = "microphone:"\nkeep_state = true\n[options]\nchannel = 1\n')
    assert read_settings(release, local).input == "microphone:"
    local.write_text('input = "serial:/dev/ttyACM0"\n[options]\nformat = "int16"\n')
    both = read_settings(release, local)
    assert (both.input, both.keep_state) == ("serial:/dev/ttyACM0", True)
    assert both.options == {"format": "int16"}
    local.write_text("keep_state = 3\n")
    with pytest.raises(InputError, match=r"local.toml: keep_state is 3"):
        read_settings(release, local)


def test_a_secret_is_a_credential_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, credentials = tmp_path / "release", tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert secret_path("token", release) == release / "token"
    (credentials / "token").touch()
    assert secret_path("token", release) == credentials / "token"
    assert secret_path("/etc/token", release) == Path("/etc/token")


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000, "x = 1\nx = 2", "\0"])
def test_files_that_are_no_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=r"run\.toml: "):
        read_settings(tmp_path / "run.toml")
