"""Stock files with fused LSTMs: a stream gives what TFLM gives when it keeps the state itself."""

import numpy as np
import pytest

import edgernn
from edgernn import tflite
from edgernn.errors import ModelFileError
from tests.targets.fused import fused_lstm

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime

WINDOWS = {
    "step": {},
    "window": {"length": 4},
    "sequence": {"length": 4, "sequence": True},
    "two": {"length": 3, "sequence": True, "layers": 2},
    "time first": {"length": 4, "time_major": True},
    "all, time first": {"length": 4, "time_major": True, "sequence": True},
}


def inputs(model, windows, seed=0):
    """Raw frames over the whole range of the type, so that gates saturate."""
    rng, count = np.random.default_rng(seed), windows * model.metadata.frames_per_step
    if model.x.dtype == "float32":
        return rng.normal(0, 2, (count, *model.frame_shape)).astype(np.float32)
    limits = np.iinfo(model.x.dtype)
    shape = (count, *model.frame_shape)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(limits.dtype)


def reference(data, model, frames):
    """The untouched file in TFLM's interpreter, which carries the state in its variables."""
    interpreter, rows = runtime.Interpreter.from_bytes(data), []
    shape = tflite.read(data).tensors[tflite.read(data).inputs[0]].shape
    for x in frames.reshape(-1, *shape):
        interpreter.set_input(x, 0)
        interpreter.invoke()
        rows.append(interpreter.get_output(0))
    return np.concatenate([r.reshape(-1, *model.prediction_shape) for r in rows])


@pytest.mark.parametrize(
    ("backend", "dtype"),
    # LiteRT has no kernel for int16.
    [("tflm", "int8"), ("litert", "int8"), ("tflm", "float32"), ("litert", "float32"),
     ("tflm", "int16")],
)  # fmt: skip
@pytest.mark.parametrize("name", WINDOWS)
def test_the_state_is_carried_as_in_the_interpreter_itself(name, dtype, backend):
    data = fused_lstm(dtype, **WINDOWS[name])
    model = edgernn.load(data)
    frames = inputs(model, 50)
    expected = reference(data, model, frames)
    given = model.stream(backend).push_raw(frames)
    # LiteRT's own kernels round one bit elsewhere now and then.
    bound = {"tflm": 0, "litert": 2 if dtype == "int8" else 1e-5}[backend]
    np.testing.assert_allclose(given.astype(float), expected.astype(float), rtol=0, atol=bound)


@pytest.mark.parametrize("backend", ["tflm", "litert"])
def test_streams_are_independent_reset_and_restored(backend):
    model = edgernn.load(fused_lstm("int8", 2, False))
    frames = inputs(model, 10)
    a, b = model.stream(backend), model.stream(backend)
    whole = a.push_raw(frames)
    b.push_raw(inputs(model, 5, seed=1))
    assert np.array_equal(a.push_raw(frames), whole) is False
    a.reset()
    first = a.push_raw(frames[:7])  # ends inside a window
    saved = a.save()
    rest = a.push_raw(frames[7:])
    assert np.array_equal(np.concatenate([first, rest]), whole)
    b.restore(saved)
    assert np.array_equal(b.push_raw(frames[7:]), rest)


def test_the_window_is_a_step_of_its_frames():
    model = edgernn.load(fused_lstm("int8", 4, True))
    assert (model.metadata.frames_per_step, model.metadata.outputs_per_step) == (4, 4)
    assert [state.name for state in model.states] == ["h", "c"]
    assert edgernn.load(model.data).data == model.data


def test_a_frame_has_no_axis_of_time():
    for options in ({}, {"sequence": True}, {"length": 4, "sequence": True, "time_major": True}):
        model = edgernn.load(fused_lstm("int8", **options))
        assert (model.frame_shape, model.prediction_shape) == ((3,), (6,))


def test_int16_goes_to_the_interpreter_that_has_it():
    model = edgernn.load(fused_lstm("int16"))
    assert model.stream().backend == "tflm"
    assert edgernn.load(fused_lstm("int8")).stream().backend == "litert"
    with pytest.raises(ModelFileError, match="litert cannot run this model"):
        model.stream("litert")


def test_a_variable_of_another_operator_is_refused():
    data = fused_lstm("float32", 1, False, stray=True)
    with pytest.raises(ModelFileError, match="hides its state in the variable"):
        edgernn.load(data)
