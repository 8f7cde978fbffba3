"""The way from Keras, where TensorFlow is installed; `converters` is imported only in here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgernn.codec import Decoder
from edgernn.errors import InputError

if TYPE_CHECKING:
    from edgernn.model import Model

Array = npt.NDArray[Any]

LONGEST = 1000
"""Steps compared at most."""

_NOISE = (8, 64)
"""Sequences and frames of the noise that stands in for calibration data."""

SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class KerasAgreement:
    """Predictions of the quantized step against Keras in float, from the first frame on.

    Errors are in percent of the range of Keras' own predictions; `same_decision` is a share.
    """

    steps: int
    rms_percent: float
    max_percent: float
    same_decision: float | None


def compare_keras(
    keras_model: Any, model: Model, frames: Array, predictions: Array
) -> KerasAgreement:
    """Compare raw predictions with those of the Keras model on the same (dequantized) frames.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
        UnsupportedError: the Keras model is not the one that streams.
        InputError: the Keras model takes other frames.
    """
    from converters.dependencies import require
    from converters.quiet import quiet

    require()

    with quiet():
        from converters.checks import check_against_keras
        from converters.loader import load_keras
        from converters.measure import compare
        from converters.rolling import outputs
        from converters.trace import trace

        live = load_keras(keras_model)
        window = model.metadata.provenance.get("window")
        step = trace(live, None if window is None else int(window))
        if len(step.inputs) > 1 or len(step.outputs) > 1:
            raise InputError("a Keras model of several inputs or outputs cannot be compared here")
        shape = model.frame_shape
        normalised = Decoder(model.x).decode(frames[:LONGEST]).reshape(-1, *shape)
        if tuple(live.inputs[0].shape[2:]) != shape or step.frames_per_step != (
            model.metadata.frames_per_step
        ):
            raise InputError(
                f"the Keras model takes frames {tuple(live.inputs[0].shape[2:])}, the step {shape}"
            )
        check_against_keras(live, step, [_raw(normalised, step.inputs[0].normalisation)])
        (expected,) = outputs(step.data, step, [normalised])
    got = Decoder(model.y).decode(predictions[step.warmup : LONGEST])
    errors = compare([expected], [got.reshape(expected.shape)])
    return KerasAgreement(errors.steps, errors.rms_percent, errors.max_percent, errors.agreement)


def _raw(normalised: Array, normalisation: Any) -> Array:
    if normalisation is None:
        return normalised
    shape = normalised.shape[1:]
    scale = np.reshape(normalisation.scale, shape)
    offset = np.reshape(normalisation.offset, shape)
    frames: Array = ((normalised - offset) / scale).astype(np.float32)
    return frames


def is_keras(model: Any) -> bool:
    """Whether this is a Keras model or names a file of one, rather than a `.tflite`."""
    if isinstance(model, (str, os.PathLike)):
        return Path(model).suffix.lower() in SUFFIXES
    return type(model).__module__.split(".")[0] == "keras" or hasattr(model, "get_config")


def convert_untrained(keras_model: Any, precision: str) -> Model:
    """A step model that has the size and speed of the real one: calibrated on noise."""
    from converters.dependencies import require
    from converters.quiet import quiet

    require()

    with quiet():
        from converters import convert
        from converters.loader import load_keras

        live = load_keras(keras_model)
        shape = live.inputs[0].shape[2:]
        if any(n is None for n in shape):
            raise InputError(f"the Keras model has the open frame shape {tuple(shape)}")
        noise = np.random.default_rng(0).normal(size=(*_NOISE, *shape)).astype(np.float32)
        result: Model = convert(live, noise, precision=precision)
    return result
