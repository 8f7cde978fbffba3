"""Every layer of Keras is supported or refused by name, and docs/layers.md says which."""

from pathlib import Path

import keras
import pytest

from converters.catalogue import (
    _ABSTRACT,
    is_cell,
    layers,
    markdown,
    options,
    rule_module,
    schedules,
)
from converters.registry import REFUSED
from converters.trace import trace
from edgernn.errors import UnsupportedError

DOCUMENT = Path(__file__).parents[2] / "docs" / "layers.md"


def test_every_layer_is_supported_or_refused():
    neither = [
        name
        for name, layer in layers().items()
        if not rule_module(layer)
        and not is_cell(layer)
        and name not in REFUSED
        and name not in _ABSTRACT
    ]
    assert neither == []


def test_every_refused_name_is_a_layer():
    assert set(REFUSED) <= set(layers())


def test_remedies_are_one_line():
    assert len(list(schedules())) > 6
    remedies = [*REFUSED.values(), *(remedy for _, _, remedy in [*options(), *schedules()])]
    assert all(remedy and "\n" not in remedy for remedy in remedies)


def test_the_document_is_that_of_the_registry():
    assert DOCUMENT.read_text() == markdown(), (
        "run: python -m converters.catalogue > docs/layers.md"
    )


@pytest.mark.parametrize("name", ["RandomCrop", "Conv1DTranspose", "GroupNormalization"])
def test_a_refusal_says_what_to_do(name):
    make = {
        "RandomCrop": lambda: keras.layers.RandomCrop(4, 4),
        "Conv1DTranspose": lambda: keras.layers.Conv1DTranspose(4, 2),
        "GroupNormalization": lambda: keras.layers.GroupNormalization(1),
    }[name]
    shape = (8, 8, 3) if name == "RandomCrop" else (None, 4)
    model = keras.Sequential([keras.Input(shape), make()])
    with pytest.raises(UnsupportedError, match=f"{name}.*{REFUSED[name][:20]}"):
        trace(model)
