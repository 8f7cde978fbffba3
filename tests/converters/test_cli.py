"""`edgernn convert` from the shell's side: files written, exit codes, one-line errors."""

import json

import keras
import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.converters.test_conversion import recordings, small


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save("model.keras")
    np.save("calibration.npy", np.stack(recordings()))
    return tmp_path


def run(*arguments):
    """Exit code of `edgernn ARGUMENTS`."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code or 0


def test_convert_writes_the_model_and_the_report(work, capsys):
    code = run("convert", "model.keras", "--calibration", "calibration.npy", "-o", "out.tflite",
               "--precision", "int8", "--labels", "a,b,c", "--json", "report.json")  # fmt: skip
    assert code == 0
    model = edgernn.load("out.tflite")
    assert model.labels == ("a", "b", "c")
    assert json.loads((work / "report.json").read_text())["precision"] == "int8"
    printed = capsys.readouterr().out
    assert "out.tflite" in printed
    assert "gru_h" in printed
    model.stream().push(recordings(1)[0])


def test_output_is_named_after_the_model(work):
    assert run("convert", "model.keras", "--calibration", "calibration.npy") == 0
    assert (work / "model.tflite").exists()


def test_window_is_asked_for_and_kept(work, capsys):
    x = keras.Input((None, 5))
    y = keras.layers.MultiHeadAttention(2, 3, name="heads")(x, x, use_causal_mask=True)
    keras.Model(x, y).save("heads.keras")
    arguments = (
        "convert",
        "heads.keras",
        "--calibration",
        "calibration.npy",
        "--precision",
        "int8",
    )
    assert run(*arguments) == 2
    assert "'heads'" in (message := capsys.readouterr().err)
    assert "--window N" in message
    assert run(*arguments, "--window", "9") == 0
    model = edgernn.load("heads.tflite")
    assert {s.name: s.shape for s in model.metadata.states}["heads_keys"] == (1, 2, 8, 3)


CUSTOM = """
import keras, converters

@keras.saving.register_keras_serializable("cli")
class Twice(keras.layers.Layer):
    def call(self, x):
        return x + x

@converters.rule(Twice)
def twice(layer, inputs, step):
    return inputs[0].map(layer.call)
"""


def test_custom_layers_and_rules_come_from_a_file(work):
    (work / "twice.py").write_text(CUSTOM)
    namespace = {}
    exec(CUSTOM, namespace)
    keras.Sequential([keras.Input((None, 5)), namespace["Twice"](), keras.layers.GRU(3)]).save(
        "twice.keras"
    )
    arguments = ["convert", "twice.keras", "--calibration", "calibration.npy"]
    assert run(*arguments, "--custom", "twice.py") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.keras"], "no calibration data: pass --calibration"),
        (["model.keras", "--calibration", "none.npy"], "none.npy"),
        (["none.keras", "--calibration", "calibration.npy"], "none.keras: no such file"),
        (["model.keras", "--calibration", "calibration.npy", "-o", "x.bin"], "must end in .tflite"),
        (["model.keras", "--calibration", "calibration.npy", "-o", "no/x.tflite"], "no such fold"),
        (["model.keras", "--calibration", "zeros.npy"], "all zeros"),
        (["model.keras", "--calibration", "wide.npy"], "(T, 5)"),
        (["model.keras", "--calibration", "calibration.npy", "--labels", "a"], "1 labels"),
        (["bidirectional.keras", "--calibration", "calibration.npy"], "layer 'both'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_leaves_nothing_behind(work, capfd, arguments, message):
    np.save("zeros.npy", np.zeros((2, 9, 5), np.float32))
    np.save("wide.npy", np.ones((2, 9, 7), np.float32))
    keras.Sequential(
        [keras.Input((None, 5)), keras.layers.Bidirectional(keras.layers.GRU(2), name="both")]
    ).save("bidirectional.keras")
    before = sorted(work.iterdir())
    assert run("convert", *arguments) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("edgernn: ")
    assert message in error
    assert sorted(work.iterdir()) == before
