"""Files of Keras 2: what they give is what tf_keras, the maintained Keras 2, gives."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from converters.legacy import from_cudnn, keras2_hard_sigmoid
from converters.loader import load_keras
from converters.rolling import outputs
from converters.trace import trace
from edgernn.errors import ModelFileError, UnsupportedError

k2 = pytest.importorskip("tf_keras", reason="tf_keras is not installed")
L = k2.layers
X = np.random.default_rng(0).normal(size=(1, 9, 3)).astype(np.float32)


def filled(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.05, 0.7, w.shape) - 0.3 for w in model.get_weights()])
    return model


def sequential(*layers):
    return filled(k2.Sequential([k2.Input((None, 3)), *layers]))


def functional():
    x = k2.Input((None, 3))
    both = L.Add()([L.LSTM(4, return_sequences=True)(x), L.SimpleRNN(4, return_sequences=True)(x)])
    return filled(k2.Model(x, L.GRU(3, return_sequences=True)(both)))


def nested():
    inner = k2.Sequential([L.GRU(4, return_sequences=True, input_shape=(None, 3))])
    return filled(k2.Sequential([inner, L.Dense(2)]))


MODELS = {
    "hard_sigmoid": lambda: sequential(
        L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True),
        L.GRU(4, reset_after=False, return_sequences=True),
        L.Dense(2, activation="hard_sigmoid"),
    ),
    "cells": lambda: sequential(
        L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(4)]), return_sequences=True),
        L.BatchNormalization(),
        L.TimeDistributed(L.Dense(2)),
    ),
    "functional": functional,
    "nested": nested,
}


def step_of(path):
    """What the converted float step gives for `X`, frame after frame."""
    model = load_keras(path)
    step = trace(model)
    return outputs(step.data, step, [X[0]])[0]


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", MODELS)
def test_a_keras_2_model_converts_and_means_the_same(tmp_path, name, suffix):
    model, path = MODELS[name](), tmp_path / f"model{suffix}"
    model.save(path)
    np.testing.assert_allclose(step_of(path), model.predict(X, verbose=0)[0], rtol=0, atol=1e-5)


def test_a_saved_model_folder_loads(tmp_path):
    model = MODELS["hard_sigmoid"]()
    model.save(tmp_path / "model", save_format="tf")
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(
        load_keras(tmp_path / "model").predict(X, verbose=0), expected, rtol=0, atol=1e-5
    )
    (tmp_path / "model" / "keras_metadata.pb").unlink()
    with pytest.raises(ModelFileError, match="without Keras' description"):
        load_keras(tmp_path / "model")


def test_time_major_models_come_back_batch_first(tmp_path):
    model = filled(k2.Sequential([
        L.LSTM(4, time_major=True, return_sequences=True, batch_input_shape=(9, 1, 3)),
        L.GRU(4, time_major=True, return_sequences=True),
        L.Dense(2),
    ]))  # fmt: skip
    model.save(tmp_path / "model.h5")
    expected = model.predict(X.transpose(1, 0, 2), verbose=0, batch_size=9)
    np.testing.assert_allclose(step_of(tmp_path / "model.h5"), expected[:, 0], rtol=0, atol=1e-5)


def test_a_time_major_model_with_other_layers_is_refused(tmp_path):
    model = k2.Sequential([
        L.LSTM(4, time_major=True, return_sequences=True, batch_input_shape=(9, 1, 3)),
        L.Conv1D(4, 1),
    ])  # fmt: skip
    model.save(tmp_path / "model.h5")
    with pytest.raises(UnsupportedError, match=r"a Conv1D in a time_major"):
        load_keras(tmp_path / "model.h5")


def cudnn(kind):
    module = pytest.importorskip(f"tf_keras.src.layers.rnn.cudnn_{kind.lower()}")
    return getattr(module, f"CuDNN{kind}")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_cudnn_weights_are_those_that_tf_keras_reads_from_the_same_file(tmp_path, kind):
    # They only run on a GPU; tf_keras loads their weights into the layer that runs everywhere.
    path = tmp_path / "model.h5"
    sequential(cudnn(kind)(4, return_sequences=True), L.Dense(2)).save(path)
    model = sequential(getattr(L, kind)(4, return_sequences=True), L.Dense(2))
    model.load_weights(path)
    np.testing.assert_allclose(step_of(path), model.predict(X, verbose=0)[0], rtol=0, atol=1e-5)


def test_only_cudnn_arrays_are_turned():
    kernel, recurrent = np.zeros((3, 16)), np.zeros((4, 16))
    assert from_cudnn(kernel, recurrent, np.zeros(16)) is None
    assert from_cudnn(kernel, recurrent, np.zeros(32))[2].shape == (16,)


def test_keras_2_hard_sigmoid_has_the_slope_of_one_fifth():
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    np.testing.assert_allclose(keras2_hard_sigmoid(x), np.clip(0.2 * x + 0.5, 0, 1), atol=1e-6)


def rewritten(path, change):
    """Change the configuration in an `.h5` file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config, file)
        file.attrs["model_config"] = json.dumps(config).encode()


def older(config, file):
    """As Keras 2.1 wrote it: no version, a bare list of layers, the shape in the first one."""
    del file.attrs["keras_version"]
    entry, *layers = config["config"]["layers"]
    layers[0]["config"]["batch_input_shape"] = entry["config"]["batch_input_shape"]
    for layer in layers:
        layer["config"].pop("reset_after", None)
        layer["config"].pop("time_major", None)
    config["config"] = layers


@pytest.mark.parametrize("reset_after", [False, True])
def test_a_very_old_file_says_by_its_shapes_what_it_does_not_name(tmp_path, reset_after):
    model = sequential(L.GRU(4, reset_after=reset_after, return_sequences=True), L.Dense(2))
    path = tmp_path / "model.h5"
    model.save(path)
    rewritten(path, older)
    np.testing.assert_allclose(step_of(path), model.predict(X, verbose=0)[0], rtol=0, atol=1e-5)


def test_keras_1_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    sequential(L.GRU(4)).save(path)
    rewritten(path, lambda _, file: file.attrs.modify("keras_version", "1.2.2"))
    with pytest.raises(ModelFileError, match=r"written by Keras 1\.2\.2"):
        load_keras(path)


def test_functions_on_keras_tensors_are_refused_by_layer(tmp_path):
    x = k2.Input((None, 3))
    path = tmp_path / "model.h5"
    k2.Model(x, L.GRU(2)(x * 2.0)).save(path)
    with pytest.raises(UnsupportedError, match=r"'tf\.math.multiply.*TensorFlow function"):
        load_keras(path)


def test_the_first_keras_files_of_keras_2_load(tmp_path):
    """2.12 to 2.14 called the group of the layers `_layer_checkpoint_dependencies`."""
    model, path = MODELS["hard_sigmoid"](), tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "weights.h5"
    weights.write_bytes(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    parts["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    np.testing.assert_allclose(step_of(path), model.predict(X, verbose=0)[0], rtol=0, atol=1e-5)
