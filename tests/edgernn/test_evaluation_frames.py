"""Labels of every prediction, against scikit-learn on what the pipeline gives."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from edgernn.errors import InputError
from edgernn.evaluation import document, frames
from edgernn.evaluation.runs import QuantizedRun
from edgernn.evaluation.subject import Subject
from edgernn.evaluation.tally import NOTHING
from edgernn.labelled import Span
from edgernn.model import Model
from tests.edgernn.motions import LABELS, VOTE, motion, motion_model
from tests.edgernn.stepfile import build

SPANS = (Span("walk", 1.0, 3.0), Span("sit", 3.0, 6.0), Span("fall", 7.0, 8.0))


def silent(what):
    return lambda done, total: None


def given():
    shifted = tuple(Span(s.label, s.start + 1, s.end + 1) for s in SPANS)
    return [motion(SPANS, clock=True), motion(shifted, group="y", name="n", seed=1)]


def predictions(model, recording):
    """Decisions of a recording's samples, from the pipeline."""
    heard = []
    times = None if recording.times is None else recording.times - recording.times[0]
    model.pipeline("auto", heard.append).push(recording.samples, times)
    return np.concatenate([one.real for one in heard]).argmax(axis=1)


def true_labels(spans, samples):
    """The label of each sample, at 50 Hz."""
    truth = np.full(samples, NOTHING)
    for span in spans:
        truth[round(span.start * 50) : round(span.end * 50)] = LABELS.index(span.label)
    return truth


def test_every_frame_with_a_label_counts():
    model, recordings = motion_model(), given()
    truth, decided, groups = [], [], []
    for recording in recordings:
        best = predictions(model, recording)
        expected = true_labels(recording.spans, 500)
        truth += expected[expected >= 0].tolist()
        decided += best[expected >= 0].tolist()
        groups += [recording.group] * int((expected >= 0).sum())
    found = frames.judge(QuantizedRun(model, "auto"), model, recordings).to_dict(macro_f1=True)
    assert found["count"] == len(truth) == 600
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, decided))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
    confusion = metrics.confusion_matrix(truth, decided, labels=range(4))
    assert found["confusion"] == confusion.tolist()
    assert 0.4 < found["accuracy"] < 1
    right = np.array(truth) == decided
    assert found["groups"]["y"] == pytest.approx(right[np.array(groups) == "y"].mean())


def test_the_latency_of_a_model_is_taken_into_account():
    recordings = given()
    late = motion_model(latency=5)
    for recording in recordings:
        best = predictions(late, recording)
        expected = np.concatenate([np.full(5, NOTHING), true_labels(recording.spans, 495)])
        found = frames.judge(QuantizedRun(late, "auto"), late, [recording])
        counted = expected != NOTHING
        assert found.count == counted.sum()
        assert found.accuracy == pytest.approx((expected == best)[counted].mean())


def test_what_a_vote_believes_is_what_its_events_tell():
    model, recording = motion_model({**VOTE, "ignore": ["sit"]}), given()[0]
    answers = QuantizedRun(model, "auto").push(recording.samples)
    believed = frames.believed(frames.vote_of(model), answers)
    # An event says when a label begins to be believed and when the next one does.
    events = motion_model(VOTE).pipeline("auto").push(recording.samples)
    on = [(LABELS.index(e.label), e.end) for e in events if e.phase == "on"]
    assert len(on) >= 3
    expected = [
        max(((end, label) for label, end in on if end <= t), default=(0, NOTHING))[1]
        for t in (answers.times / 1e6).tolist()
    ]
    assert believed.tolist() == expected
    assert believed[0] == NOTHING


def test_a_gap_makes_the_vote_begin_anew():
    model = motion_model()
    answers = QuantizedRun(model, "auto").push(given()[0].samples)
    believed = frames.believed(frames.vote_of(model), answers._replace(starts=(200,)))
    assert believed[199] != NOTHING
    assert (believed[200:204] == NOTHING).all()
    assert believed[230] != NOTHING


def test_truth_at_the_edges():
    seconds = np.array([0.99, 1.0, 2.99, 3.0, 5.99, 6.0, 6.01, 8.0, 9.0])
    names = [
        LABELS[i] if i != NOTHING else "" for i in frames.truth_at(given()[0], LABELS, seconds)
    ]
    assert names == ["", "walk", "walk", "sit", "sit", "", "", "", ""]


def test_a_label_that_the_model_does_not_have():
    stranger = motion([Span("swim", 0.0, 5.0)], name="s01")
    model = motion_model()
    with pytest.raises(InputError, match=r"s01: labelled 'swim', .* sit, walk, run, fall"):
        frames.judge(QuantizedRun(model, "auto"), model, [stranger])


def test_the_document_has_quantized_float_and_the_vote():
    model = motion_model(dtype="int16")
    exact = Model(build("float32", metadata=model.metadata))
    found = document.frames_document(Subject(model, "auto", exact), given(), silent)
    parts = found["frames"]
    assert set(parts) == {"quantized", "float", "vote"}
    assert parts["float"]["accuracy"] == pytest.approx(parts["quantized"]["accuracy"], abs=0.05)
    assert parts["vote"]["undecided"] <= 20
    trace = found["traces"][0]
    assert trace["kind"] == "sensor"
    assert len(trace["features"][0]) == 4
    assert {span["label"] for span in trace["truth"]} == {"walk", "sit", "fall"}
    with pytest.raises(InputError, match="which label is true when"):
        document.frames_document(Subject(model, "auto"), [motion([])], silent)
