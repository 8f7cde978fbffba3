"""`edgernn evaluate`: what it reads, prints, writes and refuses."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.metadata import Metadata
from edgernn.model import load
from tests.edgernn.motions import motion, motion_model
from tests.edgernn.stepfile import build
from tests.edgernn.test_cli import run
from tests.edgernn.test_evaluation_anomalies import DETECTOR, spiky
from tests.edgernn.test_evaluation_frames import SPANS
from tests.edgernn.tones import LABELS, RATE, TRIGGER, tone, tone_model

HERE = ("--backend", "auto")
PATTERN = ("--pattern", "{label}_{group}_{take}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("words").mkdir()
    for label in LABELS:
        for group, level in (("ann", 2000), ("bob", 1700), ("eve", 1500)):
            for take in range(2):
                clip = tone(label, 0.25 + 0.05 * take, level, group, seed=take)
                sound(f"words/{label}_{group}_{take}.wav", clip.samples)
    tone_model().save("m.tflite")
    Path("float.tflite").write_bytes(build("float32", metadata=tone_model().metadata))
    return tmp_path


def sound(path, samples, rate=RATE):
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def table(path, recording):
    """Samples with a label a row."""
    at = np.arange(len(recording.samples)) / recording.rate
    labels = [""] * len(at)
    for span in recording.spans:
        for i in np.flatnonzero((at >= span.start) & (at < span.end)):
            labels[i] = span.label
    rows = zip(at.tolist(), recording.samples.tolist(), labels, strict=True)
    lines = [f"{t:.2f},{','.join(f'{v:.3f}' for v in row)},{label}" for t, row, label in rows]
    Path(path).write_text("\n".join(["time,p,q,r,s,label", *lines]) + "\n")


def told(path="out.json"):
    return json.loads(Path(path).read_text())


def test_clips_quantized_and_float(folder, capsys):
    arguments = ("--data", "words", *PATTERN, "--task", "clips", "--float", "float.tflite")
    assert run("evaluate", "m.tflite", *arguments, *HERE, "--json", "out.json") == 0
    printed = capsys.readouterr().out
    assert "Accuracy of 24 clips" in printed
    assert "what was true (rows)" in printed
    document = told()
    assert document["format"] == 1
    assert (document["task"], document["model"]) == ("clips", "m.tflite")
    assert document["labels"] == list(LABELS)
    assert set(document["clips"]) == {"quantized", "float"}
    for states in document["clips"].values():
        assert set(states) == {"reset1", "reset0"}
        assert states["reset1"]["groups"] == {"ann": 1, "bob": 1, "eve": 1}
    assert set(document) >= {"warmup", "drift"}


def test_a_report_beside_it(folder, capsys):
    pytest.importorskip("matplotlib", reason='no plots: pip install "edgernn[report]"')
    arguments = ("--data", "words", *PATTERN, "--task", "clips", *HERE)
    assert run("evaluate", "m.tflite", *arguments, "--report", "page") == 0
    assert "page/index.html: the report" in capsys.readouterr().out
    assert Path("page/index.html").stat().st_size > 10_000
    assert run("evaluate", "m.tflite", *arguments, "--report", "words") == 2
    assert "words" in capsys.readouterr().err
    assert len(list(Path("words").iterdir())) == 24


def test_events_with_thresholds_of_other_groups_written_back(folder, capsys):
    streams = ("--hours", "0.05", "--pause", "0.3", "0.8", "--keyword", "a", "--false-accepts", "0")
    groups = ("--choose-on", "ann,bob", "--test", "eve")
    more = ("--json", "out.json", "--write", "w.tflite")
    arguments = ("--data", "words", *PATTERN, *streams, *groups, *more, *HERE)
    assert run("evaluate", "m.tflite", *arguments) == 0
    printed = capsys.readouterr().out
    assert "0.05 hours of eve" in printed
    assert "chosen on ann, bob." in printed
    assert "'a' at other thresholds" in printed
    events = told()["events"]
    point = events["keywords"]["a"]["operating_point"]
    written = load("w.tflite").metadata.detector
    assert written["labels"]["a"]["threshold"] == pytest.approx(point["threshold"], abs=1e-4)
    assert {name: written[name] for name in TRIGGER} == TRIGGER
    # The file that was written, at its own thresholds, on the same stream: the same numbers.
    arguments = ("--data", "words", *PATTERN, *streams, "--test", "eve", *HERE)
    assert run("evaluate", "w.tflite", *arguments, "--json", "again.json") == 0
    again = told("again.json")["events"]
    assert again["keywords"]["a"]["operating_point"] == point
    assert (again["chosen_on"], again["words"]) == ("model", events["words"])
    assert "clips" in told("again.json")


def test_words_that_are_no_keyword_only_have_to_be_left_alone(folder):
    for take in range(2):
        noise = np.random.default_rng(take).normal(0, 300, 2000)
        sound(f"words/z_eve_{take}.wav", noise)
    given = ("--data", "words", *PATTERN, "--hours", "0.05", "--pause", "0.3", "0.8")
    arguments = (*given, "--keyword", "a", "--test", "eve", *HERE, "--json", "out.json")
    assert run("evaluate", "m.tflite", *arguments) == 0
    document = told()
    assert document["clips"]["quantized"]["reset1"]["count"] == 8  # eve's that the model knows
    assert (
        document["events"]["words"]
        > document["events"]["keywords"]["a"]["operating_point"]["keywords"]
    )


def test_another_seed_is_another_stream(folder):
    given = ("--data", "words", *PATTERN, "--hours", "0.03", "--keyword", "a", *HERE)
    found = []
    for seed in ("1", "1", "2"):
        arguments = (*given, "--seed", seed, "--json", "out.json")
        assert run("evaluate", "m.tflite", *arguments) == 0
        found.append(told()["events"])
    assert found[0] == found[1] != found[2]


def test_frames_of_tables_with_labels(folder, capsys):
    motion_model().save("v.tflite")
    Path("motion").mkdir()
    for group in ("s1", "s2"):
        table(f"motion/{group}_x.csv", motion(SPANS, seed=len(group)))
    arguments = ("--data", "motion", "--pattern", "{group}_{take}", *HERE, "--json", "out.json")
    assert run("evaluate", "v.tflite", *arguments) == 0
    document = told()
    assert document["task"] == "frames"
    assert document["frames"]["quantized"]["count"] == 600
    assert set(document["frames"]["quantized"]["groups"]) == {"s1", "s2"}
    assert "macro-F1" in capsys.readouterr().out


def test_anomalies_in_windows_with_a_threshold_from_normal_data(folder, capsys):
    motion_model(DETECTOR).save("a.tflite")
    recording = spiky()
    table("r.csv", replace(recording, spans=()))
    text = Path("r.csv").read_text().replace(",label", "").replace(",\n", "\n")
    Path("r.csv").write_text(text)
    quiet = text.splitlines(keepends=True)
    Path("quiet.csv").write_text("".join(quiet[:190]))
    Path("w.json").write_text(json.dumps([[3.5, 4.5]]))
    arguments = ("--data", "r.csv", "--windows", "w.json", *HERE, "--json", "out.json")
    assert run("evaluate", "a.tflite", *arguments) == 0
    assert "1 of 1 windows found" in capsys.readouterr().out
    assert told()["anomaly"]["threshold"] == DETECTOR["threshold"]
    normal = ("--normal", "quiet.csv", "--write", "b.tflite")
    assert run("evaluate", "a.tflite", *arguments, *normal) == 0
    found = told()["anomaly"]
    assert found["threshold"] != DETECTOR["threshold"]
    assert found["windows"][0]["found"]
    assert load("b.tflite").metadata.detector["threshold"] == found["threshold"]


def test_forecasts(folder, capsys):
    motion_model(None).save("f.tflite")
    table("r.csv", motion([]))
    text = Path("r.csv").read_text().replace(",label", "").replace(",\n", "\n")
    Path("r.csv").write_text(text)
    ahead = ("--horizon", "0.1", "--season", "1", "--unit", "g", "--json", "out.json")
    assert run("evaluate", "f.tflite", "--data", "r.csv", *ahead, *HERE) == 0
    found = told()["forecast"]
    assert (found["horizon_seconds"], found["unit"]) == (0.1, "g")
    assert set(found["mae"]) == {"quantized", "persistence", "seasonal"}
    assert "forecasts, 0.1 s ahead, g" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--test", "zoe"), "there is no group 'zoe'; the groups are ann, bob, eve"),
        (("--choose-on", "ann", "--test", "ann,eve"), "reported on the same group 'ann'"),
        (("--choose-on", "ann"), "reported on the same group 'ann'"),
        (("--keyword", "zebra"), "no label 'zebra'; it has a, b, c, d"),
        (("--write", "w.tflite"), "--write needs thresholds"),
        (("--json", "no/out.json"), "no: no such folder to write to"),
        (("--float", "m.tflite"), "m.tflite: gives int8, it is no float model"),
        (("--float", "other.tflite"), "shape (6,), the quantized model (4,)"),
        (("--background", "nothing"), "nothing"),
        (("--task", "anomaly"), "detector of kind 'anomaly'"),
        (("--task", "frames"), "no recording that says which label is true when"),
        (("--task", "forecast"), "say how far ahead the model forecasts"),
        (("--pause", "3", "1"), "the longest pause, 1 s, is shorter than the shortest, 3 s"),
    ],
)
def test_what_is_refused(folder, capsys, arguments, line):
    Path("other.tflite").write_bytes(build("float32", features=6, metadata=Metadata()))
    given = ("--data", "words", *PATTERN, "--hours", "0.01", *arguments, *HERE)
    before = sorted(Path().iterdir())
    assert run("evaluate", "m.tflite", *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert line in error
    assert sorted(Path().iterdir()) == before


def test_models_and_data_that_cannot_be_evaluated(folder, capsys):
    Path("bare.tflite").write_bytes(build(metadata=Metadata()))
    assert run("evaluate", "bare.tflite", "--data", "words", *HERE) == 2
    assert "bare.tflite: the model has no front end" in capsys.readouterr().err
    assert run("evaluate", "m.tflite", "--data", "nowhere", *HERE) == 2
    assert capsys.readouterr().err == "edgernn: nowhere: no such file or folder\n"
    sound("words/z_ann_0.wav", np.zeros(2000))
    assert run("evaluate", "m.tflite", "--data", "words", *PATTERN, "--task", "clips", *HERE) == 2
    assert "z_ann_0.wav: labelled 'z'" in capsys.readouterr().err
