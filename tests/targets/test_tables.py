"""Functions that quantized models look up, as C against the reference: bit for bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from converters.conversion import convert
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.native import load_native
from tests.converters.test_activations import recordings
from tests.converters.test_trace import randomized
from tests.targets.build import Builder
from tests.targets.reference import Reference
from tests.targets.test_converted import assert_bit_exact, built
from tests.targets.test_floats import close
from tests.targets.test_ops import exact

L = keras.layers


def looked_up():
    """Tables in gates, over the cell state, with a jump on either side, and of one's own."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    layers = [
        L.LSTM(6, return_sequences=True, activation="softsign", recurrent_activation="softsign"),
        L.GRU(6, return_sequences=True, activation="hard_shrink"),
        L.Dense(5, activation=keras.ops.sin),
        L.PReLU(shared_axes=[1]),
    ]
    return randomized(keras.Sequential([keras.Input((None, 5)), *layers]))


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_tables_are_bit_exact(precision, tmp_path):
    model = convert(looked_up(), recordings(), precision=precision)
    assert_bit_exact(model, built(model, tmp_path), 200)


@pytest.mark.parametrize("name", ["softsign", "exponential", "selu"])
def test_every_input_of_an_int16_table_is_bit_exact(name):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((None, 5)), L.Activation(name)])
    data = convert(model, recordings(), precision="int16x8").data
    reference, native = Reference(data), load_native(data, "portable")
    for frame in np.arange(-32768, 32767).astype(np.int16).reshape(-1, 1, 5):
        np.testing.assert_array_equal(reference.step(frame)[0], native.step(frame)[0])


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_tables_are_bit_exact_on_every_core(core, precision):
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((None, 5)), L.Activation("softsign")])
    data = convert(model, recordings(), precision=precision).data
    reference, emulator = Reference(data), Emulator(compile_model(data, core))
    for shift in range(8):
        x = np.array([[-(1 << 15), (1 << 15) - 1, 0, -1, 99]]) >> shift
        x = np.clip(x, *((-128, 127) if precision == "int8" else (-32768, 32767)))
        x = x.astype(precision.removesuffix("x8"))
        np.testing.assert_array_equal(reference.step(x)[0], emulator.guarded_step(x)[0])


@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_sums_of_plain_integers(name):
    b = Builder()
    x, y, out = (b.tensor(n, (1, 33), "int32") for n in ("x", "y", "out"))
    b.op(name, [x, y], [out])
    exact(b.finish([x, y], [out]))


@pytest.mark.parametrize("name", ["GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"])
def test_selection_by_comparison(name):
    b = Builder()
    x, y, out = (b.tensor(n, (1, 33), "float32") for n in ("x", "y", "out"))
    limit, which = b.const("limit", np.float32(0.25), "float32"), b.tensor("w", (1, 33), "bool")
    b.op(name, [x, limit], [which])
    b.op("SELECT_V2", [which, x, y], [out])
    close(b.finish([x, y], [out]), atol=0)


def test_logarithm_over_its_whole_range():
    b = Builder()
    x, y = b.tensor("x", (1, 64), "float32"), b.tensor("y", (1, 64), "float32")
    b.op("LOG", [x], [y])
    native = load_native(b.finish([x], [y]), "portable")
    near_one = 1 + np.linspace(-0.5, 0.5, 640)
    for values in np.concatenate([np.geomspace(2e-38, 3e38, 6400), near_one]).reshape(-1, 1, 64):
        got = native.step(values.astype(np.float32))[0]
        expected = np.log(values.astype(np.float32).astype(np.float64))
        np.testing.assert_allclose(got, expected, rtol=3e-7, atol=1e-7)
