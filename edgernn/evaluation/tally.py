"""Right and wrong, counted: accuracy, macro-F1, confusion, by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import InputError

NOTHING = -1
"""What was decided where there was no decision; always wrong."""


class Tally:
    """Decisions about things whose label is known, counted by group."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._counts: dict[str, npt.NDArray[np.int64]] = {}

    def add(self, group: str, truth: npt.ArrayLike, decided: npt.ArrayLike) -> None:
        """Positions of labels, `(n,)` each; `decided` may hold `NOTHING`."""
        size = len(self.labels)
        # The last column, which -1 points to, is for no decision.
        counts = self._counts.setdefault(group, np.zeros((size, size + 1), np.int64))
        np.add.at(counts, (np.atleast_1d(truth), np.atleast_1d(decided)), 1)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Of all groups: truth by row, decisions by column, the last for no decision."""
        empty = np.zeros((len(self.labels), len(self.labels) + 1), np.int64)
        return sum(self._counts.values(), start=empty)

    @property
    def count(self) -> int:
        """How many."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share that was right; of nothing, NaN."""
        return _accuracy(self.counts)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the labels that were true or decided at least once."""
        counts = self.counts
        right = np.diagonal(counts).astype(np.float64)
        both = counts.sum(axis=1) + counts[:, :-1].sum(axis=0)
        seen = both > 0
        return float((2 * right[seen] / both[seen]).mean()) if seen.any() else float("nan")

    def to_dict(self, macro_f1: bool = False) -> dict[str, Any]:
        """As the evaluation document has it."""
        counts = self.counts
        return {
            "accuracy": self.accuracy,
            **({"macro_f1": self.macro_f1} if macro_f1 else {}),
            "count": self.count,
            "undecided": int(counts[:, -1].sum()),
            "confusion": counts[:, :-1].tolist(),
            "groups": {group: _accuracy(self._counts[group]) for group in sorted(self._counts)},
        }


def _accuracy(counts: npt.NDArray[np.int64]) -> float:
    total = int(counts.sum())
    return int(np.trace(counts)) / total if total else float("nan")


def position(labels: Sequence[str], name: str, where: str) -> int:
    """Which label of the model a true one is.

    Raises:
        InputError: the model has no such label.
    """
    if name not in labels:
        raise InputError(
            f"{where}: labelled '{name}', and the model's labels are {', '.join(labels) or 'none'}"
        )
    return list(labels).index(name)
