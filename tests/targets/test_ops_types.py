"""Operators that change the type of a tensor, against the reference interpreter."""

from __future__ import annotations

import itertools

import pytest

from tests.targets.build import TYPES, Builder
from tests.targets.test_ops import exact

INTEGERS = ["int8", "int16", "int32"]


@pytest.mark.parametrize(("source", "target"), itertools.permutations(INTEGERS, 2))
def test_cast_keeps_the_lowest_bits(source, target):
    b = Builder()
    x = b.tensor("x", (1, 33), source, 0.1)
    out = b.tensor("out", (1, 33), target, 0.1)
    b.op("CAST", [x], [out], inDataType=TYPES[source], outDataType=TYPES[target])
    exact(b.finish([x], [out]))
