"""Embedding: one row of a table for each token."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from converters.registry import rule
from converters.step import Signal, Step


@rule(keras.layers.Embedding)
def embedding(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """A plain GATHER: Keras' own lookup has comparisons before it that do not quantize."""
    if not inputs[0].frames[0].dtype.is_integer:
        raise step.unsupported(
            "an embedding of computed numbers", "put it at an input of the model"
        )
    table = tf.convert_to_tensor(layer.embeddings)
    step.note("Embedding", "GATHER")
    step.tokens(inputs[0], layer.input_dim)
    result = inputs[0].map(lambda token: tf.gather(table, token))
    return step.masking(inputs[0], result, 0.0) if layer.mask_zero else result
