"""Events against the truth: matching, curves that are what the device does, chosen thresholds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn import detectors
from edgernn.detectors.scores import windowed
from edgernn.errors import InputError
from edgernn.evaluation import event_document, events
from edgernn.evaluation.events import Point, match, with_thresholds
from edgernn.evaluation.firings import Recorded
from edgernn.evaluation.listening import hear_recordings, hear_stream
from edgernn.evaluation.runs import QuantizedRun
from edgernn.evaluation.streams import LongStream, Scene
from edgernn.evaluation.subject import Subject
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.labelled import Labelled, Span
from edgernn.metadata import Input
from edgernn.model import Model
from edgernn.pipeline import detector_of, facts_of
from tests.edgernn.stepfile import build
from tests.edgernn.test_detectors import SOME, TRIGGERS, facts, pushed, rises, times
from tests.edgernn.tones import FRONT_END, RATE, TRIGGER, tone, tone_model, tones


def silent(what):
    return lambda done, total: None


# Firings: the detector itself is the reference.


@SOME
@given(TRIGGERS, st.integers(0, 10_000), st.sampled_from([1, 40, 400]))
def test_firings_are_those_of_the_detector(config, seed, n):
    trigger = detectors.read({"kind": "trigger", **config, "report": "on"}, facts())
    predictions = rises(np.random.default_rng(seed), n)
    scores = trigger.scorer(predictions[:, [label.output for label in trigger.labels]])
    before = np.zeros((trigger.smoothing - 1, scores.shape[1]), np.int64)
    recorded = Recorded(times(n), windowed(scores, before))
    names = [label.name for label in trigger.labels]
    for _ in range(2):  # the second time from what it remembers
        found = [(names[one.label], times(n)[one.row] / 1e6) for one in recorded.firings(trigger)]
        expected = pushed(trigger, predictions, times(n))
        assert found == [(event.label, event.end) for event in expected]


# Matching.


SPANS = [Span("a", 1.0, 1.5), Span("a", 3.0, 3.5), Span("a", 3.8, 4.2)]


@pytest.mark.parametrize(
    ("moments", "hits", "misses", "false_accepts"),
    [
        ([], [], [0, 1, 2], []),
        ([1.2, 3.4, 4.0], [(0, 0), (1, 1), (2, 2)], [], []),
        ([1.0, 2.0], [(0, 0)], [1, 2], [1]),  # the second one is for the same word
        ([0.99, 2.01], [], [0, 1, 2], [0, 1]),  # too early; later than 0.5 s behind the end
        ([2.0], [(0, 0)], [1, 2], []),
        ([3.9, 3.95], [(0, 1), (1, 2)], [0], []),  # both words may have brought either
        ([3.9, 3.95, 4.0], [(0, 1), (1, 2)], [0], [2]),
        ([9.0], [], [0, 1, 2], [0]),
    ],
)
def test_matching(moments, hits, misses, false_accepts):
    found = match(moments, SPANS, 0.5)
    assert list(found.hits) == hits
    assert list(found.misses) == misses
    assert list(found.false_accepts) == false_accepts


@SOME
@given(
    st.lists(st.integers(0, 60), max_size=12),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 4)), max_size=8),
    st.integers(0, 3),
)
def test_every_event_and_every_span_is_counted_once(moments, words, tolerance):
    spans = [Span("a", start, start + length) for start, length in sorted(words)]
    moments = sorted(moments)
    found = match(moments, spans, tolerance)
    used = [event for event, _ in found.hits] + list(found.false_accepts)
    assert sorted(used) == list(range(len(moments)))
    met = [span for _, span in found.hits] + list(found.misses)
    assert sorted(met) == list(range(len(spans)))
    for event, span in found.hits:
        assert spans[span].start <= moments[event] <= spans[span].end + tolerance


# Curves.


def stream_of(groups=("x",), hours=0.05, seed=0):
    clips = tones(groups)
    # Quiet ones are missed at high thresholds, and short ones by the smoothing.
    clips += [tone("a", 0.12, level, "x", f"a{level}") for level in (500, 800, 1100)]
    scene = Scene(hours, 20.0, (0.3, 0.8), 1.0, ("silence", "pink"), seed)
    return LongStream(clips, scene, ["a"])


def device(model, stream, threshold):
    """Seconds of the events of 'a' that a model with this threshold gives, on the device's way."""
    fields = with_thresholds(model.metadata.detector, {"a": threshold})
    pipeline = tone_model({"kind": "trigger", **fields}).pipeline("auto")
    found = []
    for section in stream:
        found += [e.end for e in pipeline.push(section.samples) if e.label == "a"]
    return found


def test_points_of_a_curve_are_what_the_device_does():
    model = tone_model({**TRIGGER, "pause": 0.4, "labels": {"b": 0.65}})
    stream = stream_of()
    trigger = detector_of(model, FRONT_END)
    heard = hear_stream(QuantizedRun(model, "auto"), trigger, stream)
    spans = [s for section in stream for s in section.spans if s.label == "a"]
    tried = [0.3, 0.55, 0.6, 0.69]
    points = events.curve(heard, trigger, facts_of(model, FRONT_END), "a", tried)
    assert len({point.misses for point in points}) > 1
    for point in points:
        moments = device(model, stream, point.threshold)
        found = match(moments, spans)
        assert (point.misses, point.keywords) == (len(found.misses), len(spans))
        assert point.false_accepts == len(found.false_accepts)
        assert point.false_reject_rate == len(found.misses) / len(spans)
        hours = stream.seconds / 3600
        assert point.false_accepts_per_hour == pytest.approx(len(found.false_accepts) / hours)


def test_delays_are_from_the_end_of_a_word():
    model = tone_model()
    trigger = detector_of(model, FRONT_END)
    one = tone("b", 0.4)
    silence = np.zeros(RATE, np.int16)
    samples = np.concatenate([silence, one.samples, silence])
    recording = Labelled("r", samples, RATE, "x", spans=(Span("b", 1.0, 1.4),))
    heard = hear_recordings(QuantizedRun(model, "auto"), trigger, [recording, recording])
    (event,) = model.pipeline("auto").push(samples)
    np.testing.assert_allclose(events.delays(heard, trigger, "b"), [event.end - 1.4] * 2)
    assert heard.seconds == pytest.approx(4.8)
    assert heard.piece(3602.5).start == pytest.approx(3602.4)


def test_gaps_of_a_sensor_begin_a_new_part():
    front_end = SensorFrontEnd(50, tuple("pqrs"), 0.001, policy="reset", max_gap=0.5)
    document = tone_model().metadata
    document = replace(document, front_end=front_end.config(), inputs=(Input(),))
    model = Model(build(metadata=document))
    stamps = np.arange(200, dtype=np.int64) * 20_000
    stamps[90:] += 3_000_000
    samples = np.sin(np.arange(200)[:, np.newaxis] / [9, 11, 13, 15])
    recording = Labelled("m", samples, 50.0, "x", spans=(Span("a", 0.0, 1.0),), times=stamps)
    trigger = detector_of(model, front_end)
    heard = hear_recordings(QuantizedRun(model, "auto"), trigger, [recording])
    assert len(heard.parts) == 2
    told = [(e.label, e.end) for e in model.pipeline("auto").push(samples, stamps)]
    found = [
        (trigger.labels[one.label].name, part.times[one.row] / 1e6)
        for part in heard.parts
        for one in part.firings(trigger)
    ]
    assert len(told) > 2
    assert found == told


def test_thresholds_reach_from_the_lowest_to_the_highest_peak():
    model = tone_model()
    trigger = detector_of(model, FRONT_END)
    heard = hear_stream(QuantizedRun(model, "auto"), trigger, stream_of())
    tried = events.thresholds(heard, trigger, "a")
    points = events.curve(heard, trigger, facts_of(model, FRONT_END), "a", tried)
    assert tried == sorted(set(tried))
    highest = max(part.sums[:, 0].max() for part in heard.parts) / 32768 / trigger.smoothing
    assert highest - 1e-3 < tried[-1] <= highest
    assert points[-1].misses > points[len(points) // 2].misses


# Choosing.


def point(threshold, misses, false_accepts):
    return Point(threshold, misses / 100, float(false_accepts), misses, false_accepts, 100)


def test_the_fewest_misses_among_the_quiet_ones_are_chosen():
    points = [point(0.2, 0, 30), point(0.4, 3, 1), point(0.5, 3, 0), point(0.6, 3, 0)]
    assert events.choose([*points, point(0.8, 9, 0)], 1.0) == points[3]
    assert events.choose(points, 50) == points[0]
    loud = [point(0.2, 0, 30), point(0.4, 50, 7)]
    assert events.choose(loud, 1.0) == loud[1]


def test_a_release_is_never_above_the_threshold():
    fields = {"kind": "trigger", "threshold": 0.8, "release": 0.6, "labels": {"b": 0.7}}
    assert with_thresholds(fields, {"a": 0.5, "b": 0.9}) == {
        "threshold": 0.8,
        "release": 0.6,
        "labels": {"a": {"threshold": 0.5, "release": 0.5}, "b": {"threshold": 0.9}},
    }


def test_thresholds_are_chosen_on_one_split_and_reported_on_another():
    model = tone_model()
    others = [tone("a", 0.12, level, "y", f"y{level}") for level in (400, 600, 1000)]
    chosen_on = [*tones(("y",)), *others]
    settings = event_document.EventSettings(
        Scene(0.05, 20.0, (0.3, 0.8), 1.0, ("silence",)), ("a", "b"), per_hour=0
    )
    subject = Subject(model, "auto")
    found = event_document.events_document(subject, tones(("x",)), chosen_on, settings, silent)
    told = found["events"]
    assert (told["chosen_on"], told["reported_on"]) == ("y", "x")
    assert told["hours"] == pytest.approx(0.05)
    written = tone_model(found["detector"])
    point_of_a = told["keywords"]["a"]["operating_point"]
    assert point_of_a["threshold"] == pytest.approx(
        written.metadata.detector["labels"]["a"]["threshold"], abs=1e-4
    )
    # It is one that was chosen on the others, on a stream of their own.
    chosen = told["keywords"]["a"]["chosen"]
    assert point_of_a["threshold"] == pytest.approx(chosen["threshold"], abs=1e-4)
    assert abs(chosen["threshold"] - TRIGGER["threshold"]) > 0.01
    their = LongStream(chosen_on, settings.scene, settings.keywords, number=1)
    spans = [s for section in their for s in section.spans if s.label == "a"]
    result = match(device(model, their, chosen["threshold"]), spans)
    assert (chosen["misses"], chosen["false_accepts"]) == (len(result.misses), 0)
    assert len(match(device(model, their, chosen["threshold"] + 0.03), spans).misses) > len(
        result.misses
    )
    # The model that is written does on the reported stream what is reported.
    stream = LongStream(tones(("x",)), settings.scene, settings.keywords)
    pipeline, moments = written.pipeline("auto"), []
    for section in stream:
        moments += [e.end for e in pipeline.push(section.samples) if e.label == "a"]
    spans = [s for section in stream for s in section.spans]
    assert told["words"] == len(spans)
    result = match(moments, [s for s in spans if s.label == "a"])
    assert point_of_a["misses"] == len(result.misses)
    assert point_of_a["false_accepts"] == len(result.false_accepts)
    # Another split chooses from other words.
    alone = event_document.events_document(subject, tones(("x",)), [], settings, silent)
    assert alone["events"]["chosen_on"] == "model"
    assert alone["events"]["keywords"]["a"]["operating_point"]["threshold"] == pytest.approx(
        0.6, abs=1e-4
    )


def test_traces_show_what_was_found_and_what_was_missed():
    model = tone_model({**TRIGGER, "labels": {"a": 0.7}})
    clips = [*tones(("x",)), tone("a", 0.1, 900, name="short")]
    settings = event_document.EventSettings(
        Scene(0.05, 20.0, (0.3, 0.8), 1.0, ("silence",)), ("a",)
    )
    found = event_document.events_document(Subject(model, "auto"), clips, [], settings, silent)
    traces = {trace["name"]: trace for trace in found["traces"]}
    hit = traces["'a' found"]
    assert hit["threshold"] == pytest.approx(0.7, abs=1e-4)
    assert hit["labels"] == ["a", "b", "c", "d"]
    assert len(hit["features"]) == len(hit["feature_times"]) > 200
    assert len(hit["scores"]) == len(hit["score_times"]) > 200
    assert all(0 <= time <= 6 for time in hit["score_times"])
    # An event has its peak near it, at or above the threshold.
    event = next(e for e in hit["events"] if e["label"] == "a")
    at = int(np.searchsorted(hit["score_times"], event["end"] - 1e-6))
    assert hit["scores"][at][0] == pytest.approx(event["score"], abs=1e-3)
    assert event["score"] >= 0.699
    assert any(span["label"] == "a" for span in traces["'a' missed"]["truth"])


def test_what_has_no_events():
    settings = event_document.EventSettings(Scene(0.01), ("zebra",))
    with pytest.raises(InputError, match="no label 'zebra'; it has a, b, c, d"):
        event_document.events_document(Subject(tone_model(), "auto"), tones(), [], settings, silent)
    settings = event_document.EventSettings(Scene(0.01))
    vote = tone_model({"kind": "majority"})
    with pytest.raises(InputError, match="kind 'trigger'"):
        event_document.events_document(Subject(vote, "auto"), tones(), [], settings, silent)
    without = [clip for clip in tones(("y",)) if clip.label != "a"]
    with pytest.raises(InputError, match="'a' is never said by y"):
        event_document.events_document(
            Subject(tone_model(), "auto"), tones(("x",)), without, settings, silent
        )


def test_of_equal_scores_the_first_label_fires():
    config = {"kind": "trigger", "threshold": 0.5, "pause": 0.05}
    trigger = detectors.read(config, facts())
    predictions = np.full((30, 3), -128, np.int8)
    predictions[5:20] = 60
    recorded = Recorded(times(30), trigger.scorer(predictions))
    found = [(trigger.labels[one.label].name, one.row) for one in recorded.firings(trigger)]
    assert found == [("silence", 5), ("yes", 10), ("no", 15)]
    expected = pushed(trigger, predictions, times(30))
    assert [name for name, _ in found] == [event.label for event in expected]
