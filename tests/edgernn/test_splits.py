"""Nobody is on both sides of a split."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgernn.errors import InputError
from edgernn.labelled import Labelled, Span
from edgernn.labelled.splits import split

SPEAKERS = ("george", "jackson", "nicolas", "yweweler")


def made(groups, labels="ab", takes=10, **fields):
    return [
        Labelled(f"{label}_{group}_{take}", np.zeros(1), 1.0, group, label, **fields)
        for label in labels
        for group in groups
        for take in range(takes)
    ]


def groups(part):
    return {recording.group for recording in part}


def test_by_name():
    recordings = made(SPEAKERS)
    found = split(recordings, test=["george"], validation=["jackson"])
    assert groups(found.test) == {"george"}
    assert groups(found.validation) == {"jackson"}
    assert groups(found.train) == {"nicolas", "yweweler"}
    found = split(recordings, train=["nicolas"], test=["george"], validation=0)
    assert [groups(part) for part in found] == [{"nicolas"}, set(), {"george"}]


def test_few_groups_are_validated_on_by_recording():
    found = split(made(SPEAKERS), test="george", validation=0.2)
    assert groups(found.train) == groups(found.validation) == set(SPEAKERS) - {"george"}
    assert len(found.validation) == 12
    assert {(r.label, r.group) for r in found.validation} == {
        (label, group) for label in "ab" for group in SPEAKERS[1:]
    }
    single = split(made(SPEAKERS, takes=1), test="george", validation=0.2)
    assert len(single.validation) == 0


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(4, 40),
    test=st.one_of(st.none(), st.floats(0.05, 0.4)),
    validation=st.one_of(st.none(), st.floats(0.05, 0.3)),
    seed=st.integers(0, 5),
)
def test_shares(count, test, validation, seed):
    names = [f"p{i}" for i in range(count)]
    recordings = made(names, takes=2)
    first = split(recordings, test=test, validation=validation, seed=seed)
    assert sorted(r.name for part in first for r in part) == sorted(r.name for r in recordings)
    assert not groups(first.test) & (groups(first.train) | groups(first.validation))
    assert len(groups(first.test)) == max(1, round((0.2 if test is None else test) * count))
    if count - len(groups(first.test)) >= 5:
        assert not groups(first.validation) & groups(first.train)
        assert first.validation
    again = split(recordings, test=test, validation=validation, seed=seed)
    assert [[r.name for r in part] for part in again] == [[r.name for r in part] for part in first]


def test_seeds_draw_others():
    recordings = made([f"p{i}" for i in range(20)])
    assert len({frozenset(groups(split(recordings, seed=s).test)) for s in range(5)}) > 1


def test_as_the_data_say():
    recordings = [
        *made(["anna"], part="test"), *made(["ben"], part="validation"), *made(["cleo"]),
        *made(["dan"], part="train"),
    ]  # fmt: skip
    found = split(recordings)
    assert [groups(part) for part in found] == [{"cleo", "dan"}, {"ben"}, {"anna"}]
    assert groups(split(recordings, test=["dan"]).test) == {"dan"}
    with pytest.raises(
        InputError, match=r"^anna: on both sides of the split, in train and in test"
    ):
        split([*recordings, *made(["anna"], part="train")])


ALL = ", ".join(SPEAKERS)
ARE = f"there are {ALL}"
BOTH = (
    "george: on both sides of the split, in {} and in {}: the result would say nothing about others"
)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"test": ["gorge"]}, f"test: there is no group 'gorge', {ARE}; 'george' is meant?"),
        ({"validation": ["9"]}, f"validation: there is no group '9', {ARE}"),
        ({"test": ["george"], "train": SPEAKERS}, BOTH.format("train", "test")),
        (
            {"test": ["george"], "validation": ["george"]},
            BOTH.format("validation", "test"),
        ),
        (
            {"test": SPEAKERS},
            f"no recording is left to train on: {ALL} are all in test or validation",
        ),
        ({"test": 20.0}, "test: a share of 20 is not from 0 to 1: 0.2 is a fifth"),
        (
            {"test": 0.9},
            f"test: 0.9 of 4 group(s) ({ALL}) leaves none to train on: name groups with a "
            "pattern, or record more of them",
        ),
    ],
)
def test_what_is_no_split(options, line):
    with pytest.raises(InputError) as caught:
        split(made(SPEAKERS), **options)
    assert str(caught.value) == line


def test_one_group_alone():
    with pytest.raises(InputError, match=r"test: 0.2 of 1 group\(s\) \(anna\) leaves none"):
        split(made(["anna"]))


def test_a_label_that_nobody_trains():
    recordings = [*made(SPEAKERS), *made(["george"], labels="c")]
    assert split(recordings, test=["george"], labels="ab").test
    with pytest.raises(
        InputError, match="the label 'c' has no recording in the training part: only george"
    ):
        split(recordings, test=["george"], labels="abc")
    spans = [Labelled("x", np.zeros(1), 1.0, "zoe", spans=(Span("c", 0, 1),))]
    assert split([*recordings, *spans], test=["george"], labels="abc").test


def test_background_is_trained_on():
    noise = [Labelled(f"noise{i}", np.zeros(1), 1.0, f"noise{i}") for i in range(9)]
    found = split([*made(SPEAKERS), *noise], test=0.25, validation=0.1)
    assert [r.name for r in found.train if r.label is None] == [r.name for r in noise]
    assert len(groups(found.test)) == 1
    assert groups(found.validation) < set(SPEAKERS)
    with pytest.raises(InputError, match="no recording is left to train on"):
        split([*made(SPEAKERS), *noise], test=SPEAKERS)
