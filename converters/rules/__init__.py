"""The rules that come with edgernn, one module per kind of layer; importing this registers them."""

from converters.rules import (
    activation,
    dense,
    merge,
    normalization,
    passthrough,
    recurrent,
    refused,
    wrappers,
)

__all__ = [
    "activation",
    "dense",
    "merge",
    "normalization",
    "passthrough",
    "recurrent",
    "refused",
    "wrappers",
]
