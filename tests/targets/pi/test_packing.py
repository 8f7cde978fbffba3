"""Packing: a model, its settings and all they need, for one device."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgernn
from edgernn.bundles.archive import contents, extract, read_bundle
from edgernn.bundles.manifest import Manifest
from edgernn.bundles.signature import allowed_signer, verify
from edgernn.errors import InputError, ModelFileError
from edgernn.metadata import Metadata
from edgernn.model import load
from edgernn.service.settings import Settings, read_settings
from targets.pi import dependencies
from targets.pi.dependencies import Place, least_glibc, wheels
from targets.pi.own_wheel import own_metadata, own_wheel
from targets.pi.packing import extras_for, pack
from tests.edgernn.bundles.test_signature import make
from tests.edgernn.stepfile import build

HERE = Settings(input="-")


@pytest.fixture
def model(tmp_path) -> Path:
    (tmp_path / "model.tflite").write_bytes(build())
    return tmp_path / "model.tflite"


def packed(
    model: Path, settings: Settings = HERE, **options: object
) -> tuple[Manifest, dict[str, bytes]]:
    path = pack(model, settings, output=model.parent, name="kitchen", **options)
    with read_bundle(path) as bundle:
        assert path.name == f"kitchen-{bundle.manifest.release}.tar"
        return bundle.manifest, contents(bundle)


def test_the_least_that_a_device_needs(model, tmp_path):
    settings = Settings(input="serial:/dev/ttyACM0", publish=("mqtt://host/x",), backend="litert")
    manifest, files = packed(model, settings, more={"edgernn-kitchen.service": b"[Unit]\n"})
    wheel, _ = own_wheel()
    expected = {"model.tflite", "run.toml", "edgernn-kitchen.service", f"wheels/{wheel}"}
    assert set(files) == expected
    assert files["model.tflite"] == model.read_bytes()
    assert manifest.model_hash == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest.extras == ("mqtt", "serial")
    assert (manifest.backend, manifest.version) == ("litert", own_metadata().version)
    assert (manifest.machine, manifest.glibc, manifest.python) == ("", "", "")
    (tmp_path / "run.toml").write_bytes(files["run.toml"])
    assert read_settings(tmp_path / "run.toml") == settings


def test_hostile_settings_stay_text(model, tmp_path):
    """What a shell, TOML or systemd would take for more than a name comes out as it went in."""
    nasty = '"; rm -rf / #$(reboot)`reboot`\\u0022 %n ${HOME} \'\'\' """'
    settings = Settings(input=nasty, options={"device": nasty}, publish=(nasty,))
    _, files = packed(model, settings)
    (tmp_path / "run.toml").write_bytes(files["run.toml"])
    assert read_settings(tmp_path / "run.toml") == settings


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_signed(model, tmp_path):
    key = make(tmp_path, "anna")
    (tmp_path / "allowed").write_text(allowed_signer(key, "anna"))
    path = pack(model, HERE, output=tmp_path, name="kitchen", key=key)
    with read_bundle(path) as bundle:
        found = verify(bundle.manifest.document, bundle.signature, tmp_path / "allowed")
    assert found == "anna"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Kitchen"}, "cannot be a service's name"),
        ({"name": "../x"}, "cannot be a service's name"),
        ({"native": True}, "for any machine"),
        ({"native": True, "machine": "armv6l"}, "for armv6l: aarch64, armv7l, x86_64"),
        ({"offline": True, "machine": "aarch64"}, "one Python and one glibc"),
        ({"settings": Settings(input="-", model="other.tflite")}, "in a bundle the model is"),
    ],
)
def test_wrong_options(model, options, message):
    settings = options.pop("settings", HERE)
    with pytest.raises(InputError, match=message):
        pack(model, settings, **{"output": model.parent, "name": "kitchen", **options})
    assert list(model.parent.glob("*.tar")) == []


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_key_that_is_none(model):
    with pytest.raises(InputError, match="cannot sign with this key"):
        packed(model, key="nothing")
    assert list(model.parent.glob("*.tar")) == []


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"TFL3" * 100)
    with pytest.raises(ModelFileError):
        packed(tmp_path / "model.tflite")


def test_extras_that_settings_need(model):
    plain = load(model)
    needs = {
        "microphone:": ("audio",), "a.FLAC": ("audio",), "a.wav": (), "-": (), "iio:x": (),
        "serial:/dev/x": ("serial",),
    }  # fmt: skip
    for source, extras in needs.items():
        assert extras_for(Settings(input=source), plain) == extras
    both = Settings(input="-", publish=("mqtts://x/y", "log.jsonl"))
    assert extras_for(both, plain) == ("mqtt",)
    micro = load(build(metadata=Metadata(front_end={"kind": "micro"})))
    assert extras_for(HERE, micro) == ("micro",)


# --- edgernn's own wheel


def test_the_same_files_give_the_same_wheel():
    assert own_wheel() == own_wheel()


def test_our_wheel_lists_what_it_holds():
    with zipfile.ZipFile(io.BytesIO(own_wheel()[1])) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = [line.split(",") for line in archive.read(record).decode().splitlines()]
        assert {name for name, _, _ in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if name == record:
                continue
            data = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            assert (digest, size) == (f"sha256={expected.rstrip('=')}", str(len(data)))


def test_pip_installs_our_wheel_and_it_runs(tmp_path):
    name, data = own_wheel()
    (tmp_path / name).write_bytes(data)
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", "site"]
    subprocess.run([sys.executable, *pip, name], check=True, cwd=tmp_path)
    there = {p.relative_to(tmp_path / "site") for p in (tmp_path / "site" / "edgernn").rglob("*")}
    root = Path(edgernn.__file__).parent
    here = {p.relative_to(root.parent) for p in root.rglob("*") if p.suffix in (".py", ".html")}
    assert here <= there
    assert not list((tmp_path / "site").rglob("converters"))
    program = "import edgernn, edgernn.model; print(edgernn.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "site" / "edgernn" / "__init__.py")


# --- the wheels of everything else, from a folder of wheels instead of PyPI


def wheel(folder: Path, name: str, version: str, tag: str, *requires: str) -> None:
    info = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", head + lines)
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """All that there is to be had."""
    folder = tmp_path / "index"
    folder.mkdir()
    arm64, arm32 = "cp311-cp311-manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_34_armv7l"
    numpy64 = "cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64"
    wheel(folder, "click", "8.1.8", "py3-none-any", 'colorama; platform_system == "Windows"')
    wheel(folder, "rich", "14.0.0", "py3-none-any", "mdurl>=0.1")
    wheel(folder, "mdurl", "0.1.2", "py3-none-any", "rich", "click<9")  # a circle does no harm
    wheel(folder, "numpy", "2.4.0", "cp311-cp311-manylinux_2_40_aarch64")
    wheel(folder, "numpy", "2.3.0", numpy64)
    wheel(folder, "numpy", "2.2.0", numpy64)
    wheel(folder, "numpy", "2.3.1", "cp311-cp311-manylinux_2_28_x86_64")
    wheel(folder, "numpy", "2.3.2", "cp313-cp313-manylinux_2_28_aarch64")
    wheel(folder, "ai_edge_litert", "2.3.0", arm64, "numpy<2.3", 'old; python_version < "3.10"')
    wheel(folder, "tflite_runtime", "2.14.0", arm32, "numpy>=1.23.2")
    wheel(folder, "paho_mqtt", "2.1.0", "py3-none-any")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


PI64, PI32 = Place("aarch64", "3.11", "2.36"), Place("armv7l", "3.11", "2.36")


def names(found: dict[str, bytes]) -> list[str]:
    return [name.split("-")[0] + "-" + name.split("-")[1] for name in found]


def test_wheels_for_a_64_bit_pi(index):
    """The newest NumPy that suits all, its glibc and its Python; nothing for this machine."""
    found = wheels(PI64)
    assert names(found) == [
        "ai_edge_litert-2.3.0", "click-8.1.8", "mdurl-0.1.2", "numpy-2.2.0", "rich-14.0.0",
    ]  # fmt: skip
    assert all(data == (index / name).read_bytes() for name, data in found.items())
    assert least_glibc(found) == "2.28"
    assert "paho_mqtt-2.1.0" in names(wheels(PI64, ["mqtt"]))


def test_wheels_for_a_32_bit_pi(index):
    """Its own interpreter, whatever machine this is; NumPy may be the system's."""
    with pytest.raises(InputError, match=r"no wheels for Python 3\.11 on armv7l.*numpy"):
        wheels(PI32)
    found = wheels(PI32, present={"NumPy": "1.24.2"})
    assert names(found) == ["click-8.1.8", "mdurl-0.1.2", "rich-14.0.0", "tflite_runtime-2.14.0"]
    with pytest.raises(InputError, match="numpy"):  # what is there is too old
        wheels(PI32, present={"numpy": "1.19.5"})


def test_pythons_and_glibcs_that_are_too_old(index):
    with pytest.raises(InputError, match=r"edgernn needs Python .*, the device has 3\.9"):
        wheels(Place("aarch64", "3.9", "2.36"))
    with pytest.raises(InputError, match=r"glibc 2\.27"):
        wheels(Place("aarch64", "3.11", "2.27"))


def test_a_bundle_with_wheels(model, index):
    manifest, files = packed(model, offline=True, machine="aarch64", python="3.11", glibc="2.36")
    assert {f"wheels/{name}" for name in wheels(PI64)} < set(files)
    assert (manifest.machine, manifest.python, manifest.glibc) == ("aarch64", "3.11", "2.28")


def test_wheels_say_which_glibc_they_need():
    both = "x-1-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    assert least_glibc([both]) == "2.17"
    assert least_glibc([both, "y-1-py3-none-manylinux_2_28_aarch64.whl"]) == "2.28"
    either = "x-1-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
    assert least_glibc([either]) == "2.27"
    assert least_glibc(["x-1-cp310-abi3-manylinux2014_aarch64.whl"]) == "2.17"
    assert least_glibc(["x-1-py3-none-any.whl", "y-1-cp311-cp311-linux_armv7l.whl"]) == ""


def test_nothing_that_a_wheel_says_is_an_option_of_pip(monkeypatch, tmp_path):
    """Requirements come behind `--`, and only as what they were read as."""
    seen = []
    monkeypatch.setattr(dependencies.subprocess, "run", lambda command, **_: seen.append(command))
    with pytest.raises(AttributeError):
        wheels(PI64)
    (command,) = seen
    assert command[command.index("--") + 1 :]
    assert "--only-binary=:all:" in command[: command.index("--")]


# --- machine code


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() != "x86_64" or importlib.util.find_spec("ziglang") is None,
    reason="needs ziglang, and runs the library of x86_64",
)
def test_the_library_in_a_bundle_runs_the_model(model, tmp_path, monkeypatch):
    path = pack(model, HERE, output=tmp_path, name="kitchen-2", native=True, machine="x86_64")
    with read_bundle(path) as bundle:
        assert bundle.manifest.machine == "x86_64"
        extract(bundle, tmp_path / "release")
    monkeypatch.setenv("EDGERNN_LIBRARY", str(tmp_path / "release"))  # or it might be built here
    here = load(tmp_path / "release" / "model.tflite")
    frames = [[0.5, -0.25, 1.0, 0.125]] * 20
    native = here.stream("native").push(frames)
    assert native.tolist() == here.stream("litert").push(frames).tolist()
