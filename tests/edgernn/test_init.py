import subprocess
import sys

import pytest

import edgernn


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stderr.split())


def test_importing_the_package_brings_nothing():
    assert not modules_after("import edgernn") & {"numpy", "click", "rich", "tensorflow"}


def test_the_runtime_needs_no_tensorflow():
    statement = (
        "import edgernn\nfrom tests.edgernn.stepfile import build\n"
        "edgernn.load(build()).stream().push([0.0] * 4)"
    )
    loaded = modules_after(statement)
    assert "numpy" in loaded
    assert not loaded & {"tensorflow", "keras", "converters", "targets", "click", "rich"}


@pytest.mark.parametrize("name", ["Model", "Stream", "load", "convert", "compile"])
def test_public_names(name):
    assert callable(getattr(edgernn, name))
    assert name in dir(edgernn)


def test_unknown_name():
    with pytest.raises(AttributeError, match="nothing"):
        edgernn.nothing  # noqa: B018
