"""Loading Keras files: what cannot be loaded is explained in one line."""

import keras
import pytest

from converters.loader import import_file, load_keras
from edgernn.errors import EdgernnError, InputError, ModelFileError, UnsupportedError
from tests.converters.test_trace import MinimalGatedCell

L = keras.layers


class NeverRegistered(L.Layer):
    def call(self, x):
        return x


def saved(tmp_path, *layers, suffix=".keras"):
    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((None, 3)), *layers]).save(path)
    return path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_objects_load_by_the_keras_convention(tmp_path, suffix):
    path = saved(tmp_path, L.RNN(MinimalGatedCell(4)), suffix=suffix)
    assert isinstance(load_keras(path).layers[0].cell, MinimalGatedCell)


def test_a_live_model_is_itself():
    model = keras.Sequential([keras.Input((None, 3)), L.GRU(2)])
    assert load_keras(model) is model


def truncated(tmp_path):
    path = saved(tmp_path, L.GRU(2))
    path.write_bytes(path.read_bytes()[:-400])
    return path


def noise(name):
    def make(tmp_path):
        (tmp_path / name).write_bytes(bytes(range(256)))
        return tmp_path / name

    return make


BAD = {
    "missing": (lambda p: p / "none.keras", ModelFileError, "no such file"),
    "folder": (lambda p: p, ModelFileError, "a folder that is no SavedModel"),
    "suffix": (noise("model.bin"), ModelFileError, "expected .keras, .h5"),
    "tflite": (noise("model.tflite"), ModelFileError, "already a TFLite file"),
    "torch": (noise("model.pth"), ModelFileError, "a PyTorch model"),
    "onnx": (noise("model.onnx"), ModelFileError, "an ONNX model"),
    "graph": (noise("saved_model.pb"), ModelFileError, "give its folder"),
    "noise": (noise("model.keras"), ModelFileError, "not a readable Keras model"),
    "noise_h5": (noise("model.h5"), ModelFileError, "not a readable Keras model"),
    "truncated": (truncated, ModelFileError, "not a readable Keras model"),
    "unregistered": (
        lambda p: saved(p, NeverRegistered()), UnsupportedError, "'NeverRegistered'.*--custom",
    ),
    "lambda": (
        lambda p: saved(p, L.Lambda(lambda x: x * 2), L.GRU(2)), UnsupportedError, "Lambda layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_loaded_is_explained_in_one_line(tmp_path, name):
    make, kind, message = BAD[name]
    with pytest.raises(kind, match=message) as caught:
        load_keras(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_no_model_at_all():
    with pytest.raises(InputError, match="int is no Keras model"):
        load_keras(3)


def test_a_python_file_may_register_objects(tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("import keras\nVALUE = 1\n")
    bad.write_text("import nothing_of_this_name\n")
    import_file(good)
    for path in (bad, tmp_path / "absent.py"):
        with pytest.raises(EdgernnError, match=path.name):
            import_file(path)
