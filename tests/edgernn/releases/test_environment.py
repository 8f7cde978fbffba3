"""Wheels unpacked on a device: only into their folder, and only if there is room."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgernn.errors import DeviceError
from edgernn.releases import environment
from edgernn.releases.environment import make_environment, unpack


@pytest.fixture
def site(tmp_path) -> Path:
    folder = tmp_path / "venv" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"x = 1\n" * 10)
    return path


def test_modules_come_out_and_scripts_do_not(tmp_path, site):
    names = ["a/b.py", "a-1.data/purelib/c.py", "a-1.data/platlib/d/e.so"]
    unpack(wheel(tmp_path, *names, "a-1.data/scripts/run", "a-1.data/data/etc/x"), site)
    found = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    assert found == {"a/b.py", "c.py", "d/e.so"}


@pytest.mark.parametrize(
    "name",
    ["../out.py", "/out.py", "a/../../../out.py", "a-1.data/purelib/../../out.py", "..\\out.py",
     "a-1.data/purelib//out.py", "C:\\out.py", "a/../" * 40 + "../out.py"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path, site, name):
    unpack(wheel(tmp_path, name), site)
    found = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".whl"]
    assert found
    assert all(site in p.parents for p in found)
    assert not Path("/out.py").exists()


def test_links_in_a_wheel_become_plain_files(tmp_path, site):
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
        archive.writestr("link2", "x")
    unpack(path, site)
    assert not (site / "link").is_symlink()


def test_a_wheel_that_grows_too_large_is_not_unpacked(tmp_path, site, monkeypatch):
    path = wheel(tmp_path, "a.py", "b.py")
    monkeypatch.setattr(environment, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(DeviceError, match=r"a-1-py3-none-any\.whl: takes 0 MiB"):
        unpack(path, site)
    assert list(site.iterdir()) == []


def test_files_that_are_no_wheels(tmp_path, site):
    (tmp_path / "a.whl").write_bytes(b"PK\3\4 not really")
    with pytest.raises(DeviceError, match=r"a\.whl: cannot be unpacked"):
        unpack(tmp_path / "a.whl", site)


def test_a_release_without_edgernn(tmp_path):
    (tmp_path / "wheels").mkdir()
    with pytest.raises(DeviceError, match="does not bring edgernn"):
        make_environment(tmp_path, (), offline=False)
