import sys

import numpy as np
import pytest

from edgernn import interpreters, load
from edgernn.errors import MissingDependencyError, ModelFileError
from edgernn.interpreters import BACKENDS, choose
from tests.edgernn.stepfile import build


def test_auto_takes_the_first_that_is_there(monkeypatch):
    assert choose() == "litert"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert choose() == "tflm"
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        choose()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_backend_says_how_to_install_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, BACKENDS[name].module.partition(":")[0], None)
    with pytest.raises(MissingDependencyError, match=f"pip install {BACKENDS[name].package}") as e:
        load(build()).stream(name)
    assert "\n" not in str(e.value)


def test_an_unknown_backend_names_the_known():
    with pytest.raises(MissingDependencyError, match="no backend 'gpu': choose one of auto, lite"):
        load(build()).stream("gpu")


@pytest.mark.parametrize("backend", ["litert", "tflm"])
def test_a_model_the_interpreter_refuses_is_the_models_fault(backend):
    def unknown_operator(model):
        model.operatorCodes[0].builtinCode = 127 + 90

    with pytest.raises(ModelFileError, match=f"{backend} cannot run this model") as error:
        load(build(tweak=unknown_operator)).stream(backend)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_copying_and_shared_memory_agree(monkeypatch, dtype):
    frames = np.random.default_rng(0).normal(size=(40, 4))
    shared = load(build(dtype)).stream("litert").push(frames)
    monkeypatch.setattr(interpreters, "_MOVING", ("ADD",))
    assert np.array_equal(load(build(dtype)).stream("litert").push(frames), shared)


def test_a_result_of_another_shape_than_declared_is_the_models_fault():
    def declare_too_much(model):
        model.subgraphs[0].tensors[4].shape = [1, 9]

    with pytest.raises(ModelFileError, match=r"'y' is \(1, 9\) in the file and \(1, 4\) in fact"):
        load(build(tweak=declare_too_much)).stream("litert")
