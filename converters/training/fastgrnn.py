"""FastGRNN: a gated cell with one matrix for the gate and the candidate.

Kusupati et al., "FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated Recurrent Neural
Network", NeurIPS 2018, equations 4 and 5; here without low rank or sparsity.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("edgernn")
class FastGRNNCell(keras.layers.Layer):  # type: ignore[misc]
    """z = sigmoid(Wx + Uh + b_z), c = tanh(Wx + Uh + b_c), h' = (zeta (1 - z) + nu) c + z h."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the variables."""
        weight = self.add_weight
        self.kernel = weight(shape=(shape[-1], self.units), initializer="glorot_uniform", name="W")
        self.recurrent = weight(shape=(self.units,) * 2, initializer="orthogonal", name="U")
        self.gate_bias = weight(shape=(self.units,), initializer="ones", name="b_z")
        self.candidate_bias = weight(shape=(self.units,), initializer="zeros", name="b_c")
        # Before their sigmoid: zeta starts near 1 and nu near 0.
        self.zeta = weight(shape=(1,), initializer=keras.initializers.Constant(3.0), name="zeta")
        self.nu = weight(shape=(1,), initializer=keras.initializers.Constant(-4.0), name="nu")

    def call(self, x: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """One step."""
        (h,) = states
        both = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent)
        z = ops.sigmoid(both + self.gate_bias)
        c = ops.tanh(both + self.candidate_bias)
        zeta, nu = ops.sigmoid(self.zeta), ops.sigmoid(self.nu)
        new = (zeta * (1.0 - z) + nu) * c + z * h
        return new, [new]

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return {**super().get_config(), "units": self.units}
