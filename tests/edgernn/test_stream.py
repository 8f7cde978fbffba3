import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgernn import load
from edgernn.errors import InputError, StateError
from edgernn.metadata import Input, Metadata, Normalisation, State, quantize
from tests.edgernn.stepfile import build

BACKENDS = ("litert", "tflm")
DTYPES = ("int8", "int16", "float32")

NORMALISATION = Metadata(
    inputs=(Input(normalisation=Normalisation((0.5, 2.0, -1.0, 0.1), (0.25,))),)
)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4))


def pieces(block: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    edges = [0, *sorted(cuts), len(block)]
    return [block[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_prediction_follows_the_recurrence(dtype, backend):
    stream = load(build(dtype)).stream(backend)
    block, state, expected = frames(50), np.zeros(4), []
    for frame in block:
        state = np.tanh(frame + state)
        expected.append(1 / (1 + np.exp(-state)))
    tolerance = {"int8": 0.03, "int16": 2e-3, "float32": 1e-5}[dtype]
    predictions = stream.push(block)
    assert predictions.dtype == np.float32
    assert np.abs(predictions - expected).max() < tolerance


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=8))
def test_chunked_equals_whole(dtype, per_step, cuts):
    model = load(build(dtype, frames=per_step, metadata=Metadata(frames_per_step=per_step)))
    block = frames(40)
    whole = model.stream().push(block)
    stream = model.stream()
    chunked = np.concatenate([stream.push(piece) for piece in pieces(block, cuts)])
    assert whole.shape == (40 // per_step, 4)
    assert np.array_equal(whole, chunked)


@pytest.mark.parametrize("metadata", [None, NORMALISATION], ids=["plain", "normalised"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, list])
@pytest.mark.parametrize("dtype", DTYPES)
def test_single_frames_equal_the_block(dtype, kind, metadata):
    model = load(build(dtype, metadata=metadata))
    block = np.round(frames(60) * 100) if kind is np.int64 else frames(60)
    block = block.tolist() if kind is list else block.astype(kind)
    stream = model.stream()
    single = np.stack([stream.push(frame) for frame in block])
    assert np.array_equal(single, model.stream().push(block))


@pytest.mark.parametrize("zero_point", [-128, -127, -1, 0, 5, 127])
@settings(max_examples=60, deadline=None)
@given(frame=arrays(np.float64, 4, elements=st.floats(-1e9, 1e9) | st.floats(-3, 3)))
def test_single_frame_is_quantized_like_the_formula_says(zero_point, frame):
    scale = 0.25  # many values then lie halfway between two integers

    def set_x(model):
        quantization = model.subgraphs[0].tensors[0].quantization
        quantization.scale, quantization.zeroPoint = [scale], [zero_point]

    model = load(build("int8", tweak=set_x))
    for values in (frame, np.round(frame * 8) / 8):
        raw = quantize(values, scale, zero_point, np.int8)
        by_push, by_raw = model.stream(), model.stream()
        assert np.array_equal(
            by_push.push(values), by_raw._engine.decoders[0].decode(by_raw.push_raw(raw))
        )
        assert by_push.save() == by_raw.save()


def test_normalisation_comes_before_quantization():
    gain, offset = (2.0, 2.0, 2.0, 2.0), (-1.0,)
    plain = load(build())
    normalised = load(
        build(metadata=Metadata(inputs=(Input(normalisation=Normalisation(gain, offset)),)))
    )
    block = frames(20)
    assert np.array_equal(normalised.stream().push(block), plain.stream().push(block * 2 - 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_push_raw_takes_and_gives_the_models_numbers(dtype):
    model = load(build(dtype))
    block = frames(10)
    raw = model.stream()._engine.encoders[0].encode(block)
    stream, single = model.stream(), model.stream()
    predictions = stream.push_raw(raw)
    assert predictions.dtype == model.y.numpy_dtype
    assert np.array_equal(np.stack([single.push_raw(frame) for frame in raw]), predictions)
    assert stream.save() == single.save()
    real = model.stream().push(block)
    assert np.array_equal(stream._engine.decoders[0].decode(predictions), real)


def test_reset_replays_bit_for_bit():
    stream = load(build()).stream()
    first = stream.push(frames(30))
    stream.push(frames(7, seed=1))
    stream.reset()
    assert np.array_equal(stream.push(frames(30)), first)


def test_initial_state_comes_from_the_metadata():
    initial = (0.5, -0.5, 0.25, 0.0)
    model = load(build(metadata=Metadata(states=(State("h", (1, 4), initial),))))
    assert model.states[0].initial.tolist() == [[64, -64, 32, 0]]
    zero = load(build())
    assert not np.array_equal(model.stream().push(frames(1)), zero.stream().push(frames(1)))


def test_a_thousand_interleaved_streams_do_not_touch_each_other():
    model = load(build())
    streams = [model.stream() for _ in range(1000)]
    blocks = [frames(6, seed=i) for i in range(1000)]
    predictions = [[] for _ in streams]
    for t in range(6):
        for stream, block, found in zip(streams, blocks, predictions, strict=True):
            found.append(stream.push(block[t]))
    alone = model.stream()
    for block, found in zip(blocks, predictions, strict=True):
        alone.reset()
        assert np.array_equal(alone.push(block), np.stack(found))


def test_streams_run_in_threads():
    model = load(build())
    blocks = [frames(300, seed=i) for i in range(8)]
    expected = [model.stream().push(block) for block in blocks]

    def run(block):
        stream = model.stream()
        return np.stack([stream.push(frame) for frame in block])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, blocks))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("per_step", [1, 3])
def test_save_and_restore_continue_in_another_process(tmp_path, per_step):
    model = load(build(frames=per_step, metadata=Metadata(frames_per_step=per_step)))
    block = frames(40)
    whole = model.stream().push(block)
    stream = model.stream()
    first = stream.push(block[:20])
    model.save(tmp_path / "m.tflite")
    (tmp_path / "state").write_bytes(stream.save())
    np.save(tmp_path / "rest.npy", block[20:])
    program = (
        "import edgernn, numpy as np, pathlib\n"
        "stream = edgernn.load('m.tflite').stream()\n"
        "stream.restore(pathlib.Path('state').read_bytes())\n"
        "np.save('second.npy', stream.push(np.load('rest.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    second = np.load(tmp_path / "second.npy")
    assert np.array_equal(np.concatenate([first, second]), whole)


BAD_FRAMES = {
    "features": (np.zeros(3), r"shape \(3,\)"),
    "block": (np.zeros((5, 3)), r"shape \(5, 3\)"),
    "scalar": (np.float64(1), r"shape \(\)"),
    "too many dimensions": (np.zeros((2, 2, 4)), r"shape \(2, 2, 4\)"),
    "nan": (np.array([0, np.nan, 0, 0]), "frame 0: value 1 is nan"),
    "infinite": (np.array([0, 0, 0, -np.inf]), "frame 0: value 3 is -inf"),
    "nan in a block": (np.array([[0.0] * 4] * 3 + [[0, 0, np.nan, 0]]), "frame 3: value 2"),
    "text": (np.array(["a"] * 4), "real numbers"),
    "complex": (np.zeros(4, complex), "real numbers"),
    "objects": (np.array([None] * 4), "real numbers"),
    "ragged": ([[1, 2], [3]], "no array"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bad_frame_is_refused_and_the_state_untouched(dtype, name):
    bad, message = BAD_FRAMES[name]
    stream = load(build(dtype)).stream()
    stream.push(frames(5))
    before = stream.save()
    with pytest.raises(InputError, match=message) as error:
        stream.push(bad)
    assert "\n" not in str(error.value)
    assert stream.save() == before


def test_a_bad_frame_leaves_waiting_frames_alone():
    stream = load(build(frames=3, metadata=Metadata(frames_per_step=3))).stream()
    stream.push(frames(2))
    before = stream.save()
    with pytest.raises(InputError, match="frame 1"):
        stream.push(np.array([[0.0] * 4, [np.nan] * 4]))
    assert stream.save() == before


def test_float_beyond_float32_is_refused():
    stream = load(build("float32")).stream()
    with pytest.raises(InputError, match="frame 1"), np.errstate(over="ignore"):
        stream.push(np.array([[0.0] * 4, [1e300] * 4]))


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [("int8", np.int16), ("int8", np.uint8), ("int16", np.int8), ("float32", np.float64)],
)
def test_push_raw_casts_nothing(dtype, wrong):
    stream = load(build(dtype)).stream()
    with pytest.raises(InputError, match=f"takes {dtype} frames"):
        stream.push_raw(np.zeros(4, wrong))


def test_push_raw_refuses_a_float_that_is_not_finite():
    stream = load(build("float32")).stream()
    before = stream.save()
    with pytest.raises(InputError, match="frame 0: value 2 is nan"):
        stream.push_raw(np.array([0, 0, np.nan, 0], np.float32))
    assert stream.save() == before


def test_multi_rate_collects_frames():
    stream = load(build(frames=3, metadata=Metadata(frames_per_step=3))).stream()
    assert [stream.push(frame).shape for frame in frames(4)] == [(0, 4), (0, 4), (1, 4), (0, 4)]
    assert stream.push(frames(5)).shape == (2, 4)


def test_empty_block_gives_no_prediction():
    stream = load(build()).stream()
    before = stream.save()
    assert stream.push(np.empty((0, 4))).shape == (0, 4)
    assert stream.save() == before


def test_restore_of_a_stranger_leaves_the_state():
    stream = load(build()).stream()
    stream.push(frames(3))
    before = stream.save()
    with pytest.raises(StateError, match="another model"):
        stream.restore(load(build(features=5)).stream().save())
    assert stream.save() == before


def test_predictions_are_the_callers_own():
    stream = load(build()).stream()
    first = stream.push(frames(1)[0])
    kept = first.copy()
    stream.push(frames(5, seed=3))
    assert np.array_equal(first, kept)
    raw = stream.push_raw(np.zeros(4, np.int8))
    kept_raw = raw.copy()
    stream.push_raw(np.full(4, 90, np.int8))
    assert np.array_equal(raw, kept_raw)


WARM = Metadata(states=(State("h", (1, 4), (0.5, -0.5, 0.25, 0.0), starts=2),), warmup=3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 12), max_size=6))
def test_a_state_is_held_and_outputs_dropped_while_the_model_warms_up(dtype, backend, cuts):
    block, state = frames(12), np.array([0.5, -0.5, 0.25, 0.0])
    expected = []
    for k, frame in enumerate(block):
        new = np.tanh(frame + state)
        expected.append(1 / (1 + np.exp(-new)))
        state = state if k < 2 else new
    stream = load(build(dtype, metadata=WARM)).stream(backend)
    predictions = np.concatenate([stream.push(piece) for piece in pieces(block, cuts)])
    assert predictions.shape == (9, 4)
    tolerance = {"int8": 0.03, "int16": 2e-3, "float32": 1e-5}[dtype]
    assert np.abs(predictions - expected[3:]).max() < tolerance


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4, 9])
def test_save_restore_and_reset_know_where_the_warm_up_stands(done):
    model = load(build(metadata=WARM))
    block = frames(12)
    whole = model.stream().push(block)
    stream = model.stream()
    first = stream.push(block[:done])
    other = model.stream()
    other.push(frames(7, seed=1))
    other.restore(stream.save())
    assert np.array_equal(np.concatenate([first, other.push(block[done:])]), whole)
    assert stream.push(block[0]).shape == ((1, 4) if done >= 3 else (0, 4))
    stream.reset()
    assert np.array_equal(np.concatenate([stream.push(frame) for frame in block]), whole)


def test_a_model_without_warm_up_counts_nothing():
    plain, warm = load(build()), load(build(metadata=WARM))
    assert len(warm.stream().save()) == len(plain.stream().save()) + 4


def test_several_predictions_per_step_come_as_rows():
    def two_rows(model):
        model.subgraphs[0].tensors[4].shape = [1, 2, 2]
        for tensor in model.subgraphs[0].tensors[:4]:
            tensor.shape = [1, 2, 2]

    model = load(build(tweak=two_rows, metadata=Metadata(outputs_per_step=2)))
    stream = model.stream("tflm")
    assert stream.push(frames(3).reshape(3, 2, 2)).shape == (6, 2)
    assert stream.push(frames(1).reshape(2, 2)).shape == (2, 2)
