import numpy as np
import pytest

from edgernn import load
from edgernn.errors import ModelFileError
from edgernn.metadata import Golden, Metadata
from edgernn.selftest import self_test
from tests.edgernn.stepfile import build


def with_golden(dtype="int8", off_by=0, per_step=1):
    """A model whose golden sequence is what tflm gives, plus `off_by`."""
    plain = load(build(dtype, frames=per_step, metadata=Metadata(frames_per_step=per_step)))
    frames = np.random.default_rng(0).normal(size=(6 * per_step, 4))
    stream = plain.stream("tflm")
    raw = stream._engine.encoders[0].encode(frames)
    outputs = stream.push_raw(raw) + np.array(off_by, plain.y.dtype)
    golden = Golden(6, raw.tobytes(), outputs.tobytes(), 2, "tflite-micro")
    return load(
        build(dtype, frames=per_step, metadata=Metadata(frames_per_step=per_step, golden=golden))
    )


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_a_faithful_interpreter_passes(dtype, per_step):
    result = self_test(with_golden(dtype, per_step=per_step), "tflm")
    assert (result.passed, result.steps, result.difference) == (True, 6, 0)


@pytest.mark.parametrize(("off_by", "passed"), [(2, True), (3, False)])
def test_the_tolerance_decides(off_by, passed):
    result = self_test(with_golden(off_by=off_by), "tflm")
    assert (result.passed, result.difference) == (passed, off_by)


def test_without_golden_sequence():
    with pytest.raises(ModelFileError, match="no golden sequence"):
        self_test(load(build()))
