"""Files of Keras 2, said again in the words of Keras 3: configurations and weights.

Keras 3 reads most of such a file, but not the options it has dropped, not the cuDNN layers, and not
with the meaning they had: `hard_sigmoid` was another function. Facts are from the Keras 2.15
source (`engine`, `layers/rnn`, `saving/legacy/hdf5_format.py`).
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import h5py
import keras
import numpy as np
import numpy.typing as npt

from edgernn.errors import MissingDependencyError, ModelFileError, UnsupportedError

Config = dict[str, Any]
Weight = npt.NDArray[np.generic]

RECURRENT: Final = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM2D", "CuDNNLSTM", "CuDNNGRU")

DROPPED: Final = ("time_major", "implementation", "input_length", "input_dim", "ragged",
                  "fused", "virtual_batch_size", "adjustment")  # fmt: skip
"""Options of Keras 2 that change nothing here and that Keras 3 does not know."""

TIME_FREE: Final = (*RECURRENT, "InputLayer", "Dense", "Activation", "Dropout", "ReLU",
                    "LeakyReLU", "TimeDistributed", "LSTMCell", "GRUCell", "SimpleRNNCell",
                    "StackedRNNCells", "Add", "Multiply", "Average", "Sequential", "Functional",
                    "Model")  # fmt: skip
"""Layers that mean the same whether time or batch is the first axis."""


def keras2_hard_sigmoid(x: Any) -> Any:
    """Keras 2's hard sigmoid, `clip(0.2 x + 0.5, 0, 1)`; Keras 3's has the slope 1/6.

    Written with relu, for MINIMUM is no clean operator once quantized (see `activations.py`).
    """
    return 1.0 - keras.ops.relu(1.0 - keras.ops.relu(x * 0.2 + 0.5))


keras.saving.register_keras_serializable("edgernn")(keras2_hard_sigmoid)

OBJECTS: Final = {"keras2_hard_sigmoid": keras2_hard_sigmoid}
"""What a file that was said again needs to load."""


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """The file itself, or for one of Keras 2 a temporary one that Keras 3 reads.

    A folder is a SavedModel of Keras 2, which needs the package `tf_keras`.

    Raises:
        ModelFileError: it is of Keras 1, or a SavedModel without Keras' description of itself.
        UnsupportedError: it has a layer or option that Keras 3 has no equal of.
        MissingDependencyError: a SavedModel, and `tf_keras` is not installed.
    """
    with TemporaryDirectory(prefix="edgernn-") as folder:
        new = Path(folder) / "model.h5"
        if path.is_dir():
            _saved_model(path, new)
            _modernise_h5(new)
            yield new
        elif path.suffix == ".keras":
            new = new.with_suffix(".keras")
            yield new if _rewritten_keras(path, new) else path
        elif _is_old(path):
            shutil.copyfile(path, new)
            _modernise_h5(new)
            yield new
        else:
            yield path


def _saved_model(path: Path, new: Path) -> None:
    """Write the Keras model in a SavedModel folder as `.h5`."""
    if not (path / "saved_model.pb").is_file():
        raise ModelFileError(f"{path}: a folder that is no SavedModel; give a .keras or .h5 file")
    if not (path / "keras_metadata.pb").is_file():
        raise ModelFileError(
            f"{path}: a SavedModel without Keras' description of its layers (an exported graph); "
            "save the Keras model itself: model.save('model.keras')"
        )
    try:
        import tf_keras
    except ImportError:
        raise MissingDependencyError(
            f"{path}: a Keras 2 SavedModel is read by tf_keras: pip install 'edgernn[legacy]'"
        ) from None
    tf_keras.models.load_model(path, compile=False).save(new, save_format="h5")


def _is_old(path: Path) -> bool:
    """Whether an `.h5` file holds a model of Keras 2 (the oldest do not give a version)."""
    with h5py.File(path, "r") as file:
        return "model_config" in file.attrs and _is_old_version(
            path, file.attrs.get("keras_version", "2")
        )


def _is_old_version(path: Path, version: Any) -> bool:
    text = version.decode() if isinstance(version, bytes) else str(version)
    if text.startswith("1."):
        raise ModelFileError(f"{path}: written by Keras {text}; load and save it with Keras 2 once")
    return text.startswith("2")


def _modernise_h5(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        document = file.attrs["model_config"]
        groups = file["model_weights"]
        weights = {name: _weights(group) for name, group in groups.items()}
        config = modernise(json.loads(document), weights)
        for name, group in groups.items():
            _replace_cudnn(group, weights[name])
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)


def _rewritten_keras(path: Path, new: Path) -> bool:
    """Write a Keras 2 `.keras` file anew; False for one of Keras 3."""
    with zipfile.ZipFile(path) as old:
        names = old.namelist()
        if not {"metadata.json", "config.json", "model.weights.h5"} <= set(names):
            raise ModelFileError(f"{path}: not a readable Keras model (a part is missing)")
        if not _is_old_version(path, json.loads(old.read("metadata.json"))["keras_version"]):
            return False
        config = json.loads(old.read("config.json"))
        if any(layer["class_name"].startswith("CuDNN") for layer in _layers(config)):
            raise UnsupportedError(f"{path}: cuDNN layers in a .keras file; save the model as .h5")
        weights_path = new.with_name("model.weights.h5")
        weights_path.write_bytes(old.read("model.weights.h5"))
        with h5py.File(weights_path, "r+") as file:
            # Keras 2.12 to 2.14 name the container after an attribute of its own.
            if "_layer_checkpoint_dependencies" in file:
                file.move("_layer_checkpoint_dependencies", "layers")
            found: dict[str, list[Weight]] = {"": [np.empty(shape) for shape in _shapes(file)]}
        with zipfile.ZipFile(new, "w") as archive:
            archive.writestr("metadata.json", old.read("metadata.json"))
            archive.writestr("config.json", json.dumps(modernise(config, found)))
            archive.write(weights_path, "model.weights.h5")
    return True


def _shapes(file: Any) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    file.visititems(
        lambda _, item: shapes.append(item.shape) if isinstance(item, h5py.Dataset) else None
    )
    return shapes


# Configurations


def modernise(config: Config, weights: dict[str, list[Weight]]) -> Config:
    """A model's Keras 2 configuration as one of Keras 3.

    `weights` are the arrays of each outermost layer; their shapes tell what old files do not say.
    """
    _name_sequentials(config)
    layers = list(_layers(config))
    recurrent = [layer for layer in layers if layer["class_name"] in RECURRENT]
    if any(layer["config"].get("time_major") for layer in recurrent):
        _refuse_mixed_time(layers, recurrent)
        for layer in layers:
            for key in ("batch_input_shape", "batch_shape"):
                shape = layer["config"].get(key)
                if shape and len(shape) > 2:
                    shape[:2] = [shape[1], shape[0]]
    for layer in layers:
        _modernise_layer(layer, weights)
    for layer in layers:
        _give_input(layer)
    return config


def _layers(config: Any) -> Iterator[Config]:
    """Every layer, cell and model described in a configuration, outermost first."""
    if isinstance(config, dict):
        inner = config.get("config")
        if isinstance(config.get("class_name"), str) and isinstance(inner, dict):
            yield config
        for value in config.values():
            yield from _layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value)


def _name_sequentials(config: Any) -> None:
    """Before Keras 2.2.3 a Sequential's configuration was the bare list of its layers."""
    if isinstance(config, dict):
        if config.get("class_name") == "Sequential" and isinstance(config["config"], list):
            config["config"] = {"name": "sequential", "layers": config["config"]}
        for value in config.values():
            _name_sequentials(value)
    elif isinstance(config, list):
        for value in config:
            _name_sequentials(value)


def _refuse_mixed_time(layers: list[Config], recurrent: list[Config]) -> None:
    for layer in layers:
        name, kind = layer["config"].get("name"), layer["class_name"]
        if name is None or layer["config"].get("dtype") is None:
            continue  # an initializer, a policy
        if kind not in TIME_FREE:
            raise UnsupportedError(
                f"layer '{name}': a {kind} in a time_major model may work along either axis; "
                "train the model with time_major=False"
            )
    for layer in recurrent:
        if not layer["config"].get("time_major"):
            raise UnsupportedError(
                f"layer '{layer['config'].get('name')}': time_major=False beside layers with "
                "time_major=True; give all the same"
            )


def _modernise_layer(layer: Config, weights: dict[str, list[Weight]]) -> None:
    kind, config = layer["class_name"], layer["config"]
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        raise UnsupportedError(
            f"layer '{config.get('name')}': a TensorFlow function applied to a Keras tensor; "
            "use the Keras layer for it (Add, Concatenate, Reshape, ...) and save again"
        )
    if kind in ("Functional", "Model") and "layers" in config:
        layer["class_name"] = "Functional"
        if "module" in layer:
            layer.update(module="keras.src.models.functional", registered_name="Functional")
    if kind in ("CuDNNLSTM", "CuDNNGRU"):
        layer["class_name"] = kind.removeprefix("CuDNN")
        config.update(activation="tanh", recurrent_activation="sigmoid", use_bias=True)
        if kind == "CuDNNGRU":
            config["reset_after"] = True
        if "module" in layer:
            layer.update(module="keras.layers", registered_name=None)
    elif kind in ("GRU", "GRUCell") and "reset_after" not in config:
        double = (2, 3 * config["units"])
        config["reset_after"] = any(w.shape == double for ws in weights.values() for w in ws)
    for key in ("activation", "recurrent_activation"):
        if config.get(key) == "hard_sigmoid":
            config[key] = keras.saving.serialize_keras_object(keras2_hard_sigmoid)
    if kind == "BatchNormalization":
        if config.pop("renorm", False):
            raise UnsupportedError(f"layer '{config.get('name')}': batch renormalization")
        if isinstance(config.get("axis"), list):
            (config["axis"],) = config["axis"]
    if isinstance(config.get("dtype"), dict):  # a policy of mixed precision
        config["dtype"] = config["dtype"].get("config", {}).get("name", "float32")
    if kind == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    for key in DROPPED:
        if not (key == "input_dim" and kind == "Embedding"):
            config.pop(key, None)


def _give_input(model: Config) -> None:
    """Let a Sequential begin with an InputLayer, where its first layer holds the shape."""
    if model["class_name"] != "Sequential":
        return
    layers = model["config"]["layers"]
    first = layers[0]["config"] if layers else {}
    shapes = [layer["config"].pop("batch_input_shape", None) for layer in layers]
    if layers and layers[0]["class_name"] != "InputLayer" and shapes[0]:
        given = {"batch_shape": shapes[0], "name": f"{first.get('name', 'model')}_input"}
        entry: Config = {"class_name": "InputLayer", "config": {**given, "dtype": "float32"}}
        if "module" in layers[0]:
            entry.update(module="keras.layers", registered_name=None)
        layers.insert(0, entry)


# Weights


def _weights(group: Any) -> list[Weight]:
    return [group[name][()] for name in _weight_names(group)]


def _weight_names(group: Any) -> list[str]:
    names = group.attrs.get("weight_names", ())
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _replace_cudnn(group: Any, weights: list[Weight]) -> None:
    """Write the arrays of the cuDNN layers in a group in the layout of LSTM and GRU."""
    names = _weight_names(group)
    for i in range(len(weights) - 2):
        converted = from_cudnn(*weights[i : i + 3])
        if converted is not None:
            for name, array in zip(names[i : i + 3], converted, strict=True):
                del group[name]
                group[name] = array


def from_cudnn(
    kernel: Weight, recurrent: Weight, bias: Weight
) -> tuple[Weight, Weight, Weight] | None:
    """`(features, g u)`, `(u, g u)` and `(2 g u,)` of a cuDNN layer as LSTM's or GRU's own.

    A cuDNN gate's matrix is stored row by row for the product `W x`, Keras' is for `x W`; and it
    has two biases, which LSTM adds up and GRU (`reset_after`) keeps as two rows. None for arrays
    of another layer: only these have a bias of that length.
    """
    if kernel.ndim != 2 or recurrent.ndim != 2 or bias.ndim != 1:
        return None
    units, columns = recurrent.shape
    gates = columns // units if units else 0
    fits = columns == gates * units and kernel.shape[1] == columns
    if gates not in (3, 4) or not fits or bias.shape != (2 * columns,):
        return None
    pair = bias.reshape(2, columns)
    return (
        _transposed_gates(kernel, gates),
        _transposed_gates(recurrent, gates),
        pair if gates == 3 else pair.sum(axis=0),
    )


def _transposed_gates(matrix: Weight, gates: int) -> Weight:
    return np.hstack(
        [gate.reshape(gate.shape[1], gate.shape[0]).T for gate in np.hsplit(matrix, gates)]
    )
