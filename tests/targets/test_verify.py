import dataclasses
import json

import numpy as np
import pytest

import edgernn
from edgernn import load
from edgernn.errors import InputError, MissingDependencyError, ModelFileError
from edgernn.metadata import KEY, Golden, Metadata
from targets import executors, frames, verification
from tests.targets.build import Builder, step_model
from tests.targets.fused import fused_lstm
from tests.targets.reference import Reference

SMALL = {"features": 12, "units": 16, "classes": 5}
pytest.importorskip("tflite_micro")


@pytest.fixture(scope="module")
def small():
    return step_model("gru", "int16x8", **SMALL)


@pytest.fixture
def broken(monkeypatch):
    """A compiler whose sigmoid table has one wrong entry in each eighth."""
    compile_model = executors.compile_model

    def compile_wrongly(*arguments, **options):
        compiled = compile_model(*arguments, **options)
        name = "edgernn_sigmoid_table.c"
        text = compiled.files[name]
        start = text.index("{") + 1
        body = text[start : text.index("}", start)].split(",")
        for i in range(4, len(body) - 1, 8):
            body[i] = f" {int(body[i]) ^ 64}"
        wrong = text[:start] + ",".join(body) + text[text.index("}", start) :]
        return dataclasses.replace(compiled, files={**compiled.files, name: wrong})

    monkeypatch.setattr(executors, "compile_model", compile_wrongly)


def test_c_is_bit_exact_on_this_machine_and_emulated(small):
    seen = []
    result = edgernn.verify(small, ("cortex-m4", "cortex-m0"), steps=150, progress=seen.append)
    assert result.bit_exact is True
    assert result.passed
    assert result.steps == 150
    assert seen[-1] == 150
    assert [e.name for e in result.entries] == ["litert", "host", "cortex-m4", "cortex-m0"]
    for entry in result.entries[1:]:
        assert [t.tensor for t in entry.tensors] == ["y", "h0"]
        assert all(t.equal_steps == 150 and t.max_difference == 0 for t in entry.tensors)
    document = json.loads(json.dumps(result.to_dict()))
    assert document["steps"] == 150
    assert document["bit_exact"] is True
    assert len(document["executors"]) == 4


def test_a_wrong_kernel_is_found_by_operator_and_element(small, broken):
    result = edgernn.verify(small, ("cortex-m4",), steps=100)
    assert result.bit_exact is False
    assert not result.passed
    host, emulated = result.entries[1:]
    assert host.bit_exact  # the mistake is in the cross compiler only
    divergence = emulated.divergence
    assert divergence.cause.op == "LOGISTIC"
    assert divergence.cause.layer == "gru_0"
    assert divergence.cause.expected != divergence.cause.got
    reference = Reference(small)
    for frame in list(frames.made_up(load(small), 100))[: divergence.step + 1]:
        (y,) = reference.step(frame)
    values = {"y": y, "h0": reference.values[0]}
    assert values[divergence.tensor].reshape(-1)[divergence.element] == divergence.expected
    assert str(divergence).startswith(f"step {divergence.step}: ")
    assert "(LOGISTIC) of layer 'gru_0'" in str(divergence)


def test_a_recording_takes_the_place_of_made_up_frames(small):
    recording = np.random.default_rng(0).normal(size=(30, 12))
    assert edgernn.verify(small, (), recording=recording).steps == 30
    assert edgernn.verify(small, (), recording=recording, steps=7).steps == 7


@pytest.mark.parametrize(
    ("recording", "says"),
    [(np.zeros((5, 3)), "shape"), (np.full((5, 12), np.nan), "nan"), (np.zeros((0, 12)), "whole")],
)
def test_a_recording_that_does_not_fit_is_refused(small, recording, says):
    with pytest.raises(InputError, match=says):
        edgernn.verify(small, (), recording=recording)


def without(monkeypatch, missing):
    create = executors.create

    def refuse(backend, program):
        if backend in missing:
            raise MissingDependencyError(f"backend '{backend}' is not available")
        return create(backend, program)

    monkeypatch.setattr(executors, "create", refuse)


def test_without_the_reference_nothing_is_claimed(small, monkeypatch):
    without(monkeypatch, {"tflm"})
    result = edgernn.verify(small, ("cortex-m4",), steps=20)
    assert result.reference == "host"
    assert result.bit_exact is None
    assert result.passed
    assert "tflm" in result.skipped
    without(monkeypatch, {"litert"})
    assert [e.name for e in edgernn.verify(small, ("cortex-m4",), steps=20).entries] == [
        "cortex-m4"
    ]


def golden(data, wrong=0):
    """The file with a golden sequence of five steps."""
    flatfile = pytest.importorskip("converters.flatfile")
    reference, model = Reference(data), load(data)
    inputs = [x for x, _ in zip(frames.made_up(model, 5), range(5), strict=True)]
    outputs = np.stack([reference.step(x)[0] for x in inputs])
    outputs.reshape(-1)[3] += wrong
    record = Golden(5, np.stack(inputs).tobytes(), outputs.tobytes(), 0.0, "tflite-micro")
    result = flatfile.add_metadata(data, Metadata(golden=record))
    assert KEY in load(result).graph.metadata
    return result


def test_the_golden_sequence_is_part_of_the_frames(small):
    assert edgernn.verify(golden(small), (), steps=10).golden is True
    assert edgernn.verify(golden(small), (), steps=3).golden is None
    failed = edgernn.verify(golden(small, wrong=1), (), steps=10)
    assert failed.golden is False
    assert failed.bit_exact is True
    assert not failed.passed


def test_made_up_frames_reach_both_ends_and_repeat(small):
    model = load(small)
    block = np.stack(list(frames.made_up(model, 100)))
    assert block.dtype == np.int16
    assert block.min() == -32768
    assert block.max() == 32767
    assert np.abs(block[:16].astype(int)).mean() < 8192
    assert (block[49] == block[48]).all()
    np.testing.assert_array_equal(block, np.stack(list(frames.made_up(model, 100))))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("cortex-m9", "no target 'cortex-m9'; choose a core"),
        ("portable", "portable cannot be emulated here: choose a core"),
    ],
)
def test_a_target_that_cannot_run_is_refused(small, target, says):
    with pytest.raises(InputError, match=says):
        edgernn.verify(small, (target,), steps=1)


def test_wrong_steps_and_files_are_refused(small, tmp_path):
    with pytest.raises(InputError, match="at least one"):
        edgernn.verify(small, steps=0)
    with pytest.raises(ModelFileError, match="no such file"):
        edgernn.verify(tmp_path / "none.tflite")


def test_differences_count_in_last_bits_without_overflow():
    agreement = verification.Agreement("y")
    assert agreement.add(np.array([1], np.int16), np.array([1], np.int16))
    assert not agreement.add(np.array([-32768], np.int16), np.array([32767], np.int16))
    assert (agreement.equal_steps, agreement.max_difference) == (1, 65535)
    assert not agreement.add(np.array([1], np.float32), np.array([np.nan], np.float32))
    assert agreement.max_difference == float("inf")


@pytest.mark.slow
def test_the_keras_model_is_compared_too(tmp_path):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((None, 6)), keras.layers.GRU(8), keras.layers.Dense(3, activation="softmax")]
    )
    noise = np.random.default_rng(0).normal(size=(8, 60, 6)).astype(np.float32)
    step = edgernn.convert(model, noise, precision="int16x8")
    result = edgernn.verify(step, (), keras=model, recording=noise[0])
    assert result.bit_exact
    assert result.keras.steps == 60
    assert result.keras.rms_percent < 1
    assert result.keras.same_decision > 0.9
    other = keras.Sequential([keras.Input((None, 5)), keras.layers.GRU(8)])
    with pytest.raises(InputError, match=r"takes frames \(5,\), the step \(6,\)"):
        edgernn.verify(step, (), keras=other, steps=5)


def test_a_float_model_passes_within_rounding():
    builder = Builder()
    x, y = (builder.tensor(name, (1, 8), "float32") for name in "xy")
    builder.op("TANH", [x], [y])
    result = edgernn.verify(builder.finish([x], [y]), ("cortex-m4",), steps=40)
    assert result.passed
    assert not result.quantized
    result.entries[-1].tensors[0].max_difference = 1e-3
    result.entries[-1].divergence = verification.Divergence(0, "y", 0, 0.0, 1e-3)
    assert not result.passed


def test_an_interpreter_without_the_operator_is_left_out():
    result = edgernn.verify(fused_lstm("int16", 2), ("cortex-m4",), steps=20)
    assert result.bit_exact is True
    assert "cannot run" in result.skipped["litert"]
    assert [e.name for e in result.entries] == ["host", "cortex-m4"]
