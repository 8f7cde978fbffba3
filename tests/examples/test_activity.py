import numpy as np
import pytest

import edgernn
from examples.activity import train as activity
from tests.examples.programs import assert_refused, run

PROGRAM = "examples/activity/train.py"


def write_csv(path, rest, walk, seed=0):
    """A recording at 100 Hz: rest, then steps at 2 Hz."""
    rng = np.random.default_rng(seed)
    moving = np.repeat([0, 1], [rest, walk])
    samples = rng.normal(0, 0.1, (rest + walk, 6))
    samples[:, 0] += 5 * moving
    samples[:, 2] += 9.81 + 4 * moving * np.sin(np.arange(rest + walk) * 2 * np.pi / 50)
    header = [*activity.COLUMNS, "timestamp", "label"]
    rows = [
        [*(f"{v:.4f}" for v in sample), str(10 * i), ("SEATED", "WALKING")[kind]]
        for i, (sample, kind) in enumerate(zip(samples, moving, strict=True))
    ]
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for subject in range(4):
        for take in range(2):
            path = data / f"s{subject}_{take}.csv"
            write_csv(path, 300 + 50 * subject, 500 - 40 * take, seed=10 * subject + take)
    (data / "subjects_info.csv").write_text("subject,age\ns0,30\n")
    return data


@pytest.mark.slow
def test_trains_converts_and_streams(folder, tmp_path):
    out = tmp_path / "out"
    done = run(PROGRAM, "--data", folder, "--out", out, "--units", 8, "--epochs", 20)
    assert done.returncode == 0, done.stderr
    assert "2 recordings, subjects not trained on: s3" in done.stdout
    for line in ("Keras float", "streamed"):
        (found,) = [text for text in done.stdout.splitlines() if line in text]
        right, f1 = float(found.split()[-3]), float(found.split()[-1])
        assert right > 85
        assert f1 > 0.8
    model = edgernn.load(out / "model.tflite")
    assert model.labels == ("SEATED", "WALKING")
    assert model.metadata.normalisation is not None
    assert len(np.load(out / "calibration.npz").files) == 6


def test_averages_samples_and_keeps_the_label_in_the_middle(tmp_path):
    write_csv(tmp_path / "s1_01.csv", 13, 10)
    (recording,) = activity.read_folder(tmp_path)
    assert recording.subject == "s1"
    assert recording.frames.shape == (4, 6)
    assert recording.activities == ("SEATED", "SEATED", "SEATED", "WALKING")


def test_a_short_recording_is_one_window():
    (window,) = activity.windows([np.arange(5)])
    assert window.tolist() == [0, 1, 2, 3] + [4] * (activity.WINDOW - 4)


def test_macro_f1_counts_every_activity_alike():
    truth, decisions = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert activity.macro_f1(truth, decisions) == pytest.approx((0.8 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--test-subject", "s9"], ["s9", "s0, s1, s2, s3"]),
        ([option for s in range(4) for option in ("--test-subject", f"s{s}")], ["left"]),
    ],
)
def test_refuses_subjects(folder, arguments, words):
    assert_refused(run(PROGRAM, "--data", folder, *arguments), *words)


def test_refuses_a_folder_without_recordings(folder, tmp_path):
    assert_refused(run(PROGRAM, "--data", tmp_path / "none"), "none", "x_acc")
    for path in folder.glob("s?_*.csv"):
        path.unlink()
    assert_refused(run(PROGRAM, "--data", folder), str(folder), "x_acc")


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,4,5,six,0,WALKING"])
def test_refuses_a_broken_line(folder, line):
    with (folder / "s0_0.csv").open("a") as file:
        file.write(line + "\n")
    assert_refused(run(PROGRAM, "--data", folder), "s0_0.csv, line 802", "numbers")


def test_refuses_a_file_that_is_no_text(tmp_path):
    (tmp_path / "s0_9.csv").write_bytes(b"\xff\xfe\x00\x81")
    assert_refused(run(PROGRAM, "--data", tmp_path), str(tmp_path), "x_acc")
