import json

import pytest

import edgernn
from edgernn.errors import EdgernnError, InputError, MissingDependencyError, ModelFileError
from targets import compile_model, emulate, profiling
from targets.boards import board
from tests.targets.build import step_model

SMALL = {"features": 12, "units": 16, "classes": 5}


@pytest.fixture(scope="module")
def small():
    return step_model("gru", "int16x8", **SMALL)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_the_parts_add_up(small, core):
    result = edgernn.profile(small, core)
    total = result.instructions_per_step
    assert sum(result.instructions_by_op.values()) == total
    assert sum(result.instructions_by_layer.values()) == total
    assert 0 <= result.instructions_by_op[profiling.CALL] < 0.05 * total
    sections = emulate.link(compile_model(small, core, name="model")).sections
    assert result.flash.total == sections[".text"] + sections[".rodata"]
    assert result.ram.state == 2 * SMALL["units"]
    assert result.stack_is_worst_case
    assert 0 < result.ram.stack < 512
    macs = 3 * 16 * (12 + 16) + 16 * 5
    assert total > macs
    assert total < (4 if core == "cortex-m4" else 12) * macs


def test_layers_and_fused_operators_are_named(small):
    result = edgernn.profile(small, "cortex-m4")
    assert set(result.instructions_by_layer) >= {"gru_0", "dense"}
    assert any("TANH" in name and "LOGISTIC" in name for name in result.instructions_by_op)


def test_time_follows_from_the_board_and_the_rate(small):
    result = edgernn.profile(small, board="netduinoplus2", rate=100)
    assert result.target == "cortex-m4"
    assert result.estimated_cycles_per_step > result.instructions_per_step * 0.8
    seconds = result.estimated_cycles_per_step / 168e6
    assert result.estimated_seconds_per_step == pytest.approx(seconds)
    assert result.estimated_share_of_real_time == pytest.approx(100 * seconds)


def test_the_default_board_is_the_smallest(small):
    assert edgernn.profile(small, "cortex-m4").board == board("netduinoplus2")


def test_json_has_what_scripts_read(small):
    document = json.loads(json.dumps(edgernn.profile(small, "cortex-m3").to_dict()))
    assert document["instructions_per_step"] == sum(document["instructions_by_op"].values())
    assert set(document["flash"]) == {"code", "tables", "weights"}
    assert set(document["ram"]) == {"state", "scratch", "stack"}
    assert document["board"]["ram_share"] == pytest.approx(
        sum(document["ram"].values()) / document["board"]["ram_bytes"]
    )
    assert not document["untrained"]
    for name in document:
        assert "cycles" not in name or "estimated" in name


def test_the_longest_of_the_traced_steps_counts(small, monkeypatch):
    made = [[0x10000] * n for n in (3, 9, 5)]
    found = []
    monkeypatch.setattr(profiling, "_in_unicorn", lambda *_: (None, made, 0))
    monkeypatch.setattr(profiling, "worst_stack", lambda *_: 0)
    monkeypatch.setattr(profiling.cycles, "estimate", lambda trace, *_: found.append(trace))
    counted = emulate.Profile(9, (9,), {})
    monkeypatch.setattr(profiling, "attribute", lambda trace, *_: found.append(trace) or counted)
    profiling.profile(small, "cortex-m4")
    assert found == [made[1], made[1]]


def test_a_stack_that_the_code_does_not_tell_is_measured(small, monkeypatch):
    def refuse(image, name):
        raise EdgernnError("calls through a pointer")

    worst = edgernn.profile(small, "cortex-m4").ram.stack
    monkeypatch.setattr(profiling, "worst_stack", refuse)
    result = edgernn.profile(small, "cortex-m4")
    assert not result.stack_is_worst_case
    assert 0 < result.ram.stack <= worst


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "--target or a board with --board"),
        ({"target": "cortex-m9"}, "no target 'cortex-m9'; choose a core"),
        ({"target": "host"}, "host cannot be emulated: choose a core"),
        ({"board": "arduino"}, "no board 'arduino'"),
        ({"target": "cortex-m0", "board": "netduinoplus2"}, "has a cortex-m4, not a cortex-m0"),
        ({"target": "cortex-m4", "rate": 0}, "must be above 0"),
        ({"target": "cortex-m4", "rate": float("nan")}, "must be above 0"),
    ],
)
def test_wrong_arguments_are_refused(small, arguments, says):
    with pytest.raises(InputError, match=says):
        edgernn.profile(small, **arguments)


def test_a_damaged_file_is_refused(small):
    with pytest.raises(ModelFileError):
        edgernn.profile(small[:200], "cortex-m4")


def test_a_missing_compiler_is_named_with_its_package(small):
    with pytest.raises(MissingDependencyError, match=r"arm-none-eabi-gcc-7.*apt-get install gcc-"):
        edgernn.profile(small, "cortex-m4", cc="arm-none-eabi-gcc-7")


@pytest.mark.slow
def test_an_untrained_keras_model_costs_what_the_converted_one_does(tmp_path):
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [keras.Input((None, 6)), keras.layers.GRU(8), keras.layers.Dense(3, activation="softmax")]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    early = edgernn.profile(path, "cortex-m4", precision="int8")
    assert early.untrained
    assert edgernn.profile(model, "cortex-m4", precision="int8").flash == early.flash
    import numpy as np

    real = np.random.default_rng(1).uniform(-3, 3, (8, 40, 6)).astype(np.float32)
    late = edgernn.profile(edgernn.convert(path, real, precision="int8"), "cortex-m4")
    assert not late.untrained
    assert late.flash.weights == early.flash.weights
    assert late.ram == early.ram
    assert late.instructions_per_step == pytest.approx(early.instructions_per_step, rel=0.05)
