import os
import stat

import pytest

from edgernn.errors import ModelFileError
from edgernn.files import read_file, write_atomically


def test_write_obeys_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "f", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert read_file(tmp_path / "f") == b"data"


def test_write_into_no_folder(tmp_path):
    with pytest.raises(OSError, match="/no/f'"):
        write_atomically(tmp_path / "no" / "f", b"data")


def test_read_names_the_file(tmp_path):
    with pytest.raises(ModelFileError, match=r"gone: cannot be read \(no such file"):
        read_file(tmp_path / "gone")
