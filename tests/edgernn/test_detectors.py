"""Detectors against plain per-prediction formulas, for any split into pushes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn import detectors
from edgernn.detectors import Facts
from edgernn.detectors.anomaly import calibrate_threshold
from edgernn.errors import InputError
from edgernn.metadata import Normalisation
from edgernn.tflite import Tensor

LABELS = ("silence", "yes", "no")
RATE = 100.0
SOME = settings(max_examples=60, deadline=None)


def tensor(size, dtype="int8", scale=1 / 256, zero_point=-128):
    return Tensor(0, "t", (1, size), dtype, (scale,), (zero_point,))


def facts(outputs=3, labels=LABELS, x=None, y=None, normalisation=None):
    y = y or tensor(outputs)
    return Facts(labels, x or tensor(4, scale=0.1, zero_point=3), y, RATE, normalisation)


def raw(probabilities):
    return np.clip(np.rint(np.asarray(probabilities) * 256) - 128, -128, 127).astype(np.int8)


def times(n, first=0):
    return (np.arange(first, first + n) + 1) * 10_000


def rises(random, n, outputs=3):
    """Probabilities that rise and fall slowly, with noise."""
    walk = np.cumsum(random.normal(0, 0.15, (n, outputs)), axis=0)
    return raw(np.abs((walk + random.normal(0, 0.05, walk.shape) + 1) % 2 - 1))


def pushed(detector, predictions, stamps, cuts=(), frames=None, through_blobs=False):
    stream, found, start = detector.stream(), [], 0
    for end in [*sorted(cuts), len(predictions)]:
        part = slice(start, end)
        if end > start:
            frame = None if frames is None else frames[part]
            found += stream.push(predictions[part], stamps[part], frame)
        if through_blobs:
            saved, stream = stream.save(), detector.stream()
            stream.restore(saved)
        start = end
    return found


# The trigger.


def plain_trigger(config, predictions, stamps):
    """Event tuples by the words of the documentation, one prediction at a time."""
    p = (predictions.astype(int) + 128) * 128
    n = config.get("smoothing", 1)
    padded = np.concatenate([np.zeros((n - 1, p.shape[1]), int), p])
    sums = [padded[i : i + n].sum(axis=0) for i in range(len(p))]
    settings_of = {
        label: {**config, **config.get("labels", {}).get(label, {})}
        for label in LABELS
        if label not in config.get("ignore", ())
    }
    found, fired, last = [], dict.fromkeys(settings_of, -(10**9)), -(10**9)
    armed, above = dict.fromkeys(settings_of, True), dict.fromkeys(settings_of, 0)
    rise = dict.fromkeys(settings_of)
    active, peak = dict.fromkeys(settings_of, False), dict.fromkeys(settings_of, 0)
    for t, total in enumerate(sums):
        ready = []
        for label, own in settings_of.items():
            value = int(total[LABELS.index(label)])
            limit = round(own["threshold"] * 32768 * n)
            release = round(own.get("release", 0.6 * own["threshold"]) * 32768 * n)
            if value < release:
                if active[label] and config.get("report") == "both":
                    score = (peak[label] + n // 2) // n
                    found.append((label, score, rise[label], stamps[t], "off"))
                armed[label], active[label], rise[label], above[label] = True, False, None, 0
                continue
            if rise[label] is None:
                rise[label], peak[label] = stamps[t], 0
            peak[label] = max(peak[label], value)
            above[label] = above[label] + 1 if value >= limit else 0
            wait = round(own.get("refractory", 0) * RATE)
            pause = round(config.get("pause", 0) * RATE)
            long_enough = above[label] >= max(1, round(own.get("minimum", 0) * RATE))
            rested = t - fired[label] >= wait and t - last >= pause
            if armed[label] and long_enough and rested:
                ready.append((-value, LABELS.index(label), label))
        if ready:
            value, _, label = min(ready)
            found.append((label, (-value + n // 2) // n, rise[label], stamps[t], "on"))
            armed[label], active[label], fired[label], last = False, True, t, t
    return found


def told(events):
    return [
        (e.label, round(e.score * 32768), round(e.start * 1e6), round(e.end * 1e6), e.phase)
        for e in events
    ]


TRIGGERS = st.fixed_dictionaries(
    {"threshold": st.sampled_from([0.4, 0.6, 0.8])},
    optional={
        "release": st.sampled_from([0.0, 0.2, 0.4]),
        "smoothing": st.integers(1, 9),
        "minimum": st.sampled_from([0.0, 0.02, 0.05]),
        "refractory": st.sampled_from([0.0, 0.07, 0.4]),
        "pause": st.sampled_from([0.0, 0.05, 0.3]),
        "report": st.sampled_from(["on", "both"]),
        "ignore": st.just(["silence"]),
        "labels": st.just({"no": {"threshold": 0.7, "refractory": 0.1}}),
    },
)


@SOME
@given(TRIGGERS, st.integers(0, 1 << 30), st.lists(st.integers(0, 300), max_size=6), st.booleans())
def test_trigger(config, seed, cuts, through_blobs):
    predictions, stamps = rises(np.random.default_rng(seed), 300), times(300)
    detector = detectors.read({"kind": "trigger", **config}, facts())
    events = pushed(detector, predictions, stamps, cuts, through_blobs=through_blobs)
    assert told(events) == plain_trigger(config, predictions, stamps)


def test_one_word_is_one_event():
    p = np.zeros((200, 3))
    p[50:80, 1] = 0.9
    p[60, 1] = 0.55  # a dip above the release
    config = {"kind": "trigger", "threshold": 0.8, "smoothing": 3, "refractory": 0.5}
    (event,) = pushed(detectors.read(config, facts()), raw(p), times(200))
    assert (event.label, event.phase) == ("yes", "on")
    assert 0.5 <= event.start < event.end <= 0.54
    assert event.score >= 0.8


def test_scores_of_int16_and_odd_scales():
    y = tensor(3, "int16", 1 / 32768, 0)
    detector = detectors.read({"kind": "trigger", "threshold": 0.5}, facts(y=y))
    (event,) = pushed(detector, np.array([[0, 20000, 0]], np.int16), times(1))
    assert event.score == 20000 / 32768


# The majority.


def plain_majority(config, predictions, stamps):
    p = (predictions.astype(int) + 128) * 128
    window, minimum = round(config["window"] * RATE), max(1, round(config["minimum"] * RATE))
    votes = p.argmax(axis=1)
    found, believed, lead, candidate, begun, scores = [], None, 0, None, 0, []
    for t in range(len(p)):
        counts = np.bincount(votes[max(0, t - window + 1) : t + 1], minlength=3)
        winner = int(counts.argmax())
        if winner != believed:
            if winner != candidate:
                candidate, lead, since = winner, 0, stamps[t]
            lead += 1
            if lead == minimum:
                if believed is not None and LABELS[believed] not in config["ignore"]:
                    mean = int(np.sum(scores)) // len(scores)
                    found.append((LABELS[believed], mean, begun, since, "off"))
                if LABELS[winner] not in config["ignore"]:
                    share = int(counts[winner]) * 32768 // window
                    found.append((LABELS[winner], share, since, stamps[t], "on"))
                believed, begun, scores, candidate = winner, since, [], None
        else:
            candidate = None
        if believed is not None:
            scores.append(p[t, believed])
    return found


@SOME
@given(
    st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([0.0, 0.03, 0.1]),
    st.sampled_from([(), ("silence",)]), st.integers(0, 1 << 30),
    st.lists(st.integers(0, 300), max_size=6), st.booleans(),
)  # fmt: skip
def test_majority(window, minimum, ignore, seed, cuts, through_blobs):
    config = {"window": window, "minimum": minimum, "ignore": ignore}
    predictions, stamps = rises(np.random.default_rng(seed), 300), times(300)
    detector = detectors.read({"kind": "majority", **config}, facts())
    events = pushed(detector, predictions, stamps, cuts, through_blobs=through_blobs)
    assert told(events) == plain_majority(config, predictions, stamps)


# Anomalies.


@pytest.mark.parametrize("horizon", [0, 1, 7])
@pytest.mark.parametrize("over", ["mean", "max"])
@pytest.mark.parametrize("normalisation", [None, Normalisation((0.5, 2.0), (1.0, -3.0))])
def test_anomaly_scores_are_the_residuals(horizon, over, normalisation):
    random = np.random.default_rng(0)
    x = tensor(2, "int16", 2**-11, 0)
    y = tensor(2, "int8", 0.04, 5)
    real = np.clip(random.normal(0, 1, (400, 2)), -4, 4)
    gain, offset = ((1, 1), (0, 0)) if normalisation is None else (
        normalisation.scale, normalisation.offset,
    )  # fmt: skip
    frames = np.rint((real * gain + offset) / 2**-11).astype(np.int16)
    predictions = np.clip(np.rint(real / 0.04) + 5, -128, 127).astype(np.int8)
    predictions = np.roll(predictions, -horizon, axis=0)  # forecasts that are right
    predictions[200:] += 9
    config = {"kind": "anomaly", "threshold": 0.2, "horizon": horizon, "over": over}
    detector = detectors.read(config, facts(x=x, y=y, normalisation=normalisation))
    sums = detector.stream().scores(predictions, frames)
    shifted = np.roll((predictions - 5.0) * 0.04, horizon, axis=0)
    apart = np.abs((frames * 2**-11 - offset) / gain - shifted)
    expected = apart.max(axis=1) if over == "max" else apart.mean(axis=1)
    got = sums / detector.many * detector.unit
    np.testing.assert_allclose(got[horizon:], expected[horizon:], atol=0.01)
    assert not got[:horizon].any()
    events = pushed(detector, predictions, times(400), frames=frames)
    assert events[0].phase == "on"
    assert 2.0 < events[0].start < 2.1


@SOME
@given(
    st.integers(0, 4), st.integers(1, 6), st.sampled_from([0.0, 0.03]),
    st.sampled_from([0.0, 0.05]), st.integers(0, 1 << 30),
    st.lists(st.integers(0, 200), max_size=6), st.booleans(),
)  # fmt: skip
def test_anomalies_begin_and_end(horizon, smoothing, minimum, merge, seed, cuts, blobs):
    random = np.random.default_rng(seed)
    x = tensor(2, "int8", 0.05, 0)
    detector = detectors.read(
        {
            "kind": "anomaly", "threshold": 2.0, "release": 1.5, "horizon": horizon,
            "smoothing": smoothing, "minimum": minimum, "merge": merge,
        },
        facts(x=x, y=x),
    )  # fmt: skip
    frames = np.clip(random.normal(0, 30, (200, 2)), -128, 127).astype(np.int8)
    frames[np.arange(200) // 20 % 2 == 1] //= 4
    predictions, stamps = np.zeros_like(frames), times(200)
    apart = np.abs(frames.astype(int)).sum(axis=1)
    apart[:horizon] = 0
    sums = np.convolve(apart, np.ones(smoothing, int))[:200] * 0.05 / smoothing / 2
    active, above, below, expected = False, 0, 0, []
    for t, score in enumerate(sums):
        if score >= 2.0 - 1e-9:
            if not above and not active:
                rise = stamps[t]
            above += 1
        else:
            above = 0
        below, last = (0, stamps[t]) if score >= 1.5 - 1e-9 else (below + 1, locals().get("last"))
        if not active and above >= max(1, round(minimum * RATE)):
            active = True
            expected.append((rise, stamps[t], "on"))
        elif active and below >= max(1, round(merge * RATE)):
            active = False
            expected.append((rise, last, "off"))
    events = pushed(detector, predictions, stamps, cuts, frames, blobs)
    assert [t[2:] for t in told(events)] == expected


def test_calibrated_threshold():
    random = np.random.default_rng(0)
    normal = [np.abs(random.normal(0, 1, 360_000)) for _ in range(4)]  # an hour each
    limit = calibrate_threshold(normal, RATE, per_hour=2.0)
    alarms = sum(int(((one[1:] >= limit) & (one[:-1] < limit)).sum()) for one in normal)
    assert 6 <= alarms <= 8
    assert calibrate_threshold([np.ones(100)], RATE) == pytest.approx(1.1)


# What is wrong with a configuration.


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "kind None"),
        ({"kind": "wish"}, "'wish' is not one of trigger"),
        ({"kind": "trigger", "treshold": 1}, "no field 'treshold'"),
        ({"kind": "trigger", "threshold": "high"}, "must be a number"),
        ({"kind": "trigger", "threshold": 0.5, "release": 0.6}, r"release 0.6 is above"),
        ({"kind": "trigger", "labels": {"maybe": {}}}, "no label 'maybe'; it has silence, yes, no"),
        ({"kind": "trigger", "labels": {"yes": {"pause": 1}}}, "label 'yes': there is no field"),
        ({"kind": "trigger", "refractory": -1}, "refractory -1 is not between"),
        ({"kind": "trigger", "smoothing": 1.5}, "not a whole number"),
        ({"kind": "trigger", "ignore": list(LABELS)}, "every label is ignored"),
        ({"kind": "trigger", "report": "all"}, "'all' is not one of on, both"),
        ({"kind": "majority", "window": 0}, "window is 0 predictions"),
        ({"kind": "majority", "ignore": "silence"}, "must be a list"),
        ({"kind": "anomaly"}, "no threshold"),
        ({"kind": "anomaly", "threshold": 1}, "3 values for frames of 4"),
        ({"kind": "anomaly", "threshold": 1, "elements": [0, 1, 4]}, "numbers from 0 to 3"),
    ],
)
def test_wrong_fields_are_named(config, words):
    with pytest.raises(InputError, match=words):
        detectors.read(config, facts())


def test_configurations_come_back():
    for config in (
        {"kind": "trigger", "threshold": 0.7, "labels": {"no": {"threshold": 0.9}}},
        {"kind": "majority", "window": 0.5},
    ):
        assert detectors.read(config, facts()).config() == config


def test_floats_are_refused():
    with pytest.raises(InputError, match="takes integers"):
        detectors.read({"kind": "trigger"}, facts(y=tensor(3, "float32", 1.0, 0)))
