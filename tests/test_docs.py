"""What the documentation shows is what the program takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edgernn import detectors, frontends
from edgernn.detectors import Facts
from edgernn.tflite import Tensor

DOCUMENT = (Path(__file__).parents[1] / "docs" / "pipeline.md").read_text()
BLOCKS = re.findall(r"```toml\n# (front end|detector)\n(.*?)```", DOCUMENT, re.DOTALL)

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 reads no TOML")


@pytest.mark.parametrize(("what", "text"), BLOCKS, ids=lambda t: t.split("\n")[0][:30])
def test_configurations_in_the_documentation(what, text):
    import tomllib

    config = tomllib.loads(text)
    if what == "front end":
        made = frontends.read(config)
        assert frontends.read(made.config()) == made
        return
    labels = ("silence", "unknown", "stop") if config["kind"] != "anomaly" else ()
    tensor = Tensor(0, "t", (1, 3), "int8", (1 / 256,), (-128,))
    made = detectors.read(config, Facts(labels, tensor, tensor, 100.0))
    assert made.config() == config


def test_every_kind_is_documented():
    assert [what for what, _ in BLOCKS] == ["front end"] * 3 + ["detector"] * 3


def test_settings_in_the_documentation():
    import tomllib

    from converters.training.settings import FitSettings, resolve

    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    (block,) = re.findall(r"```toml\n# training\n(.*?)```", text, re.DOTALL)
    document = tomllib.loads(block)
    settings = resolve("keyword", document)
    assert settings.fit == FitSettings()
    assert set(document["fit"]) == set(FitSettings.__dataclass_fields__)
