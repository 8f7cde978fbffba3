"""A cut of `benchmarks/parity.py`: one model of each precision, everywhere it can run."""

from __future__ import annotations

import pytest

from benchmarks import parity


@pytest.mark.slow
@pytest.mark.parametrize("precision", parity.PRECISIONS)
def test_one_model_is_equal_everywhere(precision):
    data = parity.convert("stacked", precision)
    rows, _ = parity.run(parity.Job("stacked", precision, data, 3000, 60, 20))
    assert [r.where for r in rows if r.first_difference is not None] == []
    assert sum(r.steps > 0 for r in rows) >= 1 + 5 + len(parity.LEVELS)
