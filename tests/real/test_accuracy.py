"""Real recordings: what is converted and streamed decides as the float model does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EDGERNN_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "spoken-digits").is_dir(),
        reason=f"no recordings in {DATA}; set EDGERNN_DATA",
    ),
]


def measure(tmp_path, *options):
    out = tmp_path / "accuracy.json"
    command = [sys.executable, ROOT / "benchmarks" / "accuracy.py", "--data", DATA, "--json", out]
    subprocess.run([*command, *options], check=True, timeout=600)
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("model", "decisions", "least"), [("lstm", 500, 50), ("gru", 500, 50), ("motion", 9000, 65)]
)
def test_streamed_accuracy_is_that_of_keras(tmp_path, model, decisions, least):
    (row,) = measure(tmp_path, "--short", "--models", model)
    assert row["decisions"] >= decisions
    assert row["keras_accuracy"] > least
    for precision, allowed in (("auto", 1.5), ("int16x8", 1.5), ("int8", 2.5)):
        streamed = row["streamed"][precision]
        assert abs(streamed["accuracy"] - row["keras_accuracy"]) <= allowed
        assert streamed["agreement"] >= 95
        assert streamed["bytes"] < 40_000
