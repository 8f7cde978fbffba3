"""Generated C of models that look back from the end, against the passes in TFLM."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import edgernn
from edgernn.cli.compile import command as compile_command
from edgernn.errors import InputError, StateError, UnsupportedError
from targets.compile import compile_model
from targets.emulate import Emulator
from targets.firmware import build
from targets.native import build_library, load_native
from targets.profiling import profile
from targets.verification import verify
from tests.converters import test_masked_windows as masked_windows
from tests.converters.test_passes import (
    F,
    T,
    both,
    encoder_and_decoder,
    frames,
    graph,
    reversed_rows,
    stack,
)

pytestmark = pytest.mark.usefixtures("short_measurements")
L = keras.layers

MODELS = {
    "one answer": lambda: (stack(both("LSTM"), L.Dense(2)), {}),
    "overlapping": lambda: (stack(both("GRU", merge_mode="sum"), L.Dense(2)), {"hop": 5}),
    "every frame": lambda: (stack(both("SimpleRNN", sequences=True), L.Dense(2)), {}),
    "two layers": lambda: (stack(both(sequences=True), both("LSTM")), {}),
    "strides before": lambda: (stack(L.Conv1D(4, 3, strides=2), both(), L.Dense(2)), {}),
    "window behind": lambda: (stack(both(sequences=True), L.Conv1D(3, 3), L.GRU(2)), {}),
    "go_backwards": lambda: (stack(L.GRU(4, go_backwards=True)), {}),
    "reversed rows": lambda: (stack(reversed_rows(), L.Dense(2)), {}),
    "states": lambda: (graph(encoder_and_decoder), {}),
    "running answer": lambda: (stack(both("GRU"), L.Dense(2), length=None), {"lookahead": 4}),
    "late rows": lambda: (
        stack(both("LSTM", sequences=True), both(sequences=True), L.Dense(2), length=None),
        {"lookahead": 4},
    ),
    "warm-up": lambda: (
        stack(L.Conv1D(3, 3), both(sequences=True), L.Conv1D(3, 2), L.GRU(2), length=None),
        {"lookahead": 4},
    ),
}


def convert(name, precision):
    model, options = MODELS[name]()
    return edgernn.convert(model, frames(), precision=precision, **options)


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("name", MODELS)
def test_c_is_bit_exact_with_tflm(name, precision):
    model = convert(name, precision)
    native, stream = load_native(model.data), model.stream("tflm")
    ready = native._library.model_ready
    per_step = model.metadata.frames_per_step
    raw = stream._engine.encoders[0].encode(np.concatenate(frames(4, 1)))
    given = 0
    for frame in raw.reshape(-1, per_step, F):
        (y,), rows = native.step(frame), stream.push_raw(frame)
        assert bool(ready(native._fixed[0])) == bool(len(rows))
        if len(rows):
            np.testing.assert_array_equal(y.reshape(rows.shape), rows)
            given += 1
        saved = stream.save()
        assert native.save() == saved
        native.restore(saved)
    assert given >= 3
    with pytest.raises(StateError):
        native.restore(saved[:-1] + bytes([saved[-1] ^ 1]))
    native.reset()
    assert native.save() == model.stream().save()


@pytest.mark.parametrize("precision", ["int8", "int16x8", "float32"])
@pytest.mark.parametrize("name", ["two layers", "tagger", "gestures"])
def test_masked_frames_in_c(name, precision):
    _, model, x, _ = masked_windows.convert(name, precision, hop=6)
    native, stream = load_native(model.data), model.stream("tflm")
    same = partial(np.testing.assert_allclose, atol=1e-5 if precision == "float32" else 0)
    x[5] = x[3, 0]  # nothing but masked frames
    raw = stream._engine.encoders[0].encode(np.concatenate(x[:8]))
    given = 0
    for frame in raw:
        (y,), rows = native.step(frame), stream.push_raw(frame[None])
        assert bool(native._library.model_ready(native._fixed[0])) == bool(len(rows))
        if len(rows):
            same(y.reshape(rows.shape), rows)
            given += 1
        assert native.save() == stream.save()
    assert given > 8
    for count in (1, 5, 8):
        native.reset()
        for frame in raw[:count]:
            native.step(frame)
        stream.reset()
        expected = stream.push_raw(raw[:count], last=True)
        assert native._library.model_last(*native._fixed, *native._out) == 1
        same(native._outputs[0].reshape(-1, *expected.shape)[-1], expected)
        assert native._library.model_last(*native._fixed, *native._out) == 0
    assert native.save() == model.stream().save()


def test_verify_and_the_native_backend_skip_masked_frames():
    _, model, x, _ = masked_windows.convert("two layers", "int8")
    result = verify(model, ("cortex-m4",), steps=60)
    assert result.bit_exact
    assert result.passed
    block = np.concatenate(x[:5])
    native, reference = model.stream("native"), model.stream("tflm")
    np.testing.assert_array_equal(native.push(block), reference.push(block))


@pytest.mark.parametrize("name", ["one answer", "late rows"])
def test_a_microcontroller_gives_the_same(name):
    model = convert(name, "int8")
    compiled = compile_model(model.data, "cortex-m4", name="model")
    emulator, stream = Emulator(compiled), model.stream("tflm")
    for frame in stream._engine.encoders[0].encode(np.concatenate(frames(2, 1))):
        (y,), rows = emulator.guarded_step(frame[None]), stream.push_raw(frame[None])
        if len(rows):
            np.testing.assert_array_equal(y.reshape(rows.shape), rows)
        assert emulator.save() == stream.save()


@pytest.mark.parametrize("name", ["strides before", "late rows"])
def test_the_native_backend_runs_every_pass(name):
    model = convert(name, "int8")
    x = np.concatenate(frames(2, 1))
    native, reference = model.stream("native"), model.stream("tflm")
    np.testing.assert_array_equal(native.push(x), reference.push(x))
    assert native.save() == reference.save()


def test_compile_gives_each_pass_a_library(tmp_path, monkeypatch):
    convert("one answer", "int8").save(tmp_path / "model.tflite")
    arguments = [str(tmp_path / "model.tflite"), "--target", "host", "-o", str(tmp_path)]
    result = CliRunner().invoke(compile_command, arguments)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in tmp_path.glob("*.so"))
    assert names == [f"libmodel_pass_{k}.so" for k in range(3)]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, x = edgernn.load(tmp_path / "model.tflite"), np.concatenate(frames(2, 1))
    native, reference = model.stream("native"), model.stream("tflm")
    np.testing.assert_array_equal(native.push(x), reference.push(x))
    assert not (tmp_path / "cache").exists()  # nothing was built for it


@pytest.mark.parametrize("name", ["every frame", "running answer"])
def test_verify_compares_whole_models(name):
    result = verify(convert(name, "int8"), ("cortex-m4",), steps=100)
    assert result.bit_exact
    assert result.passed
    assert result.golden
    assert [entry.name for entry in result.entries] == ["litert", "host", "cortex-m4"]


def test_profile_counts_the_step_with_a_full_window():
    counts = {}
    for n in (6, 12):
        model = stack(both("GRU"), L.Dense(2), length=None)
        converted = edgernn.convert(model, frames(), precision="int8", window=n)
        counts[n] = profile(converted, "cortex-m4").instructions_per_step
    assert 1.7 * counts[6] < counts[12] < 2.0 * counts[6]


def test_code_does_not_grow_with_the_window():
    sizes = {}
    for n in (128, 1024):
        model = stack(both("LSTM", 32), L.Dense(3), length=n)
        x = np.random.default_rng(0).normal(size=(2, n, F)).astype(np.float32)
        data = edgernn.convert(model, x, precision="int8").data
        compiled = compile_model(data, "cortex-m4", name="model")
        sizes[n] = (compiled, Emulator(compiled).sizes)
    (short, small), (long, large) = sizes[128], sizes[1024]
    assert abs(small.code - large.code) <= 32  # constants of other lengths
    assert (small.constants, short.weights_bytes) == (large.constants, long.weights_bytes)
    assert long.state_bytes > 7 * short.state_bytes


def test_refused_by_name():
    model = stack(both(sequences=True), L.MaxPooling1D(2), L.GRU(2))
    data = edgernn.convert(model, frames(), precision="int8").data
    with pytest.raises(UnsupportedError, match="behind a layer that looks back"):
        compile_model(data, "cortex-m4")
    strided = stack(L.Conv1D(4, 2, strides=2), both(), length=None)
    odd = edgernn.convert(strided, frames(), precision="int8", window=T, hop=T - 1)
    with pytest.raises(UnsupportedError, match="multiples of 2"):
        compile_model(odd.data)
    whole = convert("one answer", "int8")
    with pytest.raises(InputError, match="when it is converted"):
        verify(whole, keras=model)
    with pytest.raises(UnsupportedError, match="firmware"):
        build(whole.data, "microbit")
    with pytest.raises(InputError, match="one for each pass"):
        build_library(compile_model(whole.data, "host"), "unused")
