"""`edgernn train`: what it prints, what it hands to a recipe, and what it refuses."""

import json
import sys
import types
import wave

import numpy as np
import pytest

from converters.training import plan as plans
from converters.training.plan import Plan
from converters.training.settings import CHECKPOINT
from edgernn import frontends
from edgernn.labelled import classes
from edgernn.labelled.splits import split
from tests.edgernn.test_cli import run

SPEAKERS = ("anna", "ben", "cleo", "dan")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "words"
    folder.mkdir()
    random = np.random.default_rng(0)
    for label in ("no", "yes", "maybe"):
        for speaker in SPEAKERS:
            for take in range(4):
                sound(folder / f"{label}_{speaker}_{take}.wav", random.integers(-99, 99, 4000))
    return folder


def sound(path, samples, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


@pytest.fixture
def recipe(monkeypatch):
    """A recipe that trains nothing, and remembers what it was given."""
    made = types.SimpleNamespace(given=[], stop=None)

    def plan(settings, recordings):
        front_end = frontends.read({"kind": "audio", "rate": 8000, "window": 256, "hop": 128})
        labels = settings.keywords or classes(recordings)
        how = settings.split
        parts = split(recordings, test=how.test, validation=how.validation, labels=labels)
        return Plan(front_end, parts, len(labels), tuple(labels))

    def train(settings, recordings, progress):
        made.given.append((settings, recordings))
        for step in range(1, 4):
            progress(step, 3, f"epoch {step}: loss 0.{step}")
            if step == made.stop:
                (settings.folder / CHECKPOINT).write_bytes(b"half")
                raise KeyboardInterrupt
        (settings.folder / CHECKPOINT).unlink(missing_ok=True)
        for suffix in (".keras", ".tflite"):
            (settings.folder / f"{settings.name}{suffix}").write_bytes(b"model")
        (settings.folder / "training.json").write_text("{}")
        return types.SimpleNamespace(folder=settings.folder, document={})

    module = types.SimpleNamespace(plan=plan, train=train)
    monkeypatch.setitem(sys.modules, "converters.training.recipes.keyword", module)
    profile = types.SimpleNamespace(
        target="cortex-m4", frames_per_step=1, instructions_per_step=1000, board=None,
        flash=types.SimpleNamespace(total=2345), ram=types.SimpleNamespace(total=678),
        estimated_seconds_per_step=None, estimated_share_of_real_time=None,
    )  # fmt: skip
    monkeypatch.setattr(plans, "costs", lambda *_: plans.Costs(4321, 5432, profile))
    return made


def refused(capsys, *arguments):
    assert run("train", *arguments) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("edgernn: ")
    return lines[0]


def test_data_alone(data, recipe, capsys):
    assert run("train", "keyword", "--data", "words") == 0
    ((settings, recordings),) = recipe.given
    assert len(recordings) == 48
    assert settings.data == str(data)
    out = capsys.readouterr().out
    for expected in ("recordings", "validation", "maybe", "4,321", "5,432", "2,345", "678"):
        assert expected in out
    assert "build/keyword/keyword.tflite: 5 bytes" in out
    saved = json.loads((data.parent / "build/keyword/settings.json").read_text())
    assert saved == settings.to_dict()


def test_tables_tell_who_is_in_which_part(data, recipe, capsys):
    options = ("--test", "cleo", "--validation", "dan", "--keywords", "yes,no", "--dry-run")
    assert run("train", "keyword", "--data", "words", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {
        cells[0]: cells[1:]
        for cells in ([c.strip() for c in line.strip("│ ").split("│")] for line in lines)
    }
    assert rows["train"] == ["24", "12.0 s", "anna, ben"]
    assert rows["validation"] == ["12", "6.0 s", "dan"]
    assert rows["test"] == ["12", "6.0 s", "cleo"]
    assert rows["yes"] == ["8", "4", "4"]
    assert rows["maybe (background)"] == ["8", "4", "4"]
    assert not recipe.given
    assert not (data.parent / "build").exists()


def test_flags_reach_the_recipe(data, recipe, tmp_path):
    flags = "--architecture lstm-s --target cortex-m0 --epochs 3 --seed 9 --test 0.25 --tensorboard"
    assert run("train", "keyword", "--data", "words", *flags.split(), "-o", "out") == 0
    ((settings, _),) = recipe.given
    assert (settings.architecture, settings.target) == ("lstm-s", "cortex-m0")
    assert (settings.fit.epochs, settings.fit.seed, settings.fit.tensorboard) == (3, 9, True)
    assert (settings.split.test, settings.output) == (0.25, "out")


def test_interrupted_and_resumed(data, recipe, capsys):
    recipe.stop = 2
    begun = ("train", "keyword", "--data", "words", "--epochs", "3", "-o", "out")
    assert run(*begun) == 130
    told = capsys.readouterr().err
    assert (
        "the checkpoint is kept; go on with `edgernn train keyword --resume --output out`" in told
    )
    recipe.stop = None
    assert "holds an unfinished training: go on with --resume" in refused(capsys, *begun[1:])
    other = refused(capsys, "keyword", "--resume", "-o", "out", "--epochs", "4")
    assert "out: was begun with other settings (fit.epochs was 3 and is 4)" in other
    assert len(recipe.given) == 1
    assert run("train", "keyword", "--resume", "--output", "out") == 0
    first, second = (settings for settings, _ in recipe.given)
    assert first == second
    assert run(*begun) == 0


def test_interrupted_before_there_is_anything_to_keep(data, recipe, capsys, monkeypatch):
    recipe.stop = 1
    monkeypatch.setattr(
        "pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert run("train", "keyword", "--data", "words") == 130
    assert "there was no checkpoint yet" in capsys.readouterr().err


def test_progress_without_a_terminal_is_a_line_an_epoch(data, recipe, capsys):
    assert run("train", "keyword", "--data", "words") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Training")]
    assert [line for line in lines if "loss" in line] == [
        f"Training {n} of 3 epoch {n}: loss 0.{n}" for n in (1, 2, 3)
    ]


class TestRefused:
    """Every bad folder is one line, before anything is loaded or written."""

    def test_data(self, data, capsys):
        assert "no data to train on" in refused(capsys, "keyword")
        assert "away: no such file or folder" in refused(capsys, "keyword", "--data", "away")
        (data / "sub").mkdir()
        assert "the folder holds no .wav" in refused(capsys, "keyword", "--data", "words/sub")
        (data / "no_anna_0.wav").write_bytes(b"RIFF")
        line = refused(capsys, "keyword", "--data", "words")
        assert "no_anna_0.wav: is no WAV file that can be read (cut short)" in line
        sound(data / "no_anna_0.wav", [1] * 99, rate=16000)
        line = refused(capsys, "keyword", "--data", "words")
        assert "no_anna_0.wav: has 16000 samples a second, the model takes 8000" in line
        sound(data / "no_anna_0.wav", [1] * 99)
        sound(data / "yes_anna.wav", [1] * 99)
        assert "names do not fit the pattern" in refused(capsys, "keyword", "--data", "words")

    def test_one_class(self, data, capsys):
        for path in [*data.glob("yes*"), *data.glob("maybe*")]:
            path.unlink()
        line = refused(capsys, "keyword", "--data", "words")
        assert "only the label 'no': a classifier needs at least two classes" in line

    def test_splits(self, data, recipe, capsys):
        words = ("keyword", "--data", "words")
        assert "there is no group 'ana'" in refused(capsys, *words, "--test", "ana")
        line = refused(capsys, *words, "--test", "anna", "--validation", "anna")
        assert "anna: on both sides of the split" in line
        for path in data.glob("maybe_[bcd]*"):
            path.unlink()
        line = refused(capsys, *words, "--test", "anna")
        assert "the label 'maybe' has no recording in the training part: only anna" in line

    def test_settings(self, data, recipe, capsys, tmp_path):
        words = ("--data", "words")
        assert "'keyword' is meant?" in refused(capsys, "keywords", *words)
        assert "keyword 'ja' is no label" in refused(capsys, "keyword", *words, "--keywords", "ja")
        assert "epochs is 0 and must be" in refused(capsys, "keyword", *words, "--epochs", "0")
        assert "holds no training" in refused(capsys, "keyword", *words, "--resume")
        (tmp_path / "t.json").write_text('{"fit": {"epoch": 3}}')
        line = refused(capsys, "keyword", *words, "--config", "t.json")
        assert "t.json: there is no field 'fit.epoch': 'epochs' is meant?" in line
        assert not recipe.given
        assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_costs_of_a_network_that_is_not_trained(data, capsys):
    options = ("--architecture", "gru-s", "--test", "dan", "--dry-run")
    assert run("train", "keyword", "--data", "words", *options) == 0
    out = capsys.readouterr().out
    # One GRU(32) with two biases and a Dense(4), of 32 bands.
    parameters = 3 * 32 * (32 + 32 + 2) + 4 * 33
    macs = 3 * 32 * (32 + 32) + 4 * 32
    assert f" {parameters:,} " in out
    assert f" {macs:,} " in out
    assert "bytes = " in out
