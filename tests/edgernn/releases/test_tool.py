"""The commands on the device, where they are not part of a whole deployment."""

from __future__ import annotations

import json
import subprocess

import pytest

from edgernn.releases import supervisor, tool
from edgernn.releases.store import Store

RELEASE = "20261121T171500-0123abcd"


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """Run a command below `tmp_path`, with a systemd that knows nothing; its last line."""
    monkeypatch.setenv("EDGERNN_ROOT", str(tmp_path))
    nothing = subprocess.CompletedProcess([], 3, "inactive\n", "")
    monkeypatch.setattr(supervisor, "systemctl", lambda *_: nothing)

    def run(*arguments: str):
        code = tool.main(arguments)
        lines = capsys.readouterr().out.splitlines()
        return code, json.loads(lines[-1])

    return run


def test_a_service_that_was_never_installed_is_not_listed(tmp_path, say):
    """Its folder is there from a deployment that failed."""
    Store(tmp_path, "kitchen").make()
    (tmp_path / "opt/edgernn/lost+found").mkdir()
    assert say("status") == (0, {"result": {}})
    (Store(tmp_path, "cellar").folder / RELEASE).mkdir(parents=True)
    code, said = say("status")
    assert (code, list(said["result"])) == (0, ["cellar"])
    assert say("status", "--name", "kitchen")[0] == 1


@pytest.mark.parametrize("name", ["..", "a/b", "-x", "A", "", "a\n", "a" * 40])
def test_names_that_lead_elsewhere(tmp_path, say, name):
    before = sorted(tmp_path.rglob("*"))
    for command in ("facts", "rollback", "remove", "logs", "deploy"):
        code, said = say(command, f"--name={name}")
        assert code == 1
        assert "is no service's name" in said["error"]
    assert sorted(tmp_path.rglob("*")) == before
