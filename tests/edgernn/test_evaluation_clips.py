"""Decisions about clips, against plain formulas on the pipeline's own scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from edgernn.errors import InputError
from edgernn.evaluation import clips, document
from edgernn.evaluation.runs import FloatRun, QuantizedRun, samples_of
from edgernn.evaluation.subject import Subject
from edgernn.evaluation.tally import NOTHING, Tally
from edgernn.labelled import Labelled
from edgernn.model import Model
from tests.edgernn.stepfile import build
from tests.edgernn.tones import FRONT_END, LABELS, RATE, TRIGGER, tone, tone_model, tones


def loud_and_quiet():
    """Some that are easy, and some that are another label's, or nobody's."""
    wrong = replace(tone("a", group="y", seed=7), label="c")
    nobody = Labelled("hiss", np.zeros(2000, np.int16), RATE, "y", "d")
    return [*tones(), wrong, tone("c", group="y", seed=8), nobody]


def real_scores(model, pieces):
    """Scores of each piece of samples, the pipeline never reset between them."""
    found, heard = [], []
    pipeline = model.pipeline("auto", lambda scores: heard.append(scores.real))
    for piece in pieces:
        heard.clear()
        pipeline.push(piece)
        found.append(np.concatenate([np.zeros((0, 4)), *heard]))
    return found


def smoothed(scores, window):
    padded = np.concatenate([np.zeros((window - 1, 4)), scores])
    return np.stack([padded[i : i + window].mean(axis=0) for i in range(len(scores))])


@pytest.mark.parametrize("tail", [0.0, 0.25])
@pytest.mark.parametrize("carried", [False, True])
def test_the_smoothed_score_that_peaks_highest_decides(carried, tail):
    model, given = tone_model(), loud_and_quiet()
    silence = np.zeros(round(RATE * tail), np.int16)
    pieces = [np.concatenate([clip.samples, silence]) for clip in given]
    if carried:
        scores = real_scores(model, pieces)
        whole = smoothed(np.concatenate(scores), TRIGGER["smoothing"])
        parts = np.split(whole, np.cumsum([len(s) for s in scores])[:-1])
    else:
        parts = [smoothed(*real_scores(model, [piece]), TRIGGER["smoothing"]) for piece in pieces]
    expected = np.array([part.max(axis=0).argmax() for part in parts])
    truth = np.array([LABELS.index(c.label) for c in given])

    decision = clips.decision_of(model)
    run = QuantizedRun(model, "auto")
    tally = clips.judge(run, given, decision, carried=carried, tail=tail).to_dict()
    right = expected == truth
    assert 0.5 < right.mean() < 1
    assert tally["accuracy"] == right.mean()
    assert tally["confusion"] == metrics.confusion_matrix(truth, expected, labels=range(4)).tolist()
    for group in ("x", "y"):
        mine = [c.group == group for c in given]
        assert tally["groups"][group] == right[mine].mean()
    if not tail:  # what is left of the clip before it decides about the one in which nothing is
        assert LABELS[expected[-1]] == ("c" if carried else "a")


def test_labels_that_the_trigger_ignores_are_never_decided_on():
    model = tone_model({**TRIGGER, "ignore": ["a"]})
    decision = clips.decision_of(model)
    kept, ignored = clips.decidable(tones(), decision)
    assert ignored == 4
    assert {clip.label for clip in kept} == {"b", "c", "d"}
    # A clip of 'a' alone, called 'b': 'a' is loudest, and must not be chosen.
    disguised = replace(tone("a"), label="b")
    tally = clips.judge(QuantizedRun(model, "auto"), [disguised], decision)
    assert tally.counts[1, 0] == 0


def test_without_a_detector_the_last_scores_decide():
    model = tone_model(None)
    decision = clips.decision_of(model)
    assert not decision.peak
    early, late = tone("a", 0.3).samples, tone("b", 0.3).samples
    both = Labelled("a then b", np.concatenate([early, late]), RATE, "x", "b")
    tally = clips.judge(QuantizedRun(model, "auto"), [both], decision, tail=1.0)
    assert tally.accuracy == 1


def test_a_clip_that_is_too_short_for_a_decision_is_wrong():
    short = replace(tone("a"), samples=np.zeros(10, np.int16))
    decision = clips.decision_of(tone_model())
    tally = clips.judge(QuantizedRun(tone_model(), "auto"), [short], decision, tail=0)
    assert (tally.count, tally.accuracy) == (1, 0)
    assert tally.to_dict()["undecided"] == 1


def test_a_label_that_the_model_does_not_have():
    clip = replace(tone("a"), label="zebra")
    decision = clips.decision_of(tone_model())
    with pytest.raises(InputError, match=r"a_x_0: labelled 'zebra', .* a, b, c, d"):
        clips.judge(QuantizedRun(tone_model(), "auto"), [clip], decision)


def test_float_hears_the_same_features():
    quantized = tone_model(dtype="int16")
    exact = Model(build("float32", metadata=quantized.metadata))
    samples = tone("c").samples
    runs = QuantizedRun(quantized, "auto"), FloatRun(exact, quantized, "auto")
    one, other = (run.push(samples) for run in runs)
    np.testing.assert_array_equal(one.times, other.times)
    x = FRONT_END.features(samples) * 0.75 - 1.5
    h, expected = np.zeros(4), []
    for frame in x:
        h = np.tanh(frame + h)
        expected.append(1 / (1 + np.exp(-h)))
    np.testing.assert_allclose(runs[1].real(other.raw), expected, atol=1e-5)
    np.testing.assert_allclose(runs[0].real(one.raw), expected, atol=0.02)
    np.testing.assert_allclose(runs[1].scores(other.raw), np.array(expected) * 32768, atol=1)


def test_the_document_has_float_beside_quantized():
    quantized = tone_model()
    exact = Model(build("float32", metadata=quantized.metadata))
    subject = Subject(quantized, "auto", exact)
    found = document.clips_document(subject, tones(), 0.5, lambda what: lambda done, total: None)
    assert set(found["clips"]) == {"quantized", "float"}
    for states in found["clips"].values():
        assert {name: one["accuracy"] for name, one in states.items()} == {"reset1": 1, "reset0": 1}


def test_tails_of_recordings_with_times():
    times = np.array([5_000_000, 5_020_000, 5_040_000], np.int64)
    one = Labelled("m", np.arange(6.0).reshape(3, 2), 50.0, "x", times=times)
    samples, stamps = samples_of(one, 0.04)
    assert samples.tolist() == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]
    assert stamps.tolist() == [0, 20_000, 40_000, 60_000, 80_000]


def test_tally_against_scikit_learn():
    random = np.random.default_rng(0)
    for trial in range(20):
        size = int(random.integers(2, 6))
        truth = random.integers(0, size, 50)
        decided = np.where(random.random(50) < 0.6, truth, random.integers(0, size, 50))
        if trial % 2:  # a label that is never true or decided
            size += 1
        tally = Tally([str(i) for i in range(size)])
        tally.add("x", truth[:20], decided[:20])
        tally.add("y", truth[20:], decided[20:])
        assert tally.accuracy == pytest.approx(metrics.accuracy_score(truth, decided))
        assert tally.macro_f1 == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
        found = tally.to_dict(macro_f1=True)
        expected = metrics.confusion_matrix(truth, decided, labels=range(size))
        assert found["confusion"] == expected.tolist()
        assert found["groups"]["y"] == pytest.approx((truth == decided)[20:].mean())


def test_no_decision_lowers_the_recall():
    tally = Tally(["a", "b"])
    tally.add("x", [0, 0, 1, 1], [0, NOTHING, 1, 1])
    assert tally.accuracy == 0.75
    assert tally.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert tally.to_dict()["confusion"] == [[1, 0], [0, 2]]
