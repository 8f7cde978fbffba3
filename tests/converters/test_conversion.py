"""The whole conversion, for every supported layer: contracts, accuracy, interpreters, options."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import edgernn
from converters import rule
from converters.conversion import convert
from converters.step import MoreFramesError, Signal
from edgernn import tflite
from edgernn.errors import EdgernnError, InputError, UnsupportedError
from tests.converters.test_trace import FEATURES, MODELS, one_input, randomized

L = keras.layers
QUANTIZED = ["int8", "int16x8"]


def recordings(count=20, length=120, features=FEATURES, seed=0):
    """Slow wanderings with noise on top."""
    rng = np.random.default_rng(seed)
    shape = (length, features)
    return [
        (0.2 * np.cumsum(rng.normal(size=shape), 0) + rng.normal(size=shape)).astype(np.float32)
        for _ in range(count)
    ]


def small(**options):
    keras.utils.clear_session()  # or the next GRU is named gru_1
    keras.utils.set_random_seed(0)
    return one_input(L.GRU(6, return_sequences=True, **options), L.Dense(3, activation="softmax"))


@pytest.fixture(scope="module")
def gru():
    return convert(small(), recordings(), precision="int8", labels=["a", "b", "c"])


@pytest.mark.slow
@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", MODELS)
def test_every_layer_quantizes_within_bounds(name, precision, converted_model):
    model = converted_model(name, precision)
    inner = {t.dtype for t in model.graph.tensors}
    assert "float32" not in inner
    assert model.report["errors"]["rms_percent"] < {"int8": 6.0, "int16x8": 1.2}[precision]
    assert model.metadata.golden.reference == "tflite-micro"  # so TFLM runs it
    for state in model.states:
        ends = state.input, state.output
        assert len({(t.dtype, t.shape, t.scale, t.zero_point) for t in ends}) == 1


def test_standard_signature_without_edgernn(gru):
    runner = Interpreter(model_content=gru.data).get_signature_runner("step")
    out = runner(x=np.zeros((1, FEATURES), np.int8), gru_h=np.zeros((1, 6), np.int8))
    assert set(out) == {"y", "gru_h"}


def test_golden_sequence_replays(gru):
    golden = gru.metadata.golden
    x = np.frombuffer(golden.inputs, gru.x.dtype).reshape(golden.steps, FEATURES)
    y = np.frombuffer(golden.outputs, gru.y.dtype).reshape(golden.steps, 3)
    np.testing.assert_array_equal(gru.stream("tflm").push_raw(x), y)
    difference = gru.stream("litert").push_raw(x).astype(int) - y
    assert np.abs(difference).max() <= golden.tolerance


def test_equal_input_gives_equal_bytes():
    assert convert(small(), recordings()).data == convert(small(), recordings()).data


@pytest.mark.parametrize("io", ["int8", "int16", "float32"])
@pytest.mark.parametrize("precision", QUANTIZED)
def test_io_changes_the_edges_and_nothing_else(precision, io):
    plain = convert(small(), recordings(), precision=precision)
    model = convert(small(), recordings(), precision=precision, io=io)
    assert (model.x.dtype, model.y.dtype) == (io, io)
    assert [s.input.dtype for s in model.states] == [s.input.dtype for s in plain.states]
    floats = [t.name for t in model.graph.tensors if t.dtype == "float32"]
    assert sorted(floats) == (["x", "y"] if io == "float32" else [])
    x = recordings(1)[0]
    for backend in ("litert", "tflm"):
        got, expected = model.stream(backend).push(x), plain.stream(backend).push(x)
        assert np.abs(got - expected).max() < 0.05


def test_float32_equals_keras():
    model = small()
    x = recordings(1)[0]
    expected = model.predict(x[None], verbose=0)[0]
    got = convert(model, recordings(), precision="float32").stream().push(x)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_per_tensor_weights_have_one_scale():
    model = convert(small(), recordings(), precision="int16x8", per_tensor=True)
    weights = [model.graph.tensors[op.inputs[1]] for op in model.graph.operators
               if op.name == "FULLY_CONNECTED"]  # fmt: skip
    assert weights
    assert all(len(w.scale) == 1 for w in weights)


def test_lifted_normalisation_is_done_by_the_stream():
    keras.utils.set_random_seed(0)
    x = [s * np.array([1e-3, 1, 10, 100, 1e4], np.float32) + 5 for s in recordings()]
    norm = L.Normalization(axis=-1)
    norm.adapt(np.concatenate(x))
    model = one_input(norm, L.GRU(6, return_sequences=True))
    converted = convert(model, x, precision="int16x8")
    assert converted.metadata.normalisation is not None
    expected = model.predict(x[0][None], verbose=0)[0]
    assert np.abs(converted.stream().push(x[0]) - expected).max() < 0.01


def test_a_reloaded_model_is_lifted_like_the_live_one(tmp_path):
    model = MODELS["normalization"]()
    model.save(tmp_path / "model.keras")
    live = convert(model, recordings(), precision="int16x8")
    reloaded = convert(tmp_path / "model.keras", recordings(), precision="int16x8")
    assert live.metadata.normalisation is not None
    assert reloaded.metadata.normalisation == live.metadata.normalisation


def slow_gru(units=32, features=16):
    """An update gate around 0.999: it remembers for about 1,000 steps."""
    keras.utils.set_random_seed(0)
    model = one_input(L.GRU(units, return_sequences=True), L.Dense(3), shape=(None, features))
    weights = model.layers[0].get_weights()
    weights[2][0, :units] += 6.9
    model.layers[0].set_weights(weights)
    return model


@pytest.mark.slow
def test_auto_takes_int16_for_a_long_memory_and_says_why():
    model = convert(slow_gru(), recordings(40, 400, features=16), precision="auto")
    assert model.report["precision"] == "int16x8"
    assert "int8" in model.report["reason"]
    assert model.report["drift"]["10000"] < 0.2
    assert model.report["tried"][0]["drift"]["10000"] > 1.0


def test_auto_keeps_int8_where_it_is_good_enough():
    keras.utils.set_random_seed(0)
    model = convert(one_input(L.GRU(6, return_sequences=True), L.Dense(1)), recordings())
    assert model.report["precision"] == "int8"


@pytest.mark.slow
def test_int8_lstm_keeps_a_wide_cell_state_where_it_helps():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = convert(randomized(MODELS["lstm"]()), recordings(), precision="int8")
    tried = {t["name"]: t for t in model.report["tried"]}
    assert set(tried) == {"int8", "int8, int16 cell state"}
    dtypes = {s.name: s.input.dtype for s in model.states}
    wide = model.report["precision"] == "int8, int16 cell state"
    assert dtypes == {"lstm_h": "int8", "lstm_c": "int16" if wide else "int8"}
    rms = {name: max(t["errors"]["rms_percent"], *t["drift"].values()) for name, t in tried.items()}
    assert wide == (rms["int8, int16 cell state"] < 0.8 * rms["int8"])


@pytest.mark.slow
@pytest.mark.parametrize("spikes", [0, 3])
def test_fifty_times_more_calibration_data_is_never_worse(spikes):
    test = recordings(10, seed=99)

    def data(count):
        sequences = recordings(count)
        for i in range(spikes):
            sequences[i * count // 4][50, 0] = 1e5
        return sequences

    keras.utils.set_random_seed(0)
    model = one_input(L.LSTM(8, return_sequences=True), L.Dense(3))
    expected = np.concatenate([model.predict(t[None], verbose=0)[0] for t in test])

    def error(count):
        converted = convert(model, data(count), precision="int8")
        got = np.concatenate([converted.stream().push(t) for t in test])
        return float(np.sqrt(np.mean((got - expected) ** 2)))

    assert error(600) < 1.1 * error(12)


def test_a_rule_of_the_users_own_may_lower_the_rate():
    @keras.saving.register_keras_serializable("tests")
    class EveryThird(L.Layer):
        def call(self, x):
            return x[:, 2::3]

    @rule(EveryThird)
    def every_third(layer, inputs, step):
        if len(inputs[0].frames) % 3:
            raise MoreFramesError(3)
        return Signal(inputs[0].frames[2::3], is_sequence=True)

    keras.utils.set_random_seed(0)
    model = one_input(
        L.GRU(4, return_sequences=True), EveryThird(), L.GRU(3, return_sequences=True)
    )
    converted = convert(model, recordings(), precision="float32")
    assert converted.metadata.frames_per_step == 3
    x = recordings(1)[0]
    expected = model.predict(x[None], verbose=0)[0]
    stream = converted.stream()
    pieces = [stream.push(x[i : i + 7]) for i in range(0, len(x), 7)]
    np.testing.assert_allclose(np.concatenate(pieces), expected, atol=1e-5)


def test_report_is_plain_json(gru):
    report = json.loads(json.dumps(gru.report))
    assert report["bytes"]["file"] == len(gru.data)
    assert report["states"][0]["name"] == "gru_h"
    assert len(report["errors"]["per_output"]) == 3


def test_files_load_from_keras_and_h5(tmp_path):
    model = small()
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        model.save(path)
        assert convert(path, recordings(), precision="int8").states[0].name == "gru_h"


def test_calibration_from_files(tmp_path):
    sequences = recordings()
    np.save(tmp_path / "a.npy", np.stack(sequences))
    np.savez(tmp_path / "b.npz", *sequences)
    (tmp_path / "folder").mkdir()
    for i, sequence in enumerate(sequences):
        np.save(tmp_path / "folder" / f"{i:02}.npy", sequence)
    expected = convert(small(), sequences, precision="int8").data
    for name in ("a.npy", "b.npz", "folder"):
        assert convert(small(), tmp_path / name, precision="int8").data == expected


BAD_CALIBRATION = {
    "none": (None, "no calibration data.*numpy.save"),
    "features": ([np.zeros((9, 7))], r"shape \(9, 7\).*\(T, 5\)"),
    "rank": (np.zeros((2, 3, 4, 5)), r"sequence 0 has shape \(3, 4, 5\)"),
    "zeros": (np.zeros((4, 9, FEATURES)), "all zeros"),
    "empty": ([], "no sequence of 1 frames"),
    "nan": ([np.full((9, FEATURES), np.nan)], "sequence 0, frame 0: NaN"),
    "infinite": ([np.ones((3, FEATURES)), np.full((9, FEATURES), np.inf)], "sequence 1, frame 0"),
    "text": ([["a", "b"]], "does not hold numbers"),
    "missing": ("no/such/folder", "no/such/folder"),
}


@pytest.mark.parametrize("name", BAD_CALIBRATION)
def test_bad_calibration_is_named(name):
    data, message = BAD_CALIBRATION[name]
    with pytest.raises(EdgernnError, match=message) as caught:
        convert(small(), data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "precision 'int4' is not one of auto, int8"),
        ({"io": "uint8"}, "io 'uint8' is not one of"),
        ({"precision": "float32", "io": "int8"}, "float32 model cannot have int8"),
        ({"labels": ["a"]}, "1 labels for 3 outputs"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        convert(small(), recordings(), **options)


def test_operator_without_integer_form_names_the_layer():
    def running(x):
        return keras.ops.cumsum(x, axis=-1)

    model = one_input(L.GRU(4, return_sequences=True), L.Dense(3, activation=running, name="odd"))
    with pytest.raises(UnsupportedError, match=r"layer 'odd': operator CUMSUM.*float32"):
        convert(model, recordings(), precision="int8")
    assert convert(model, recordings(), precision="float32").report["precision"] == "float32"


def test_unstable_model_is_refused():
    model = one_input(L.SimpleRNN(4, activation="relu", return_sequences=True, name="boom"))
    weights = model.layers[0].get_weights()
    model.layers[0].set_weights([weights[0], 3 * np.eye(4, dtype=np.float32), weights[2] + 1])
    with pytest.raises(UnsupportedError, match=r"boom.*unstable"):
        convert(model, [s[:20] for s in recordings()], precision="int8")


def test_public_api_is_the_same_function():
    assert edgernn.convert is convert


def test_only_the_first_graph_is_read(gru):
    assert tflite.read(gru.data).subgraphs == 1
