"""Recordings as calibration data."""

import numpy as np
import pytest

from edgernn import frontends, recordings
from edgernn.errors import InputError

FRONT_END = frontends.read({"kind": "sensor", "rate": 50, "names": ["a", "b"]})


def test_a_folder_is_all_recordings_in_it(tmp_path):
    (tmp_path / "in").mkdir()
    for number, name in enumerate(["b.csv", "in/c.csv", "a.csv"]):
        (tmp_path / name).write_text("b,a\n" + f"{number},0.5\n" * (number + 1))
    (tmp_path / "notes.txt").write_text("no samples")
    found = recordings.sequences(tmp_path, FRONT_END)
    assert [one.tolist() for one in found] == [
        [[0.5, 2]] * 3,
        [[0.5, 0]],
        [[0.5, 1]] * 2,
    ]


def test_what_is_no_recording(tmp_path):
    frames = tmp_path / "frames.npy"
    np.save(frames, np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"frames\.npy: with a front end.*edgernn configure"):
        recordings.sequences(frames, FRONT_END)
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=r"empty\.csv: holds no samples"):
        recordings.sequences(tmp_path / "empty.csv", FRONT_END)
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=r"holds no \.wav"):
        recordings.sequences(tmp_path / "in", FRONT_END)
