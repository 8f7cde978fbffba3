"""Killed at any moment, the service leaves a state and a log that it goes on with."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from edgernn.service.event_log import read_log
from edgernn.service.settings import LogSettings
from edgernn.service.snapshot import read_snapshot
from tests.edgernn.service.releases import placed, release, sound, started, wait_until, write_wav

KILLS = 3  # benchmarks/service.py: fifty
SECONDS = 1.0


@pytest.mark.slow
def test_killed_at_random_moments_it_loses_no_more_than_it_says(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "sound.wav", sound(5.0))
    folder = release(
        tmp_path,
        str(path),
        repeat=True,
        options={"realtime": True},
        keep_state=True,
        snapshot_seconds=SECONDS,
        log=LogSettings(1 << 16, 1.0),
    )
    places = placed(tmp_path)
    chance, heard, restored = random.Random(0), 0, 0
    for _ in range(KILLS):
        with started(folder, tmp_path, start_new_session=True) as process:
            lines: list[bytes] = []
            reader = threading.Thread(target=lambda: lines.extend(process.stdout))  # noqa: B023
            reader.start()
            wait_until(lambda: any(b"listens to" in line for line in lines))  # noqa: B023
            begun = time.time()
            time.sleep(chance.uniform(0.0, 3.0))
            os.killpg(process.pid, signal.SIGKILL)
            now = time.time()
            reader.join(30)
        found, damaged = read_log(places.log)
        assert damaged == 0
        assert [entry["number"] for entry in found] == list(range(1, len(found) + 1))
        clocks = {entry["clock"] for entry in found}
        events = [json.loads(line[3:]) for line in lines if line.startswith(b"<6>{")]
        assert all(event["clock"] in clocks for event in events)
        heard += len(events)
        saved = read_snapshot(places.snapshot).clock if places.snapshot.exists() else 0.0
        # Half a second more, for a machine that is busy with other tests.
        assert now - max(saved, begun) < SECONDS + 0.5
        restored += any(b"goes on with the state" in line for line in lines)
    assert heard > 0
    assert restored >= 1
