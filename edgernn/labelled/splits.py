"""Who is trained on, who tunes, and who judges: splits by group."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np

from edgernn.errors import InputError
from edgernn.labelled import Labelled

Part = Collection[str] | float | None
"""Groups by name, a share of them, or None: what the data say, or a default."""

TEST: Final = 0.2
VALIDATION: Final = 0.15
FEW: Final = 5
"""With fewer groups than this beside those of the test, validation is by recording."""


class Split(NamedTuple):
    """Recordings of each part, in the order in which they were given."""

    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]


def split(
    recordings: Sequence[Labelled],
    *,
    test: Part = None,
    validation: Part = None,
    train: Collection[str] | None = None,
    seed: int = 0,
    labels: Collection[str] = (),
) -> Split:
    """Split by group, so that nobody is in two parts.

    Where the recordings say their `part` and neither `test` nor `validation` is given, that is it.
    A share is of the groups, drawn with the seed: at least one of them, unless it is 0. A share for
    validation is by recording, from each group and label alike, where fewer than five groups are
    left beside the test's: to lose a whole one would cost more than it tells. Background, which has
    no label where others have one, is always trained on.

    Args:
        recordings: all of them.
        test: the groups of the test, or their share; 0.2 by default.
        validation: the same of validation; 0.15 by default.
        train: the groups to train on; all others by default. With it, groups in no part are left
            out.
        seed: of what is drawn.
        labels: those that the model is to know; each needs a recording to train on.

    Raises:
        InputError: a group is not there or in two parts; a part is empty or no share; a label has
            no recording in the training part.
    """
    if test is None and validation is None and train is None and _told(recordings):
        made = _as_told(recordings)
    else:
        made = _drawn(recordings, test, validation, train, seed)
    for label in labels:
        if not any(_has(recording, label) for recording in made.train):
            where = sorted({r.group for r in recordings if _has(r, label)})
            found = f"only {_some(where)} have it" if where else "nobody has it"
            raise InputError(
                f"the label '{label}' has no recording in the training part: {found}; choose other "
                "groups for test and validation, or leave the label out"
            )
    return made


def _drawn(
    recordings: Sequence[Labelled],
    test: Part,
    validation: Part,
    train: Collection[str] | None,
    seed: int,
) -> Split:
    background = _background(recordings)
    groups = sorted({r.group for n, r in enumerate(recordings) if n not in background})
    rng = np.random.default_rng(seed)
    named = {
        "test": _named("test", test, groups),
        "validation": _named("validation", validation, groups),
        "train": _named("train", train, groups),
    }
    _refuse_both_sides(named)
    free = [group for group in groups if not any(group in chosen for chosen in named.values())]
    if test is None or isinstance(test, (int, float)):
        named["test"] = _share("test", TEST if test is None else test, groups, free, rng)
        free = [group for group in free if group not in named["test"]]
    share = VALIDATION if validation is None else validation
    rows: set[int] = set()
    if isinstance(share, (int, float)):
        left = sorted(named["train"]) if train is not None else free
        if len(left) >= FEW and train is None:
            named["validation"] = _share("validation", share, groups, free, rng)
        else:
            rows = _rows(recordings, set(left), share, rng)
    if train is None:
        named["train"] = set(groups) - named["test"] - named["validation"]
    made = Split([], [], [])
    for number, recording in enumerate(recordings):
        if number in background:
            made.train.append(recording)
        elif number in rows or recording.group in named["validation"]:
            made.validation.append(recording)
        elif recording.group in named["test"]:
            made.test.append(recording)
        elif recording.group in named["train"]:
            made.train.append(recording)
    if len(made.train) == len(background):
        raise InputError(
            f"no recording is left to train on: {_some(groups)} are all in test or validation"
        )
    return made


def _background(recordings: Sequence[Labelled]) -> set[int]:
    without = {n for n, one in enumerate(recordings) if one.label is None and not one.spans}
    return without if any(one.label is not None for one in recordings) else set()


def _named(part: str, chosen: Part, groups: Sequence[str]) -> set[str]:
    if chosen is None or isinstance(chosen, (int, float)):
        return set()
    chosen = [chosen] if isinstance(chosen, str) else chosen
    for name in chosen:
        if name not in groups:
            near = difflib.get_close_matches(name, groups, 1)
            hint = f"; '{near[0]}' is meant?" if near else ""
            raise InputError(f"{part}: there is no group '{name}', there are {_some(groups)}{hint}")
    return set(chosen)


def _refuse_both_sides(named: dict[str, set[str]]) -> None:
    for first, second in (("train", "test"), ("train", "validation"), ("validation", "test")):
        if both := sorted(named[first] & named[second]):
            raise InputError(
                f"{_some(both)}: on both sides of the split, in {first} and in {second}: the "
                "result would say nothing about others"
            )


def _share(
    part: str, share: float, groups: Sequence[str], free: Sequence[str], rng: np.random.Generator
) -> set[str]:
    _check(part, share)
    count = max(1, round(share * len(groups))) if share else 0
    if count and count >= len(free):
        raise InputError(
            f"{part}: {share:g} of {len(groups)} group(s) ({_some(groups)}) leaves none to train "
            "on: name groups with a pattern, or record more of them"
        )
    return {free[i] for i in rng.permutation(len(free))[:count]}


def _rows(
    recordings: Sequence[Labelled], groups: set[str], share: float, rng: np.random.Generator
) -> set[int]:
    """A share of the recordings of each group and label; never the last one of either."""
    _check("validation", share)
    alike: dict[tuple[str, str | None], list[int]] = {}
    for number, recording in enumerate(recordings):
        if recording.group in groups:
            alike.setdefault((recording.group, recording.label), []).append(number)
    chosen: set[int] = set()
    carried = 0.0  # so that many small sets give their share together
    for numbers in alike.values():
        carried += share * len(numbers)
        count = min(math.floor(carried + 0.5), len(numbers) - 1)
        carried -= count
        chosen |= {numbers[i] for i in rng.permutation(len(numbers))[:count]}
    return chosen


def _check(part: str, share: float) -> None:
    if not 0 <= share < 1:
        raise InputError(f"{part}: a share of {share:g} is not from 0 to 1: 0.2 is a fifth")


def _told(recordings: Sequence[Labelled]) -> bool:
    return {"train", "test"} <= {recording.part for recording in recordings}


def _as_told(recordings: Sequence[Labelled]) -> Split:
    named: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    made = Split([], [], [])
    for recording in recordings:
        part = recording.part or "train"
        named[part].add(recording.group)
        getattr(made, part).append(recording)
    _refuse_both_sides(named)
    return made


def _has(recording: Labelled, label: str) -> bool:
    return recording.label == label or any(span.label == label for span in recording.spans)


def _some(names: Collection[str], most: int = 8) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:most]) + (
        f" and {len(ordered) - most} more" if len(ordered) > most else ""
    )
