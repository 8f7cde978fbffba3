import contextlib
import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn import load, tflite
from edgernn.errors import EdgernnError, ModelFileError
from edgernn.metadata import Metadata, Output
from tests.edgernn.stepfile import build

DATA = build(metadata=Metadata(outputs=(Output(labels=("a", "b", "c", "d")),)))


def test_load_from_path_text_and_bytes(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(DATA)
    for model in (load(path), load(str(path)), load(DATA)):
        assert model.hash == hashlib.sha256(DATA).hexdigest()
        assert model.labels == ("a", "b", "c", "d")
        assert model.report is None
        assert "int8 x[4] -> " in repr(model)


def test_save_gives_the_same_bytes_and_no_litter(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"older")
    load(DATA).save(path)
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["m.tflite"]


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        load(DATA).save(path)
    assert path.read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["m.tflite"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "not a TFLite model"),
        (b"PK\3\4 a keras file", "not a TFLite model"),
        (DATA[:100], "damaged"),
        (DATA[:-1000], "damaged"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "m.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["", "no\0name"])
def test_a_bad_name_is_a_model_file_error(path):
    with pytest.raises(ModelFileError):
        load(path)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelFileError, match="is a directory"):
        load(tmp_path)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(DATA)),
)
def test_a_hostile_file_is_refused_or_read(changes, length):
    data = bytearray(DATA)
    for place, value in changes:
        data[place] = value
    for hostile in (bytes(data), bytes(data[:length])):
        with contextlib.suppress(EdgernnError):
            tflite.read(hostile)
            load(hostile)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["format", "states", "labels", "golden"]), inner)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_metadata_is_refused_or_read(document):
    with contextlib.suppress(ModelFileError):
        load(build(metadata=document))


def test_streams_share_one_interpreter():
    model = load(DATA)
    first, second = model.stream(), model.stream()
    first.push(np.zeros(4))
    second.push(np.zeros(4))
    assert first._engine is second._engine
    assert len(first._engine.idle) == 1
