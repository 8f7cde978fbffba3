import dataclasses

import numpy as np
import pytest

from edgernn import load
from edgernn.errors import ModelFileError
from edgernn.metadata import Golden, Input, Metadata, Normalisation, Output, State
from tests.edgernn.stepfile import TYPES, build


def tensor(index, **fields):
    """A tweak that sets fields of a tensor; `scale` and `zeroPoint` of its quantization."""

    def tweak(model):
        entry = model.subgraphs[0].tensors[index]
        for name, value in fields.items():
            setattr(entry.quantization if name in ("scale", "zeroPoint") else entry, name, value)

    return tweak


def rename_signature_output(model):
    model.signatureDefs[0].outputs[1].name = b"other"


def drop_signature_input(model):
    del model.signatureDefs[0].inputs[1]


def point_output_inside(model):
    model.signatureDefs[0].outputs[0].tensorIndex = 1


def second_signature(model):
    import copy

    model.signatureDefs[0].signatureKey = b"train"
    model.signatureDefs.append(copy.copy(model.signatureDefs[0]))
    model.signatureDefs[1].signatureKey = b"infer"


def unquantized(model):
    model.subgraphs[0].tensors[0].quantization = None


def sum_without_scale(model):
    model.subgraphs[0].tensors[1].quantization = None


BROKEN = {
    "inner scale": (sum_without_scale, "tensor 'sum' is int8 and has no scale"),
    "state dtype": (tensor(3, type=TYPES["int16"]), "state 'h' enters with dtype int8"),
    "state shape": (tensor(3, shape=[1, 5]), "state 'h' enters with shape"),
    "state scale": (tensor(3, scale=[0.5]), "state 'h' enters with scale"),
    "state zero point": (tensor(3, zeroPoint=[4]), "state 'h' enters with zero_point"),
    "state renamed": (rename_signature_output, "one input .* 'x', 'h'"),
    "input unnamed": (drop_signature_input, "missing from its signature"),
    "output inside": (point_output_inside, "'y' is no output of the graph"),
    "signatures": (second_signature, "signatures 'infer', 'train' and none is 'step'"),
    "x type": (tensor(0, type=4), "input 'x' has type int64"),
    "x batch": (tensor(0, shape=[2, 4]), r"input 'x' has shape \(2, 4\)"),
    "x dynamic": (tensor(0, shape=[1, -1]), "input 'x' has shape"),
    "x flat": (tensor(0, shape=[4]), "input 'x' has shape"),
    "x scale": (unquantized, "input 'x' is int8 but has no scale"),
    "hidden state": (tensor(1, isVariable=True), "hides its state in the variable 'sum'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_refused_by_name(name):
    tweak, message = BROKEN[name]
    with pytest.raises(ModelFileError, match=message) as error:
        load(build(tweak=tweak))
    assert "\n" not in str(error.value)


CONTRADICTIONS = {
    "unknown state": (Metadata(states=(State("c", (1, 4)),)), "state 'c'"),
    "state shape": (Metadata(states=(State("h", (1, 5)),)), "state 'h' the shape"),
    "frames": (Metadata(frames_per_step=2), "2 frames per step"),
    "predictions": (Metadata(outputs_per_step=2), "2 predictions per step"),
    "normalisation": (
        Metadata(inputs=(Input(normalisation=Normalisation((1.0,) * 3, (0.0,))),)),
        "3 values of sc",
    ),
    "offset": (
        Metadata(inputs=(Input(normalisation=Normalisation((1.0,), (0.0,) * 5)),)),
        "5 values of offset",
    ),
    "labels": (Metadata(outputs=(Output(labels=("a", "b", "c")),)), "3 labels for 4 outputs"),
    "golden": (Metadata(golden=Golden(2, b"\0" * 8, b"\0" * 7, 1, "r")), "golden sequence's out"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_metadata_that_contradicts_the_graph_is_refused(name):
    metadata, message = CONTRADICTIONS[name]
    with pytest.raises(ModelFileError, match=message):
        load(build(metadata=metadata))


@pytest.mark.parametrize("signature", ["step", "serving_default"])
def test_states_are_the_names_on_both_sides(signature):
    model = load(build(signature=signature))
    assert [state.name for state in model.states] == ["h"]
    assert (model.x.name, model.y.name) == ("x", "y")
    assert model.frame_shape == (4,)


def test_one_input_and_one_output_need_no_signature():
    model = load(build(signature=None, states=False))
    assert model.states == ()
    assert model.stream().push(np.zeros(4)).shape == (4,)


def test_several_inputs_need_a_signature():
    with pytest.raises(ModelFileError, match="no signature, 2 inputs and 2 outputs"):
        load(build(signature=None))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_the_first_state_is_zero_in_real_units(dtype):
    def shifted(model):
        for index in (2, 3):
            model.subgraphs[0].tensors[index].quantization.zeroPoint = [7]

    model = load(build(dtype, tweak=shifted if dtype == "int8" else None))
    initial = model.states[0].initial
    assert initial.dtype == dtype
    assert set(initial.ravel().tolist()) == {7 if dtype == "int8" else 0}


def test_states_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(build()).states[0].name = "x"
