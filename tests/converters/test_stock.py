"""Files of the stock converter with fused LSTMs, as users have them: loaded, streamed, compiled."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from targets.compile import compile_model
from targets.emulate import Emulator
from tests.edgernn.test_cli import run
from tests.edgernn.test_foreign import inputs, reference

k2 = pytest.importorskip("tf_keras", reason="tf_keras is not installed")
tf = pytest.importorskip("tensorflow")

KINDS = {
    "window": (8, False, False, "int8"),
    "all rows": (8, True, False, "int8"),
    "frame": (1, False, False, "int8"),
    "float frames": (8, False, True, "int8"),
    "float": (8, False, True, "float32"),
}


def model_of(length, sequences):
    """An LSTM of Keras 2, whose conversion has the fused operator, with weights of some size."""
    k2.utils.set_random_seed(0)
    x = k2.Input((length, 5), batch_size=1)
    y = k2.layers.Dense(3, activation="softmax")(k2.layers.LSTM(7, return_sequences=sequences)(x))
    model = k2.Model(x, y)
    model.set_weights([2 * w for w in model.get_weights()])
    return model


def convert(length, sequences, float_frames, dtype):
    """As the documentation of the converter has it."""
    model, random = model_of(length, sequences), np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if dtype == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [random.normal(size=(1, length, 5)).astype(np.float32)] for _ in range(30)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not float_frames:
            converter.inference_input_type = converter.inference_output_type = tf.int8
    return model, converter.convert()


@pytest.fixture(scope="module", params=KINDS)
def stock(request):
    return *KINDS[request.param], *convert(*KINDS[request.param])


def test_streams_and_resets_like_the_untouched_file(stock):
    *_, data = stock
    model = edgernn.load(data)
    frames, stream = inputs(model, 20), model.stream("tflm")
    first = stream.push_raw(frames)
    np.testing.assert_array_equal(first, reference(data, model, frames))
    assert not np.array_equal(stream.push_raw(frames), first)
    stream.reset()
    np.testing.assert_array_equal(stream.push_raw(frames), first)


def test_a_fresh_stream_gives_what_keras_gives(stock):
    length, *_, dtype, keras_model, data = stock
    x = np.random.default_rng(1).normal(size=(1, length, 5)).astype(np.float32)
    expected = np.asarray(keras_model(x)).reshape(-1, 3)
    got = np.asarray(edgernn.load(data).stream("tflm").push(x[0])).reshape(-1, 3)
    np.testing.assert_allclose(got, expected, atol=1e-5 if dtype == "float32" else 0.1)


def test_the_c_gives_the_same(stock):
    *_, dtype, _, data = stock
    model = edgernn.load(data)
    frames, stream = inputs(model, 10), model.stream("tflm")
    emulator = Emulator(compile_model(model.data, "cortex-m4"))
    tolerance = 1e-5 if dtype == "float32" else 0
    for block in frames.reshape(10, -1):
        expected = stream.push_raw(block.reshape(-1, 5))
        (got,) = emulator.step(block.reshape(emulator.compiled.inputs[0].shape))
        np.testing.assert_allclose(got.ravel(), expected.ravel(), rtol=0, atol=tolerance)


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stock.tflite").write_bytes(convert(*KINDS["float frames"])[1])
    np.savetxt("x.csv", np.random.default_rng(0).normal(size=(24, 5)), delimiter=",")
    assert run("run", "stock.tflite", "--input", "x.csv") == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 3
    assert run("compile", "stock.tflite", "--target", "cortex-m0", "-o", "out") == 0
    assert (tmp_path / "out").exists()
    assert run("verify", "stock.tflite", "--target", "cortex-m4", "--steps", "50") == 0
    assert "bit-exact" in capsys.readouterr().out
