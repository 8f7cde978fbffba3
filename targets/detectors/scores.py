"""What turns raw predictions into scores, as C."""

from __future__ import annotations

from edgernn.detectors.scores import Scorer


def scorer(scorer: Scorer) -> str:
    """The constant `scorer`."""
    return (
        f"static const edgernn_scorer_t scorer = {{{scorer.multiplier}, {scorer.shift}, "
        f"{scorer.zero_point}}};"
    )
