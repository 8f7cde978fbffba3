"""Whole pipelines: this Python and generated C, prediction for prediction, event for event."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest

from converters.configure import configure
from converters.conversion import convert
from edgernn import frontends
from edgernn.detectors.calibration import calibrated
from edgernn.errors import InputError, UnsupportedError
from edgernn.frontends.sensor import SensorFrontEnd
from targets import profile, qemu, verify
from targets.compile import compile_model
from targets.pipelines import BoardEngine, PythonPipeline, start_pipeline
from tests.converters.test_trace import randomized
from tests.edgernn.test_sensor import NAMES, RATE, signal, uneven

L = keras.layers
STAGES = (
    {"stage": "filter", "kind": "highpass", "cutoff": 0.5},
    {"stage": "magnitude", "channels": [0, 1, 2]},
)
DETECTORS = {
    "none": {},
    "trigger": {"kind": "trigger", "threshold": 0.4, "smoothing": 3, "report": "both"},
    "majority": {"kind": "majority", "window": 0.2, "minimum": 0.05},
}


def model_of(*layers, precision="int8", detector=None, stages=STAGES, labels=(), **options):
    keras.utils.set_random_seed(1)
    front_end = SensorFrontEnd(RATE, NAMES, stages=stages, **options)
    inputs = keras.Input((None, *front_end.frame_shape))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    model = randomized(keras.Model(inputs, outputs))
    samples = [front_end.from_real(signal(300, seed=seed)) for seed in range(4)]
    return convert(
        model, samples, precision=precision, front_end=front_end, detector=detector, labels=labels
    )


def classifier(**options):
    layers = (L.GRU(8, return_sequences=True), L.Dense(3, "softmax"))
    return model_of(*layers, labels=("a", "b", "c"), **options)


def compare(model, core, samples, times, steps=None):
    expected = PythonPipeline(model, "tflm").push(samples, times)
    compiled = start_pipeline(core, model)
    try:
        got = compiled.push(samples, times)
    finally:
        compiled.close()
    assert got.total == expected.total
    np.testing.assert_array_equal(got.scores, expected.scores[got.seen])
    np.testing.assert_array_equal(got.times, expected.times[got.seen])
    assert got.events == expected.events
    return expected


@pytest.mark.parametrize("core", ["host", "cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("detector", DETECTORS)
def test_bit_exact(detector, precision, core):
    model = classifier(detector=DETECTORS[detector], precision=precision)
    samples = SensorFrontEnd(RATE, NAMES).from_real(signal(400, seed=9) * 2)
    outcome = compare(model, core, samples, None)
    assert len(outcome.scores) == 400
    assert bool(outcome.events) == (detector != "none")


@pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
@pytest.mark.parametrize("board", ["cortex-m55", "netduinoplus2", "microbit"])
def test_bit_exact_in_firmware(board):
    model = classifier(detector=DETECTORS["trigger"], policy="reset")
    samples = SensorFrontEnd(RATE, NAMES).from_real(signal(200, seed=9) * 2)
    times = np.arange(200) * 10_000
    times[120:] += 1_000_000
    assert compare(model, board, samples, times).events


@pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
def test_features_in_firmware():
    model = classifier()
    front_end = PythonPipeline(model, "auto").front_end
    samples = front_end.from_real(signal(40, seed=9))
    expected = front_end.stream().push(samples).features
    board = BoardEngine(model, "mps3-an547", features=True)
    try:
        found = [board.push(samples[i : i + 1], None)[2] for i in range(40)]
    finally:
        board.close()
    np.testing.assert_array_equal(found, expected)


def test_gaps_begin_anew_everywhere():
    model = classifier(detector=DETECTORS["majority"], policy="reset")
    samples = SensorFrontEnd(RATE, NAMES).from_real(signal(400, seed=9))
    times = np.arange(400) * 10_000
    times[200:] += 1_000_000
    compare(model, "host", samples, times)


def test_interpolated_gaps():
    model = classifier(detector=DETECTORS["trigger"])
    samples, times = SensorFrontEnd(RATE, NAMES).from_real(signal(400, seed=9)), uneven(400)
    assert compare(model, "host", samples, times).events


def test_verification_includes_the_pipeline():
    result = verify(classifier(detector=DETECTORS["trigger"]), ["cortex-m0"], steps=20)
    assert [(one.name, one.bit_exact) for one in result.pipelines] == [
        ("host", True),
        ("cortex-m0", True),
    ]
    assert result.passed
    assert result.pipelines[0].predictions == 400


def test_profiles_include_the_pipeline():
    model = classifier(detector=DETECTORS["trigger"])
    result = profile(model, "cortex-m4")
    costs = result.pipeline
    assert result.rate_hz == RATE
    step = costs.instructions_per_step - costs.front_end_and_detector
    assert step == result.instructions_per_step
    assert 100 < costs.front_end_and_detector < 5000
    assert costs.flash > result.flash.total
    assert costs.ram > result.ram.state + result.ram.scratch
    assert result.to_dict()["pipeline"]["ram"] == costs.ram


def test_strides_and_warm_up():
    layers = (
        L.Conv1D(6, 3, strides=2, padding="valid"), L.GRU(5, return_sequences=True), L.Dense(3),
    )  # fmt: skip
    model = model_of(*layers, detector=DETECTORS["trigger"])
    samples = SensorFrontEnd(RATE, NAMES).from_real(signal(300, seed=9))
    outcome = compare(model, "host", samples, None)
    assert 140 < len(outcome.scores) < 150


def test_forecasts():
    layers = (L.GRU(8, return_sequences=True), L.Dense(4))
    detector = {"kind": "anomaly", "threshold": 3.0, "horizon": 2, "smoothing": 3}
    model = model_of(*layers, detector=detector)
    samples = SensorFrontEnd(RATE, NAMES).from_real(signal(300, seed=9))
    samples[150:170] *= 4
    outcome = compare(model, "host", samples, None)
    assert outcome.events


def test_a_threshold_is_found_on_normal_recordings():
    layers = (L.GRU(8, return_sequences=True), L.Dense(4))
    model = model_of(*layers, detector={"kind": "anomaly", "threshold": 1e9, "smoothing": 3})
    normal = [signal(2000, seed=seed) for seed in range(20, 24)]
    threshold = calibrated(model, normal, per_hour=0.1)
    made = configure(model, detector={"kind": "anomaly", "threshold": threshold, "smoothing": 3})
    assert not any(made.pipeline().push(samples) for samples in normal)
    lower = dict(made.metadata.detector, threshold=0.85 * threshold)
    assert any(configure(model, detector=lower).pipeline().push(samples) for samples in normal)
    with pytest.raises(InputError, match="only a detector of kind 'anomaly'"):
        calibrated(classifier(detector=DETECTORS["trigger"]), normal)


def test_an_anomaly_needs_a_prediction_with_every_frame():
    layers = (L.Conv1D(6, 3, padding="valid"), L.GRU(5, return_sequences=True), L.Dense(4))
    with pytest.raises(InputError, match="does not give one with every frame"):
        model_of(*layers, detector={"kind": "anomaly", "threshold": 1})


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 250), tuple(range(0, 400, 13))])
def test_any_split_and_any_interruption(cuts):
    model = classifier(detector=DETECTORS["trigger"], policy="reset")
    samples, times = signal(400, seed=9), uneven(400)
    whole = model.pipeline("tflm")
    expected = whole.push(samples, times)
    pipeline, events = model.pipeline("tflm"), []
    for start, end in zip([0, *cuts], [*cuts, 400], strict=True):
        events += pipeline.push(samples[start:end], times[start:end])
        saved, pipeline = pipeline.save(), model.pipeline("tflm")
        pipeline.restore(saved)
    assert events == expected
    assert pipeline.counters == whole.counters


def test_a_configuration_without_converting_again():
    model = classifier()
    changed = configure(model, detector=DETECTORS["majority"])
    assert changed.metadata.detector["kind"] == "majority"
    assert changed.metadata.front_end == model.metadata.front_end
    assert len(changed.data) < len(model.data) + 300
    bare = configure(changed, {}, {})
    with pytest.raises(InputError, match="no front end"):
        bare.pipeline()
    with pytest.raises(InputError, match="frames of 3 values, the model takes 4"):
        configure(model, SensorFrontEnd(RATE, NAMES))
    with pytest.raises(InputError, match="no label 'z'"):
        configure(model, detector={"kind": "trigger", "ignore": ["z"]})


def test_without_the_pipeline_nothing_of_it_is_there():
    model = classifier()
    assert any("pipeline" in name for name in compile_model(model.data).files)
    files = compile_model(model.data, pipeline=False).files
    assert not any("pipeline" in name or "sensor" in name for name in files)


def test_a_front_end_without_c_runs_here_and_is_refused_by_name():
    pytest.importorskip("pymicro_features")
    front_end = frontends.read({"kind": "micro"})
    inputs = keras.Input((None, 40))
    model = randomized(keras.Model(inputs, L.Dense(3)(L.GRU(8, return_sequences=True)(inputs))))
    samples = np.random.default_rng(0).integers(-3000, 3000, 8000).astype(np.int16)
    step = convert(model, [samples], front_end=front_end)
    outcome = PythonPipeline(step, "tflm").push(samples, None)
    assert len(outcome.scores) == 48
    with pytest.raises(UnsupportedError, match=r"front end 'micro' has no C.*kind 'audio'"):
        start_pipeline("host", step)
