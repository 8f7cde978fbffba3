"""Small recurrent networks by name, and their twins that are trained on continuous streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from converters.training.fastgrnn import FastGRNNCell
from edgernn.errors import InputError

Array = npt.NDArray[Any]
Tensor = Any
L = keras.layers


@dataclass(frozen=True)
class Shape:
    """What a network is built for.

    `features` of a frame and `outputs` of a prediction; `head` is the activation of the last layer
    (`softmax`, or `linear` for values); `mean` and `variance` `(features,)` normalise the frames;
    `dropout` is that of training.
    """

    features: int
    outputs: int
    head: str = "softmax"
    mean: Array | float = 0.0
    variance: Array | float = 1.0
    dropout: float = 0.3


Front = Callable[[Tensor, Shape], Tensor]


@dataclass(frozen=True)
class Architecture:
    """A network: layers that look back over a few frames, then a recurrent one, then the head.

    `context` is how many frames before its own an output of `front` sees, `stride` how many frames
    there are to an output, `least` how many features a frame must have.
    """

    description: str
    recurrent: Callable[..., Any]
    units: int
    front: Front | None = None
    context: int = 0
    stride: int = 1
    least: int = 1


def _same(x: Tensor, shape: Shape) -> Tensor:
    return x


def _conv1d(x: Tensor, filters: int, kernel: int, stride: int = 1) -> Tensor:
    x = L.Conv1D(filters, kernel, strides=stride, padding="causal", use_bias=False)(x)
    return L.ReLU()(L.BatchNormalization()(x))


def _conv2d(x: Tensor, filters: int, kernel: tuple[int, int], strides: tuple[int, int]) -> Tensor:
    """Causal in time; only where the kernel lies within the frequencies."""
    x = L.ZeroPadding2D(((kernel[0] - 1, 0), (0, 0)))(x)
    x = L.Conv2D(filters, kernel, strides=strides, use_bias=False)(x)
    return L.ReLU()(L.BatchNormalization()(x))


def _largest(x: Tensor, bands: int) -> Tensor:
    """Of so many neighbouring bands."""
    return L.MaxPooling2D((1, bands), padding="same")(x)


def _convolutions(x: Tensor, shape: Shape) -> Tensor:
    return _conv1d(_conv1d(x, 24, 5), 32, 5, stride=2)


def _wide_convolutions(x: Tensor, shape: Shape) -> Tensor:
    return _conv1d(_conv1d(x, 48, 5), 64, 5, stride=2)


def _spectral(x: Tensor, shape: Shape) -> Tensor:
    """Over time and frequency: a voice that is a little higher moves along and stays the same.

    Of neighbouring bands the largest is kept: formants lie elsewhere in every head.
    """
    x = L.Reshape((-1, shape.features, 1))(x)
    x = _largest(_conv2d(x, 16, (3, 5), (1, 1)), 2)
    x = _conv2d(x, 24, (3, 3), (1, 1))
    x = _largest(_conv2d(x, 32, (3, 3), (2, 1)), 2)
    x = _largest(_conv2d(x, 32, (3, 3), (1, 1)), 3)
    return L.Reshape((-1, x.shape[2] * x.shape[3]))(x)


def _fastgrnn(units: int, **options: Any) -> Any:
    return L.RNN(FastGRNNCell(units), **options)


ARCHITECTURES: Final = {
    "gru-s": Architecture("GRU(32)", L.GRU, 32),
    "gru-m": Architecture("GRU(64)", L.GRU, 64),
    "lstm-s": Architecture("LSTM(32)", L.LSTM, 32),
    "lstm-m": Architecture("LSTM(64)", L.LSTM, 64),
    "fastgrnn-s": Architecture("FastGRNN(48)", _fastgrnn, 48),
    "crnn-s": Architecture("2 Conv1D, GRU(32)", L.GRU, 32, _convolutions, context=8, stride=2),
    "crnn-m": Architecture("2 Conv1D, GRU(64)", L.GRU, 64, _wide_convolutions, context=8, stride=2),
    "spectral-m": Architecture(
        "4 Conv2D over time and frequency, GRU(64)", L.GRU, 64, _spectral, 10, 2, least=21
    ),
    "spectral-l": Architecture(
        "4 Conv2D over time and frequency, GRU(96)", L.GRU, 96, _spectral, 10, 2, least=21
    ),
}
"""Every network that `--architecture` names. The largest has about 60,000 parameters."""


def find(name: str) -> Architecture:
    """The architecture of this name.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    near = get_close_matches(name, ARCHITECTURES, 1)
    known = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(ARCHITECTURES)}"
    raise InputError(f"architecture {name!r} is not known: {known}")


def build(name: str, shape: Shape) -> keras.Model:
    """The network that is converted: frames `(batch, time, features)` to predictions.

    Raises:
        InputError: there is no such network, or the frames are too small for it.
    """
    chosen = find(name)
    if shape.features < chosen.least:
        raise InputError(
            f"architecture '{name}' needs frames of {chosen.least} features or more, and these "
            f"have {shape.features}: take another, or a front end with more bands"
        )
    return _build(chosen, shape, None)


def build_carried(name: str, shape: Shape, rows: int) -> keras.Model:
    """Its twin for training on streams: same layers and names, state kept from batch to batch.

    It takes `rows` streams at once, each batch with `context` frames of the one before in front:
    what the convolutions see behind them; the recurrent layer gets what follows.
    """
    return _build(find(name), shape, rows)


def _build(chosen: Architecture, shape: Shape, rows: int | None) -> keras.Model:
    frame = (None, shape.features)
    inputs = keras.Input(frame) if rows is None else keras.Input(batch_shape=(rows, *frame))
    mean = np.broadcast_to(np.asarray(shape.mean, np.float32), shape.features)
    variance = np.broadcast_to(np.asarray(shape.variance, np.float32), shape.features)
    x = L.Normalization(mean=mean, variance=variance, name="normalise")(inputs)
    x = (chosen.front or _same)(x, shape)
    if rows is not None and chosen.context:
        x = L.Cropping1D((chosen.context // chosen.stride, 0))(x)
    x = L.Dropout(shape.dropout, name="drop_in")(x) if chosen.front else x
    kept = {"return_sequences": True, "stateful": rows is not None, "name": "recurrent"}
    x = chosen.recurrent(chosen.units, **kept)(x)
    x = L.Dropout(shape.dropout, name="drop_out")(x)
    x = L.Dense(shape.outputs, shape.head, name="head")(x)
    return keras.Model(inputs, x)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give `target` the trained values of its twin; carried states stay where they are."""
    ours = [layer for layer in target.layers if layer.weights]
    theirs = [layer for layer in source.layers if layer.weights]
    for one, other in zip(ours, theirs, strict=True):
        for variable, value in zip(trained(one), trained(other), strict=True):
            variable.assign(value)


def trained(part: Any) -> list[Any]:
    """Variables that a training changes and a model keeps: no seeds, no carried states."""
    kept = part.trainable_variables
    moving = [v for v in part.non_trainable_variables if v.path.rsplit("/", 1)[-1] in _STATISTICS]
    return [*kept, *moving]


_STATISTICS: Final = {"moving_mean", "moving_variance"}
