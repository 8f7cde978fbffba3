"""Rows of benchmarks/coverage.py from files of other tools; `CASES` is all rows, with these.

Keras 2 makes the fused operator of stock files; Keras 3 does not.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.coverage_models import CASES
from benchmarks.coverage_rows import FEATURES, UNITS, case

__all__ = ["CASES"]


def keras2(*layers: Callable[[Any], Any]) -> Callable[[], Any]:
    """A Sequential model of Keras 2."""

    def make() -> Any:
        import tf_keras

        tf_keras.utils.set_random_seed(0)
        inputs = tf_keras.Input((None, FEATURES))
        return tf_keras.Sequential([inputs, *[layer(tf_keras.layers) for layer in layers]])

    return make


def h5(make: Callable[[], Any]) -> Callable[[], Any]:
    """The model as it comes back from the `.h5` file that Keras 2 writes."""

    def loaded() -> Any:
        from converters.loader import load_keras

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / "old.h5"
            make().save(path)
            return load_keras(path)

    return loaded


def lstm2(**options: Any) -> Callable[[Any], Any]:
    """An LSTM of Keras 2."""
    return lambda layers: layers.LSTM(UNITS, return_sequences=True, **options)


def softmax2(layers: Any) -> Any:
    """A classifier of Keras 2."""
    return layers.Dense(3, activation="softmax")


case("files", "Keras 2 .h5, LSTM", h5(keras2(lstm2(), softmax2)))
case(
    "files",
    "Keras 2 .h5, GRU reset_after=False, hard_sigmoid",
    h5(
        keras2(
            lambda layers: layers.GRU(
                UNITS,
                reset_after=False,
                recurrent_activation="hard_sigmoid",
                return_sequences=True,
            ),
            softmax2,
        )
    ),
)
case("files", "stock .tflite, fused LSTM by frame", keras2(lstm2(), softmax2), stock=1)
case("files", "stock .tflite, fused LSTM, 8 frames", keras2(lstm2(), softmax2), stock=8)
case("files", "stock .tflite, two fused LSTMs", keras2(lstm2(), lstm2(), softmax2), stock=8)
