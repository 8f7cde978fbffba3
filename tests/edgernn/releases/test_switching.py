"""Which release is current after a switch that went well, failed, or was cut off at any point."""

from __future__ import annotations

import contextlib
import json
import os

import pytest

from edgernn.bundles.archive import extract
from edgernn.errors import DeviceError, InputError
from edgernn.releases import supervisor, switching
from edgernn.releases.store import KEPT, Store
from tests.edgernn.bundles.made import opened, packed


class Cut(BaseException):
    """A power cut."""


class Systemd:
    """Runs what `current` points at when it is asked to; `broken` releases do not come up."""

    def __init__(self, monkeypatch, store: Store) -> None:
        self.store, self.running, self.broken = store, "", set()
        monkeypatch.setattr(supervisor, "start", self.start)
        monkeypatch.setattr(supervisor, "stop", self.stop)
        monkeypatch.setattr(supervisor, "ask", lambda store: {"release": self.running})

    def start(self, store: Store, release: str) -> None:
        assert store.read("current") == release
        self.running = "" if release in self.broken else release
        if not self.running:
            raise DeviceError("no microphone")

    def stop(self, store: Store) -> None:
        self.running = ""


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path, "kitchen")
    made.make()
    return made


@pytest.fixture
def systemd(monkeypatch, store) -> Systemd:
    return Systemd(monkeypatch, store)


@pytest.fixture
def ids(store) -> list[str]:
    """Five whole releases, oldest first."""
    for day in range(5):
        bundle = opened(packed(name="kitchen", created=f"2026-11-2{day}T00:00:00Z"))
        extract(bundle, store.release(bundle.manifest.release))
    return store.releases()


def links(store: Store) -> tuple[str, str]:
    return store.read("current"), store.read("previous")


def quiet(text: str) -> None:
    pass


def test_a_switch_moves_current_and_remembers_the_one_before(store, systemd, ids):
    switching.switch(store, ids[0], quiet)
    assert links(store) == (ids[0], "")
    switching.switch(store, ids[1], quiet)
    assert links(store) == (ids[1], ids[0])
    assert systemd.running == ids[1]
    unit = store.root / supervisor.UNITS / store.unit
    assert os.readlink(unit) == str(store.base / "current" / store.unit)


def test_a_rollback_can_be_rolled_back(store, systemd, ids):
    for release in ids[:2]:
        switching.switch(store, release, quiet)
    assert switching.rollback(store, quiet) == ids[0]
    assert links(store) == (ids[0], ids[1])
    assert switching.rollback(store, quiet) == ids[1]


def test_there_may_be_nothing_to_go_back_to(store, systemd, ids):
    switching.switch(store, ids[0], quiet)
    with pytest.raises(DeviceError, match="kitchen: there is no previous release"):
        switching.rollback(store, quiet)


def test_one_that_does_not_come_up_leaves_everything_as_it_was(store, systemd, ids):
    for release in ids[:2]:
        switching.switch(store, release, quiet)
    systemd.broken = {ids[2]}
    with pytest.raises(DeviceError, match=rf"did not come up: no microphone; {ids[1]} runs"):
        switching.switch(store, ids[2], quiet)
    assert links(store) == (ids[1], ids[0])
    assert systemd.running == ids[1]


def test_the_first_one_that_does_not_come_up_leaves_nothing_running(store, systemd, ids):
    systemd.broken = {ids[0]}
    with pytest.raises(DeviceError, match="there is no earlier release, so nothing runs"):
        switching.switch(store, ids[0], quiet)
    assert links(store) == ("", "")
    assert not (store.base / "switching").exists()


def test_neither_comes_up(store, systemd, ids):
    switching.switch(store, ids[0], quiet)
    systemd.broken = set(ids)
    with pytest.raises(DeviceError, match=f"{ids[0]} is the current release again, but does not"):
        switching.switch(store, ids[1], quiet)
    assert links(store)[0] == ids[0]


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("cut", range(1, 12))
def test_a_power_cut_at_any_write_leaves_a_whole_release(
    monkeypatch, store, systemd, ids, cut, broken
):
    """Every change of the disk in `switch` is the last one once; then the device boots."""
    for release in ids[:2]:
        switching.switch(store, release, quiet)
    systemd.broken = {ids[2]} if broken else set()
    count = 0
    for name in ("replace", "rename", "unlink", "symlink", "fsync"):
        real = getattr(os, name)

        def counted(*arguments, real=real, **more):
            nonlocal count
            count += 1
            if count == cut:
                raise Cut
            return real(*arguments, **more)

        monkeypatch.setattr(os, name, counted)
    with contextlib.suppress(Cut, DeviceError):
        switching.switch(store, ids[2], quiet)
    count = -(10**9)
    # The boot: systemd starts what `current` points at, if it comes up.
    current = store.read("current")
    assert current in ids[:3]
    systemd.running = current if current not in systemd.broken else ""
    told = []
    switching.recover(store, told.append)
    assert not (store.base / "switching").exists()
    assert systemd.running == store.read("current") != ""
    if broken:
        assert systemd.running == ids[1]


def test_what_was_settled_is_not_recovered(store, systemd, ids):
    switching.switch(store, ids[0], quiet)
    systemd.running = ""  # stopped by hand
    switching.recover(store, quiet)
    assert systemd.running == ""


def test_a_note_that_cannot_be_read_is_no_obstacle(store, systemd, ids):
    switching.switch(store, ids[0], quiet)
    (store.base / "switching").write_text("{")
    systemd.running = ""
    switching.recover(store, quiet)
    assert systemd.running == ids[0]


def test_the_current_and_the_previous_one_are_kept_whatever_their_age(store, systemd, ids):
    for release in (ids[1], ids[0]):
        switching.switch(store, release, quiet)
    assert store.prune() == [ids[2], ids[3]]
    assert store.releases() == [ids[0], ids[1], ids[4]]
    assert len(store.releases()) == KEPT
    assert store.prune() == []
    assert not list(store.folder.glob(".*"))


def test_nobody_else_deploys_meanwhile(store):
    with store.lock(), pytest.raises(DeviceError, match="another deployment is under way"):  # noqa: SIM117
        with store.lock():
            pass
    with store.lock():
        pass


def test_what_was_cut_off_is_swept_away(store, ids):
    (store.folder / ".half.new").mkdir()
    (store.folder / ".half.new/file").touch()
    with store.lock():
        assert sorted(path.name for path in store.folder.iterdir()) == ids


def test_a_link_that_leads_elsewhere_is_none(store, ids):
    (store.base / "current").symlink_to("/etc")
    assert store.read("current") == ""


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a" * 33, "-a", "a\n"])
def test_no_name_leads_elsewhere(tmp_path, name):
    with pytest.raises(InputError, match="is no service's name"):
        Store(tmp_path, name)


def test_the_note_says_where_to_go_back_to(store, systemd, ids, monkeypatch):
    switching.switch(store, ids[0], quiet)
    seen = {}

    def start(_, release):
        seen.update(json.loads((store.base / "switching").read_text()))

    monkeypatch.setattr(supervisor, "start", start)
    switching.switch(store, ids[1], quiet)
    assert seen == {"current": ids[0], "previous": "", "to": ids[1]}
