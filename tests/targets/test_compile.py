"""What the compiler writes, and what it refuses."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from edgernn.errors import EdgernnError, InputError, MissingDependencyError, UnsupportedError
from targets.compile import compile_model
from targets.cores import core, cores
from targets.toolchain import toolchain
from tests.targets.build import Builder, step_model

SMALL = {"features": 5, "units": 6, "classes": 3}


def test_files_are_written_whole(tmp_path):
    path = tmp_path / "wake word.tflite"
    path.write_bytes(step_model(**SMALL))
    compiled = compile_model(path, "cortex-m4", tmp_path / "out")
    assert compiled.name == "wake_word"
    written = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert written == compiled.files
    assert {"wake_word.h", "wake_word.c", "wake_word_weights.c"} <= set(written)
    for text in written.values():
        assert "malloc" not in text
        assert "float" not in text


def test_only_needed_kernels_are_written():
    files = compile_model(step_model("gru", "int8", **SMALL), "cortex-m4").files
    assert "edgernn_fully_connected_s8_dsp.c" in files
    assert not any("softmax" in f or "s16" in f for f in files)


def test_same_input_same_output():
    data = step_model(**SMALL)
    assert compile_model(data).files == compile_model(data).files


def test_steps_name_their_layers():
    compiled = compile_model(step_model(layers=2, **SMALL))
    layers = {layer for step in compiled.steps for layer in step.layers}
    assert "gru_0/z" in layers
    assert "gru_1/z" in layers


def _one(op, shape=(1, 4), dtype="int8", out_dtype=None, **options):
    b = Builder()
    x = b.tensor("input", shape, dtype, 0.1)
    y = b.tensor("layer/thing", shape, out_dtype or dtype, 0.1)
    b.op(op, [x], [y], **options)
    return b.finish([x], [y])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_one("FLOOR"), ["FLOOR", "layer/thing"]),
        (_one("RELU", (-1, 4)), ["dynamic shape"]),
        (_one("RELU", (0, 4)), ["empty"]),
        (_one("RELU", out_dtype="int16"), ["RELU", "int8, int16"]),
        (_one("TANH", dtype="float32"), ["float32", "Cortex-M3", "no FPU", "--precision int8"]),
    ],
)
def test_refused_models_name_the_culprit(data, words):
    with pytest.raises(UnsupportedError) as error:
        compile_model(data, "cortex-m3")
    for word in words:
        assert word.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="cortex-m4"):
        compile_model(step_model(**SMALL), "cortex-m9")
    with pytest.raises(InputError, match="identifier"):
        compile_model(step_model(**SMALL), name="My Model")
    with pytest.raises(EdgernnError, match="cannot read"):
        compile_model(tmp_path / "none.tflite")
    with pytest.raises(MissingDependencyError, match="no-such-cc"):
        toolchain("no-such-cc")


def test_cores_have_flags():
    for name, entry in cores().items():
        assert core(name) is entry
        assert entry.title


def test_damaged_files_never_crash():
    data = step_model(**SMALL)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for at in random.integers(0, min(len(data), 6000), random.integers(1, 9)):
            damaged[at] = random.integers(0, 256)
        with contextlib.suppress(EdgernnError):
            compile_model(bytes(damaged), "cortex-m4")
