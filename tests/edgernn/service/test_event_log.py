"""The event log: bounded, and readable whatever a power cut leaves of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.service.event_log import EventLog, read_log

LABELS = st.text(max_size=60)


def event(label: str) -> dict[str, Any]:
    return {"event": "on", "label": label, "score": 0.5}


@given(st.lists(LABELS, max_size=30), st.integers(1, 40))
def test_what_is_written_is_read_in_order(labels: list[str], count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        log = EventLog(Path(name), 1 << 16, 5.0)
        written = [log.append(event(label)) for label in labels]
        assert log.newest(count) == written[max(0, len(written) - count) :]
        log.close()
        assert read_log(Path(name)) == (written, 0)
        assert [entry["number"] for entry in written] == list(range(1, len(labels) + 1))
        again = EventLog(Path(name), 1 << 16, 5.0)
        assert again.append(event("x"))["number"] == len(labels) + 1
        again.close()


class Disk:
    """What a power cut leaves: of each file the bytes that were there at its last sync."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._sync = os.fsync

    def fsync(self, file: int) -> None:
        self._sync(file)
        if not os.path.isdir(path := os.readlink(f"/proc/self/fd/{file}")):
            self.sizes[path] = os.fstat(file).st_size

    def cut(self, folder: Path, data: Any) -> None:
        """Files end anywhere behind that, in rubbish or nothing."""
        for path in sorted(folder.iterdir()):
            size = path.stat().st_size
            os.truncate(path, data.draw(st.integers(self.sizes.get(str(path), 0), size)))
            with path.open("ab") as file:  # what a file system may leave: blocks of zeros
                file.write(b"\0" * data.draw(st.sampled_from([0, 1, 512])))


STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 2.0, 4.0]), st.integers(0, 30)), max_size=8)


@settings(deadline=None, max_examples=100)
@given(st.data(), STEPS)
def test_a_power_cut_takes_only_what_the_disk_did_not_have(data: Any, steps: Any) -> None:
    now, disk = 0.0, Disk()
    written: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", disk.fsync)
        folder = Path(name) / "log"
        log = EventLog(folder, 8192, 5.0, lambda: now)
        for seconds, count in steps:
            for _ in range(round(seconds / 0.1)):
                now += 0.1
                log.tick()
            written += [(now, log.append(event("label" * 8))["number"]) for _ in range(count)]
        disk.cut(folder, data)
        found, _ = read_log(folder)
        numbers = [entry["number"] for entry in found]
        newest = max(numbers, default=0)
        assert numbers == list(range(newest - len(numbers) + 1, newest + 1))
        for at, number in written:  # nothing older than it says is lost
            assert now - at < 5.0 or number <= newest
        again = EventLog(folder, 8192, 5.0)
        entry = again.append(event("after"))
        again.close()
        assert entry["number"] == newest + 1
        assert (
            read_log(folder)[0][-len(found) - 1 :] == [*found, entry][-len(read_log(folder)[0]) :]
        )


@pytest.mark.parametrize("limit", [4096, 10_000])
def test_it_never_takes_more_than_it_may(tmp_path: Path, limit: int) -> None:
    log = EventLog(tmp_path, limit, 5.0)
    for i in range(1000):
        log.append(event(f"label {i}"))
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) == log.size <= limit
    newest = log.newest(20)
    assert [entry["label"] for entry in newest] == [f"label {i}" for i in range(980, 1000)]
    log.close()
    smaller = EventLog(tmp_path, 4096, 5.0)
    assert smaller.size <= 4096
    smaller.close()


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 1 << 16, 5.0)
    for i in range(10):
        log.append(event(str(i)))
    log.close()
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"4"', b'"5"')
    path.write_bytes(b"".join(lines))
    found, damaged = read_log(tmp_path)
    assert [entry["label"] for entry in found] == [*"0123", *"56789"]
    assert damaged == 1
    log = EventLog(tmp_path, 1 << 16, 5.0)
    assert log.damaged == 1
    assert log.number == 10
    log.close()


def test_each_event_is_on_the_disk_before_anybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path, 1 << 16, 0)
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(file) or real(file))
    for _ in range(3):
        log.append(event("x"))
    assert len(synced) == 3
    log.close()


def test_a_full_disk_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path, 1 << 16, 5.0)
    log.append(event("before"))
    real = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) > 10:
            return real(file, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        log.append(event("x" * 7))
    monkeypatch.undo()
    log.append(event("after"))
    log.close()
    assert [entry["label"] for entry in read_log(tmp_path)[0]] == ["before", "after"]


def test_an_event_that_is_too_large_is_refused(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 4096, 5.0)
    with pytest.raises(ValueError, match="bytes, the log takes"):
        log.append(event("x" * 2000))
    assert log.append(event("x"))["number"] == 1
    log.close()
    shutil.rmtree(tmp_path)
    assert read_log(tmp_path) == ([], 0)
