import json

import pytest

from edgernn import tflite
from edgernn.describe import describe
from edgernn.metadata import Metadata, Output, State
from tests.edgernn.stepfile import build


def test_a_step_model():
    metadata = Metadata(
        states=(State("h", (1, 4), (0.0, 0.5, 0.0, 0.0)),), outputs=(Output(labels=tuple("abcd")),)
    )
    document = describe(tflite.read(build(metadata=metadata)))
    step = document["step"]
    assert step["is_step"]
    assert step["states"][0]["initial"] == [0, 64, 0, 0]
    assert step["inputs"]["x"]["scale"] == [pytest.approx(0.02)]
    assert document["operators"] == {"ADD": 1, "LOGISTIC": 1, "TANH": 1}
    assert document["metadata"]["outputs"][0]["labels"] == tuple("abcd")
    assert document["warnings"] == []
    json.dumps(document)


def test_no_step_model_says_why():
    document = describe(tflite.read(build(signature=None)))
    assert not document["step"]["is_step"]
    assert "2 inputs" in document["step"]["reason"]
    assert len(document["inputs"]) == 2


def test_damaged_metadata_is_a_finding():
    document = describe(tflite.read(build(metadata=b"{}")))
    assert "metadata is damaged" in document["step"]["reason"]
    assert document["metadata"] is None


def test_foreign_operators_are_warned_of():
    def custom(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"Mine"

    assert "CUSTOM:Mine" in describe(tflite.read(build(tweak=custom)))["warnings"][0]
