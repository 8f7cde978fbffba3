import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgernn import load
from edgernn.cli import COMMANDS, main
from edgernn.metadata import Metadata, Output
from tests.edgernn.stepfile import build
from tests.edgernn.test_selftest import with_golden

FRAMES = np.random.default_rng(0).normal(size=(8, 4)).round(3)
LABELS = ("still", "walk", "run", "fall")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.tflite").write_bytes(build(metadata=Metadata(outputs=(Output(labels=LABELS),))))
    np.save("x.npy", FRAMES)
    np.savetxt("x.csv", FRAMES, delimiter=",", header="a,b,c,d", comments="")
    Path("x.ndjson").write_text("".join(f"{json.dumps(f)}\n" for f in FRAMES.tolist()))
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_help_imports_no_numpy():
    program = (
        "import sys\nfrom edgernn.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert not set(done.stderr.split()) & {"numpy", "tensorflow", "rich", "converters", "targets"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_without_tensorflow(name, capsys):
    assert run(name, "--help") == 0
    assert "Usage:" in capsys.readouterr().out


def test_an_empty_line_ends_a_sequence(folder, capsys):
    rows = [",".join(map(str, f)) for f in FRAMES[:4].tolist()]
    Path("two.csv").write_text("\n".join([*rows[:3], "", *rows[:3], rows[3]]) + "\n")
    assert run("run", "m.tflite", "--input", "two.csv") == 0
    found = lines(capsys)
    assert [line["frame"] for line in found] == [0, 1, 2, 0, 1, 2, 3]
    assert found[:3] == found[3:6]
    assert run("run", "m.tflite", "--input", "two.csv", "--last") == 0
    assert lines(capsys) == [found[2], found[6]]


@pytest.mark.parametrize("source", ["x.npy", "x.csv", "x.ndjson"])
def test_run_prints_one_json_line_per_frame(folder, capsys, source):
    assert run("run", "m.tflite", "--input", source) == 0
    expected = load("m.tflite").stream().push(FRAMES)
    found = lines(capsys)
    assert [line["frame"] for line in found] == list(range(8))
    assert np.allclose([line["y"] for line in found], expected, rtol=1e-5)
    assert [line["label"] for line in found] == [LABELS[i] for i in expected.argmax(axis=1)]
    assert [line["score"] for line in found] == [max(line["y"]) for line in found]


def test_run_raw(folder, capsys):
    raw = np.arange(-16, 16, dtype=np.int8).reshape(8, 4)
    np.save("raw.npy", raw)
    assert run("run", "m.tflite", "--input", "raw.npy", "--raw") == 0
    found = [line["y"] for line in lines(capsys)]
    assert found == load("m.tflite").stream().push_raw(raw).tolist()


def test_run_carries_the_state_in_a_file(folder, capsys):
    np.save("1.npy", FRAMES[:3])
    np.save("2.npy", FRAMES[3:])
    for part in ("1.npy", "2.npy"):
        assert run("run", "m.tflite", "--input", part, "--state", "state") == 0
    found = [line["y"] for line in lines(capsys)]
    assert run("run", "m.tflite", "--input", "x.npy") == 0
    assert found == [line["y"] for line in lines(capsys)]


def test_run_answers_each_line_of_a_pipe_at_once(folder):
    command = [sys.executable, "-c", "from edgernn.cli import main; main()"]
    with subprocess.Popen(
        [*command, "run", "m.tflite", "--input", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for text in ("1,2,3,4\n", '{"x": [1, 2, 3, 4]}\n'):
            process.stdin.write(text)
            process.stdin.flush()
            assert "label" in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_a_reader_that_leaves_is_no_error(folder):
    np.save("long.npy", np.zeros((20000, 4)))
    command = f'{sys.executable} -c "from edgernn.cli import main; main()" run m.tflite -i long.npy'
    done = subprocess.run(
        f"{command} | head -1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout)["frame"] == 0
    assert done.stderr == ""


MISTAKES = {
    "no such model": (["run", "no.tflite", "-i", "x.npy"], "no.tflite: cannot be read"),
    "not a model": (["run", "x.npy", "-i", "x.npy"], "x.npy: not a TFLite model"),
    "inspect Keras": (["inspect", "k.keras"], "if it is a Keras model, run `edgernn convert`"),
    "inspect no model": (["inspect", "x.csv"], "x.csv: not a TFLite model"),
    "no input": (["run", "m.tflite"], "pass --input FILE"),
    "no such input": (["run", "m.tflite", "-i", "no.csv"], "no.csv: cannot be read"),
    "wrong width": (["run", "m.tflite", "-i", "bad.csv"], "bad.csv, line 2: a frame of shape (3,)"),
    "nan": (["run", "m.tflite", "-i", "nan.csv"], "nan.csv, line 1: frame 0: value 1 is nan"),
    "sequences": (["run", "m.tflite", "-i", "many.npy"], "many.npy, frame 1: a frame of shape"),
    "raw floats": (["run", "m.tflite", "-i", "x.npy", "--raw"], "--raw takes values of type int8"),
    "backend": (["run", "m.tflite", "-i", "x.npy", "--backend", "gpu"], "no backend 'gpu'"),
    "state": (["run", "m.tflite", "-i", "x.npy", "--state", "x.csv"], "x.csv: these"),
    "state folder": (["run", "m.tflite", "-i", "x.npy", "--state", "no/s"], "no/s: there is no"),
    "self-test": (["run", "m.tflite", "--self-test"], "m.tflite: the model has no golden"),
    "command": (["runn"], "No such command 'runn'"),
    "option": (["run", "m.tflite", "--fast"], "No such option"),
    "argument": (["inspect"], "Missing argument"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(folder, capsys, name):
    Path("bad.csv").write_text("1,2,3,4\n1,2,3\n")
    Path("nan.csv").write_text("1,nan,3,4\n")
    np.save("many.npy", FRAMES.reshape(2, 4, 4))
    Path("k.keras").write_bytes(b"PK\x03\x04" + bytes(60))
    arguments, message = MISTAKES[name]
    assert run(*arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("edgernn: ")
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize("order", [0, 3])
def test_debug_shows_the_traceback(folder, order):
    arguments = ["run", "no.tflite", "--input", "x.npy"]
    arguments.insert(order, "--debug")
    with pytest.raises(ValueError, match=r"no\.tflite"):
        main(arguments)


def test_names_from_a_hostile_file_cannot_talk_to_the_terminal(folder, capsys):
    def rename(model):
        model.subgraphs[0].tensors[1].name = b"a\x1b[2J\nb"
        model.subgraphs[0].tensors[1].isVariable = True

    Path("evil.tflite").write_bytes(build(tweak=rename))
    assert run("run", "evil.tflite", "--input", "x.npy") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "\x1b" not in errors


def test_interrupt(folder, monkeypatch):
    monkeypatch.setattr("edgernn.model.load", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run("run", "m.tflite", "--input", "x.npy") == 130


@pytest.mark.parametrize(("off_by", "code", "word"), [(0, 0, "passed"), (100, 1, "FAILED")])
def test_self_test(folder, capsys, off_by, code, word):
    with_golden(off_by=off_by).save("g.tflite")
    assert run("run", "g.tflite", "--self-test", "--backend", "tflm") == code
    assert capsys.readouterr().out.startswith(word)


@pytest.mark.parametrize("signature", ["step", None])
def test_inspect(folder, capsys, signature):
    Path("n.tflite").write_bytes(build(signature=signature))
    assert run("inspect", "n.tflite") == 0
    text = capsys.readouterr().out
    assert "ADD" in text
    assert ("Step model: yes" in text) == (signature is not None)
    assert run("inspect", "n.tflite", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bytes"] == os.path.getsize("n.tflite")
    assert document["step"]["is_step"] == (signature is not None)


@pytest.mark.parametrize("arguments", [["convert", "k.keras", "--calibration", "x.npy"], ["demo"]])
def test_without_tensorflow_a_line_says_what_to_install(folder, capsys, monkeypatch, arguments):
    Path("k.keras").write_bytes(b"PK")
    monkeypatch.setattr("converters.dependencies.find_spec", lambda package: None)
    before = sorted(folder.iterdir())
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0
    assert "converting needs TensorFlow, Keras" in error
    assert "pip install 'edgernn[convert]'" in error
    assert sorted(folder.iterdir()) == before


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("edgernn ")
