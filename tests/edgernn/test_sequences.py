import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.errors import InputError
from edgernn.sequences import parse_frames, read_frames, read_sequences

BLOCK = np.arange(12.0).reshape(2, 3, 2)


def test_npy(tmp_path):
    np.save(tmp_path / "many.npy", BLOCK)
    np.save(tmp_path / "one.npy", BLOCK[0])
    assert [s.tolist() for s in read_sequences(tmp_path / "many.npy")] == BLOCK.tolist()
    assert [s.tolist() for s in read_sequences(tmp_path / "one.npy")] == [BLOCK[0].tolist()]


def test_npz_and_folder_in_order(tmp_path):
    np.savez(tmp_path / "b.npz", u=BLOCK, v=BLOCK[0, :1])
    (tmp_path / "a.csv").write_text("ax;ay\n9;8\n7;6\n")
    (tmp_path / "notes.txt").write_text("ignored")
    lengths = [s.shape for s in read_sequences(str(tmp_path))]
    assert lengths == [(2, 2), (3, 2), (3, 2), (1, 2)]


@pytest.mark.parametrize(
    "text",
    ["x,y\n1,2\n3,4\n", "1,2\n3,4", "1 2\n\n3 4\n", "\ufeff1\t2\n3\t4\n", "# c\n1, 2\n3 ,4\r\n"],
)
def test_csv(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    assert read_sequences(path)[0].tolist() == [[1, 2], [3, 4]]


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npz":
        np.savez(path, *content)
    else:
        np.save(path, content)


BAD = {
    "missing.npy": (None, "no such file"),
    "missing.csv": (None, "no such file"),
    "text.npy": (b"hello", "damaged|Python objects"),
    "cut.npy": (b"\x93NUMPY\x01\0", "damaged"),
    "zip.npz": (b"PK\3\4rubbish", "damaged"),
    "objects.npy": (np.array([{}, []], object), "Python objects"),
    "strings.npy": (np.array([["a"]]), "not real numbers"),
    "complex.npy": (np.zeros((2, 2), complex), "not real numbers"),
    "flat.npy": (np.zeros(5), r"shape \(5,\)"),
    "empty.npy": (np.zeros((0, 3, 2)), "shape"),
    "none.npz": ([], "no array"),
    "empty.csv": (b"", "no frame"),
    "word.csv": (b"1,2\n3,four\n", "line 2: 'four' is not a number"),
    "hole.csv": (b"1,2\n3,\n", "line 2: '' is not a number"),
    "width.csv": (b"a,b\n1,2\n3,4,5\n", "line 3: 3 values, line 2 has 2"),
    "binary.csv": (b"1,2\n\xff\xfe\n", "not text"),
    "sound.wav": (b"RIFF", "not a recording"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_is_named(tmp_path, name):
    content, message = BAD[name]
    if content is not None:
        write(tmp_path / name, content)
    in_folder = content is not None and not name.endswith(".wav")
    for path in [tmp_path / name, tmp_path][: 1 + in_folder]:
        with pytest.raises(InputError, match=message) as error:
            read_sequences(path)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(InputError, match="holds no"):
        read_sequences(tmp_path)


def parse(text: str) -> list[tuple[int, list[float] | None]]:
    return [
        (n, None if f is None else f.tolist()) for n, f in parse_frames(io.StringIO(text), "stdin")
    ]


def test_lines_of_json_and_csv_mix():
    text = 'a,b\n1,2\n\n[3, 4.5]\n{"x": [5, 6]}\n{"t": 0, "frame": [7, 8]}\n'
    assert parse(text) == [(2, [1, 2]), (3, None), (4, [3, 4.5]), (5, [5, 6]), (6, [7, 8])]


def test_a_frame_comes_as_soon_as_its_line():
    def lines():
        yield "1,2\n"
        raise AssertionError("read ahead")

    assert next(parse_frames(lines(), "stdin"))[0] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\nx,y\n", "stdin, line 2: 'x' is not a number"),
        ("[1, 2", "line 1: not a JSON list"),
        ('["a"]', "line 1: not a JSON list"),
        ("[[1], [2, 3]]", "line 1: not a JSON list"),
        ('{"y": 1}', 'line 1: the object has no "x"'),
        ('{"x": 1}', "line 1: not a JSON list"),
        ("[" * 100_000, "line 1: not a JSON list"),
    ],
)
def test_a_bad_line_is_named(text, message):
    with pytest.raises(InputError, match=message):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_frames_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert all(number > 0 for number, _ in parse(text))


def test_frames_of_files(tmp_path):
    np.save(tmp_path / "a.npy", BLOCK[0])
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    assert [n for n, _ in read_frames(tmp_path / "a.npy")] == [1, 2, 3]
    assert [n for n, _ in read_frames(tmp_path / "a.csv")] == [1, 2]
    np.savez(tmp_path / "a.npz", BLOCK)
    with pytest.raises(InputError, match="npz"):
        list(read_frames(tmp_path / "a.npz"))
