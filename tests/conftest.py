"""What several test files share: models converted once in a run, and zig's C libraries."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Where zig keeps what it builds of C libraries anyway, and also in tests that move XDG_CACHE_HOME:
# the library of another processor takes it most of a minute.
_CACHE = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(Path(_CACHE, "zig")))


# Files whose tests take longest. At the end of a run one processor would wait for them.
_FIRST = ("tests/targets/pi/", "tests/real/", "tests/examples/", "tests/targets/test_passes.py")


def pytest_collection_modifyitems(items):
    """Files with long tests first (`make test` keeps this order)."""
    items.sort(key=lambda item: not item.nodeid.startswith(_FIRST))


@pytest.fixture(scope="module")
def short_measurements():
    """A short look at a converted model, for tests of what it computes and not of how well."""
    from converters import calibration, measure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "LONG_RUN", 200)
        patch.setattr(calibration, "STREAM_STEPS", 128)
        yield


@pytest.fixture(scope="session")
def converted_model(tmp_path_factory) -> Callable:
    """`converted_model(name, precision)`: MODELS[name] and its report, made once in a run.

    Worker processes share the files. What precision a model gets is measured on short runs.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "converted"
    folder.mkdir(exist_ok=True)

    def convert_once(name: str, precision: str):
        import edgernn

        path = folder / f"{name}.{precision}.tflite"
        report = path.with_suffix(".json")
        if not report.exists():
            _convert(name, precision, path, report)
        model = edgernn.load(path)
        model.report = json.loads(report.read_text())
        return model

    return convert_once


def _convert(name: str, precision: str, path: Path, report: Path) -> None:
    import keras

    from converters import measure
    from converters.conversion import convert
    from edgernn.files import write_atomically
    from tests.converters.test_conversion import recordings
    from tests.converters.test_trace import MODELS, randomized

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "LONG_RUN", 200)
        model = convert(randomized(MODELS[name]()), recordings(), precision=precision)
    model.save(path)
    # Whole before it has its name, and last: another worker may look for it meanwhile.
    write_atomically(report, json.dumps(model.report, default=str).encode())
