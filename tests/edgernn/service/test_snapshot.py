"""The saved state: whole and of this model, or set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgernn.errors import StateError
from edgernn.service import keeping
from edgernn.service.keeping import Keeper
from edgernn.service.snapshot import Snapshot, find_snapshot, read_snapshot, write_snapshot
from edgernn.sources import Block
from tests.edgernn.service.releases import sound
from tests.edgernn.tones import tone_model

MODEL = "ab" * 32
SAVED = Snapshot(MODEL, 1.8e9, -1, b"the state of a stream")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for blob in (b"", b"x" * 100_000):
        snapshot = Snapshot(MODEL, 123.5, 77, blob)
        write_snapshot(path, snapshot)
        assert read_snapshot(path) == snapshot
        assert find_snapshot(path, MODEL) == (snapshot, "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_damage_is_seen(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "state"
    write_snapshot(path, SAVED)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises(StateError):
        read_snapshot(path)
    found, note = find_snapshot(path, MODEL)
    assert found is None
    assert "not used" in note
    assert path.with_name("state.damaged").read_bytes() == raw
    assert not path.exists()


def test_the_state_of_another_model_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_snapshot(path, SAVED)
    found, note = find_snapshot(path, "cd" * 32)
    assert found is None
    assert "another model" in note
    assert read_snapshot(tmp_path / "state.other-model") == SAVED
    assert find_snapshot(path, "cd" * 32) == (None, "")


def test_what_a_power_cut_left_of_a_write_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_snapshot(path, SAVED)
    (tmp_path / ".state.0011aabb").write_bytes(b"half")
    assert find_snapshot(path, MODEL)[0] == SAVED
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_restored_stream_gives_the_same_events(tmp_path: Path) -> None:
    samples, model = sound(3.0), tone_model()
    whole = model.pipeline().push(samples)
    first, second = model.pipeline(), model.pipeline()
    before, after = Keeper(tmp_path / "state", first), Keeper(tmp_path / "state", second)
    events = first.push(samples[:11_111])
    assert before.save() == ""
    assert "goes on" in after.restore()
    assert events + second.push(samples[11_111:]) == whole
    assert len(whole) > 2


def test_a_state_that_cannot_be_used_is_set_aside_and_the_stream_begins_anew(
    tmp_path: Path,
) -> None:
    samples, model = sound(2.0), tone_model()
    used = model.pipeline()
    used.push(samples)
    detector = used.events.save() if used.events else b""
    of_other_version = used.save().replace(detector, b"?" * len(detector))
    for blob in (b"no pipeline", of_other_version):  # the second is found out half way
        write_snapshot(tmp_path / "state", Snapshot(model.hash, 1.0, -1, blob))
        pipeline = model.pipeline()
        assert "not used" in Keeper(tmp_path / "state", pipeline).restore()
        assert (tmp_path / "state.damaged").exists()
        assert pipeline.push(samples) == model.pipeline().push(samples)


def test_times_go_on_behind_those_of_the_saved_state(tmp_path: Path) -> None:
    import numpy as np

    pipeline = tone_model().pipeline()
    period = round(1e6 / pipeline.front_end.rate)
    block = Block(np.zeros(3, np.int16), np.array([10, 20, 30], np.int64) * period)
    keeper = Keeper(tmp_path / "state", pipeline)
    assert keeper.continued(block).times.tolist() == block.times.tolist()
    keeper.save()
    again = Keeper(tmp_path / "state", tone_model().pipeline())
    again.restore()
    for first, wanted in ((1, 31), (40, 70)):  # its clock began anew: all are moved alike
        times = again.continued(Block(block.samples, np.arange(first, first + 3) * period)).times
        assert times.tolist() == [n * period for n in range(wanted, wanted + 3)]
    ahead = Keeper(tmp_path / "state", tone_model().pipeline())
    ahead.restore()
    later = Block(block.samples, block.times + 1000 * period)
    assert ahead.continued(later).times.tolist() == later.times.tolist()


def test_it_is_saved_before_it_is_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now)
    keeper = Keeper(tmp_path / "state", tone_model().pipeline())
    saved = []
    for _ in range(100):
        now += 0.2
        age = keeper.age
        assert keeper.tick(10.0) == ""
        if keeper.age < age:
            saved.append(age)
    assert len(saved) == 2
    assert max(saved) <= 10.0
