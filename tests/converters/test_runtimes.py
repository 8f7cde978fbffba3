"""Every converted file runs in LiteRT, tflite-runtime 2.14 and TFLM; differences in last bits."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.converters.attention_models import ATTENTION_MODELS
from tests.converters.time_models import TIME_MODELS

ROOT = Path(__file__).parents[2]
STEPS = 100
# Last bits after 100 carried steps of wild input. Small outputs behind large states count most: one
# bit of the state is ten of the output in "relu_layers".
LIMIT = {"int8": 32, "int16x8": 128}
NAMES = [
    "lstm", "lstm_hard_sigmoid", "gru", "gru_before", "gru_swish", "simple", "stacked_cells",
    "stacked_layers", "custom_cell", "two_state_cell", "time_distributed", "batch_norm",
    "layer_norm", "relu_layers", "softmax_layer", "normalization", "branches", "nested", "shared",
    "return_state", "activation_soft_shrink", "conv_lstm", *TIME_MODELS,
    *ATTENTION_MODELS,
]  # fmt: skip
CASES = [(name, precision) for name in NAMES for precision in ("int8", "int16x8")]

RUN = """
import sys, numpy, edgernn
for path in sys.argv[1:]:
    x = numpy.load(path + ".x.npy")
    numpy.save(path + ".y.npy", edgernn.load(path).stream("tflite-runtime").push_raw(x))
"""


@pytest.fixture(scope="module")
def converted(converted_model, tmp_path_factory):
    """Every case converted once: folder, and the model by case."""
    folder = tmp_path_factory.mktemp("converted")
    models = {}
    for name, precision in CASES:
        model = converted_model(name, precision)
        path = folder / f"{name}.{precision}.tflite"
        model.save(path)
        x = np.random.default_rng(0).integers(-100, 100, (STEPS, 5)) * (
            1 if model.x.dtype == "int8" else 100
        )
        np.save(f"{path}.x.npy", x.astype(model.x.dtype))
        models[name, precision] = model, path, x.astype(model.x.dtype)
    return models


@pytest.fixture(scope="module")
def tflite_runtime(tmp_path_factory):
    """A Python with tflite-runtime 2.14 in an environment of its own, as an old Pi has it."""
    python = next(
        (p for v in ("3.11", "3.10") if (p := _python(v)) is not None),
        None,
    )
    if python is None:
        pytest.skip("tflite-runtime 2.14 needs Python 3.10 or 3.11, and none is here")
    home = tmp_path_factory.mktemp("tflite-runtime")
    subprocess.run([python, "-m", "venv", home], check=True)
    install = [home / "bin/pip", "install", "--quiet", "tflite-runtime==2.14.0", "numpy<2", "click"]
    subprocess.run([*install, "rich"], check=True)
    return home / "bin/python"


def _python(version):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    return shutil.which(f"python{version}")


def last_bits(a, b):
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), CASES)
def test_litert_and_tflm_agree_within_the_models_tolerance(converted, name, precision):
    model, _, x = converted[name, precision]
    difference = last_bits(model.stream("litert").push_raw(x), model.stream("tflm").push_raw(x))
    assert difference <= LIMIT[precision]


@pytest.mark.slow
def test_tflite_runtime_runs_every_file(converted, tflite_runtime):
    paths = [str(path) for _, path, _ in converted.values()]
    subprocess.run([tflite_runtime, "-c", RUN, *paths], check=True, cwd=ROOT)
    print(f"\n{'last bits from TFLM over ' + str(STEPS) + ' steps':44}{'LiteRT':>8}{'2.14':>8}")
    for (name, precision), (model, path, x) in converted.items():
        reference = model.stream("tflm").push_raw(x)
        old = last_bits(np.load(f"{path}.y.npy"), reference)
        litert = last_bits(model.stream("litert").push_raw(x), reference)
        print(f"{name + ' ' + precision:44}{litert:8}{old:8}")
        assert old <= LIMIT[precision], (name, precision)
