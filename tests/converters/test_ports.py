"""Several inputs and outputs, tokens and masks, from Keras to C: the same answers everywhere."""

import json

import keras
import numpy as np
import pytest

from converters.conversion import convert
from edgernn.cli import main
from edgernn.errors import EdgernnError, InputError, UnsupportedError
from edgernn.model import load
from edgernn.ports import columns
from edgernn.selftest import self_test
from targets.frames import made_up
from targets.verification import verify

L = keras.layers
STEPS, TOKENS = 24, 20
RNG = np.random.default_rng(0)


def sequential(*layers, shape=(None, 5), dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def two_inputs():
    a, b = keras.Input((None, 3), name="audio"), keras.Input((None, 2), name="imu")
    return keras.Model([a, b], L.Dense(2)(L.GRU(4)(L.Concatenate()([a, b]))))


def static_input():
    a, b = keras.Input((None, 3), name="frames"), keras.Input((2,), name="context")
    return keras.Model([a, b], L.Dense(2)(L.Concatenate()([L.GRU(4)(a), b])))


def two_outputs():
    x = keras.Input((None, 5))
    h = L.GRU(4, return_sequences=True)(x)
    return keras.Model(x, [L.Dense(2, name="where")(h), L.Dense(3, name="what")(L.LSTM(3)(h))])


def two_answers():
    x = keras.Input((None, 5))
    h = L.GRU(4)(x)
    return keras.Model(x, [L.Dense(2, name="where")(h), L.Dense(3, name="what")(h)])


def tokens(mask=False):
    return sequential(
        L.Embedding(TOKENS, 8, mask_zero=mask), L.LSTM(6), L.Dense(3), shape=(None,), dtype="int32"
    )


def tokens_and_frames():
    t, f = keras.Input((None,), dtype="int32", name="t"), keras.Input((None, 3), name="f")
    return keras.Model([t, f], L.GRU(4)(L.Concatenate()([L.Embedding(TOKENS, 3)(t), f])))


def masked():
    stack = [L.Masking(0.0), L.GRU(6, return_sequences=True), L.Dense(4, activation="relu")]
    return sequential(*stack, L.LSTM(3), L.Dense(2))


def masked_rows():
    return sequential(L.Masking(-1.0), L.Dense(3), L.GRU(6, return_sequences=True), L.Dense(2))


def frames(*shape):
    return RNG.normal(size=(8, STEPS, *shape)).astype(np.float32)


def numbers():
    return RNG.integers(1, TOKENS, (8, STEPS)).astype(np.int32)


MODELS = {
    "two inputs": (two_inputs, lambda: {"audio": frames(3), "imu": frames(2)}),
    "static input": (static_input, lambda: (frames(3), frames(2)[:, 0])),
    "two outputs": (two_outputs, lambda: frames(5)),
    "two answers": (two_answers, lambda: frames(5)),
    "tokens": (tokens, numbers),
    "masked tokens": (lambda: tokens(mask=True), numbers),
    "tokens and frames": (tokens_and_frames, lambda: (numbers(), frames(3))),
    "masked": (masked, lambda: frames(5)),
    "masked rows": (masked_rows, lambda: frames(5)),
}


def prepared(name):
    """The Keras model, its data, one sequence of it, and Keras' answer to that."""
    make, data = MODELS[name]
    keras.utils.set_random_seed(0)
    model, data = make(), data()
    parts = list(data.values()) if isinstance(data, dict) else data
    batch = [p[:1].copy() for p in (parts if isinstance(parts, (list, tuple)) else [parts])]
    if name.startswith("masked"):
        value = {"masked": 0.0, "masked rows": -1.0, "masked tokens": 0}[name]
        for where in (slice(0, 2), slice(7, 9), slice(-3, None)):
            batch[0][0, where] = value
    expected = model.predict(batch if len(batch) > 1 else batch[0], verbose=0)
    expected = [np.asarray(y)[0] for y in (expected if isinstance(expected, list) else [expected])]
    sequence = [part[0] for part in batch]
    sequence = tuple(sequence) if len(sequence) > 1 else sequence[0]
    return model, data, sequence, expected


@pytest.mark.parametrize("name", MODELS)
def test_float_stream_equals_keras(name):
    model, data, sequence, expected = prepared(name)
    converted = convert(model, data, precision="float32")
    for want, got in zip(expected, columns(converted.stream().push(sequence)), strict=True):
        got = got if got.ndim == want.ndim else got[-1]
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("name", MODELS)
def test_quantized_stream_is_near_keras_and_c_is_bit_exact(name, precision):
    model, data, sequence, expected = prepared(name)
    converted = load(convert(model, data, precision=precision).data)
    stream = converted.stream()
    whole = columns(stream.push(sequence))
    for want, got in zip(expected, whole, strict=True):
        got = got if got.ndim == want.ndim else got[-1]
        assert np.abs(got - want).max() <= 0.05 * max(1.0, np.ptp(want))
    # In pieces, and as a sequence with an end.
    stream.reset()
    length = max(len(p) for p in columns(whole[0]))
    pieces = [columns(stream.push(_cut(sequence, at, at + 5))) for at in range(0, length, 5)]
    for k, rows in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([piece[k] for piece in pieces]), rows)
    stream.reset()
    for got, rows in zip(columns(stream.push(sequence, last=True)), whole, strict=True):
        np.testing.assert_array_equal(got, rows[-1])
    assert stream.save() == converted.stream().save()
    # Native code against TFLM: outputs, states, saved states.
    raw = np.stack([np.asarray(f).reshape(converted.frames.shape) for f in made_up(converted, 90)])
    reference, native = converted.stream("tflm"), converted.stream("native")
    for a, b in zip(columns(reference.push_raw(raw)), columns(native.push_raw(raw)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert reference.save() == native.save()
    found = verify(converted, ["cortex-m0"], steps=40)
    assert found.bit_exact
    assert found.golden
    assert self_test(converted).passed


def _cut(sequence, start, end):
    if isinstance(sequence, tuple):
        return tuple(p[start:end] if len(p) == STEPS else p for p in sequence)
    return sequence[start:end]


def test_before_the_first_real_frame_comes_what_keras_gives():
    model, data, _, _ = prepared("masked")
    converted = convert(model, data, precision="float32")
    zeros = np.zeros((4, 5), np.float32)
    expected = model.predict(zeros[None], verbose=0)[0]
    np.testing.assert_allclose(converted.stream().push(zeros), np.tile(expected, (4, 1)), atol=1e-6)


def test_a_masked_frame_changes_nothing():
    model, data, sequence, _ = prepared("masked")
    stream = convert(model, data, precision="int8").stream()
    before = stream.push(sequence[2])
    saved = stream.save()
    np.testing.assert_array_equal(stream.push(np.zeros(5)), before)
    assert stream.save() == saved


@pytest.mark.parametrize("bad", [TOKENS, -1, 2.5])
def test_what_is_no_token_is_refused_and_changes_nothing(bad):
    stream = convert(tokens(), numbers(), precision="int8").stream()
    stream.push([3, 4])
    saved = stream.save()
    with pytest.raises(InputError, match=r"frame 1.*no token.*0 to 19"):
        stream.push([1, bad])
    assert stream.save() == saved


WRONG = {
    "missing": ({"audio": np.zeros(3)}, "takes 'audio', 'imu'"),
    "other": ({"audio": np.zeros(3), "gyro": np.zeros(2)}, "'gyro'.*takes 'audio', 'imu'"),
    "shape": ({"audio": np.zeros(3), "imu": np.zeros(3)}, r"'imu'.*\(3,\).*takes \(2,\)"),
    "lengths": ({"audio": np.zeros((4, 3)), "imu": np.zeros((5, 2))}, "equally many"),
    "one": (np.zeros(5), "dict or tuple of 'audio', 'imu'"),
    "infinite": ({"audio": np.full(3, np.inf), "imu": np.zeros(2)}, "inf"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_frames_for_several_inputs(name):
    global _STREAM
    frame, message = WRONG[name]
    if _STREAM is None:
        _STREAM = convert(two_inputs(), MODELS["two inputs"][1](), precision="int8").stream()
    with pytest.raises(InputError, match=message):
        _STREAM.push(frame)


_STREAM = None


def raw_branch():
    x = keras.Input((None, 5))
    m = L.Masking()(x)
    return keras.Model(x, L.Concatenate()([L.GRU(3, return_sequences=True)(m), x]))


def second_memory():
    x = keras.Input((None, 5))
    return keras.Model(x, L.Add()([L.GRU(3)(L.Masking()(x)), L.GRU(3)(x)]))


REFUSED = {
    "raw branch": (raw_branch, "output follows masked frames"),
    "second memory": (second_memory, "gru.*remembers frames that are masked"),
    "zero output": (
        lambda: sequential(L.Masking(), L.GRU(3, return_sequences=True, zero_output_for_mask=True)),
        "zero_output_for_mask",
    ),
    "late mask": (lambda: sequential(L.Dense(3), L.Masking(), L.GRU(2)), "mask.*put it first"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_masks_that_no_stream_can_heed_are_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(UnsupportedError, match=message):
        convert(make(), frames(5))


def test_calibration_of_several_inputs_names_what_is_wrong(tmp_path):
    model, data = two_inputs(), MODELS["two inputs"][1]()
    for bad, message in (
        ({"audio": data["audio"]}, "takes audio, imu"),
        ({**data, "imu": data["imu"][:3]}, "unequal numbers"),
        ({**data, "imu": data["imu"][:, :3]}, "frames"),
        (str(tmp_path / "x.npy"), "npz with an array for each"),
    ):
        with pytest.raises(EdgernnError, match=message):
            convert(model, bad)
    np.savez(tmp_path / "x.npz", **data)
    assert convert(model, tmp_path / "x.npz", precision="int8").frames.names == ("audio", "imu")


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two_inputs().save("two.keras")
    data = MODELS["two inputs"][1]()
    np.savez("data.npz", **data)
    rows = np.concatenate([data["audio"][0], data["imu"][0]], axis=1)
    np.savetxt("rows.csv", rows, delimiter=",")
    for arguments in (
        ["convert", "two.keras", "--calibration", "data.npz", "--labels", "on,off"],
        ["inspect", "two.tflite"],
        ["run", "two.tflite", "--input", "rows.csv", "--last"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    stream = load("two.tflite").stream()
    expected = stream.push({"audio": data["audio"][0], "imu": data["imu"][0]}, last=True)
    np.testing.assert_allclose(line["y"], expected, rtol=1e-5)
    assert line["label"] == ("on", "off")[int(expected.argmax())]


def test_labels_of_each_output():
    labels = {"where": ["left", "right"], "what": ["a", "b", "c"]}
    model = convert(two_outputs(), frames(5), precision="int8", labels=labels)
    assert [one.labels for one in load(model.data).metadata.outputs] == [
        ("left", "right"), ("a", "b", "c")
    ]  # fmt: skip
    with pytest.raises(InputError, match="labels for 'who'"):
        convert(two_outputs(), frames(5), labels={"who": ["a"]})
