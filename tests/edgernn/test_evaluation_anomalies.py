"""Alarms against labelled windows."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.evaluation import anomalies, document
from edgernn.evaluation.subject import Subject
from edgernn.events import Event
from edgernn.labelled import Labelled, Span
from tests.edgernn.motions import motion_model

DETECTOR = {"kind": "anomaly", "threshold": 0.9, "horizon": 1}


def silent(what):
    return lambda done, total: None


def alarm(begin, end):
    return [
        Event("anomaly", 1.0, begin - 1, begin, "on"),
        Event("anomaly", 1.0, begin - 1, end, "off"),
    ]


WINDOWS = [Span("anomaly", 100, 200), Span("anomaly", 500, 600)]


def test_an_alarm_counts_where_it_begins():
    events = alarm(50, 60) + alarm(150, 155) + alarm(160, 170) + alarm(650, 700)
    found = anomalies.judge(events, WINDOWS, 1000)
    assert found.first_alarms == (150, None)
    assert found.false_alarms == 2
    assert found.seconds == 800


def test_an_alarm_that_never_ends_finds_nothing():
    found = anomalies.judge([Event("anomaly", 1.0, 0, 5, "on")], WINDOWS, 1000)
    assert found.first_alarms == (None, None)
    assert found.false_alarms == 1


def test_what_comes_before_the_share_that_counts_is_left_out():
    events = alarm(50, 60) + alarm(150, 155) + alarm(550, 560) + alarm(700, 701)
    found = anomalies.judge(events, WINDOWS, 1000, after=300)
    assert (found.windows, found.first_alarms) == ((WINDOWS[1],), (550,))
    assert (found.false_alarms, found.seconds) == (1, 600)
    # A window that has begun is judged by what is left of it.
    assert anomalies.judge(events, WINDOWS, 1000, after=160).seconds == 840 - 40 - 100


def test_windows_that_overlap_are_counted_once_as_time():
    windows = [Span("anomaly", 100, 300), Span("anomaly", 200, 400)]
    found = anomalies.judge(alarm(250, 260), windows, 1000)
    assert (found.first_alarms, found.seconds) == ((250, 250), 700)


def test_rates_are_per_month_of_time_without_anomalies():
    half = anomalies.MONTH / 2
    one = anomalies.judge(alarm(10, 20), [], half)
    other = anomalies.judge(alarm(10, 20) + alarm(30, 40), [], half)
    found = anomalies.to_dict([one, other], 2.5)
    assert found["false_alarms"] == 3
    assert found["months"] == pytest.approx(1)
    assert found["false_alarms_per_month"] == pytest.approx(3)
    assert found["threshold"] == 2.5


def spiky(clock=False):
    """Quiet, with a spike in a window and another one outside of it."""
    samples = np.random.default_rng(0).normal(0.3, 0.05, (500, 4))
    samples[200] = samples[350] = 2.4
    times = np.arange(500, dtype=np.int64) * 20_000 + 10**9 if clock else None
    return Labelled("r", samples, 50.0, "x", spans=(Span("anomaly", 3.5, 4.5),), times=times)


@pytest.mark.parametrize("clock", [False, True])
def test_the_pipeline_finds_the_spike_and_is_wrong_about_the_other(clock):
    model, recording = motion_model(DETECTOR), spiky(clock)
    subject = Subject(model, "auto")
    found = document.anomaly_document(subject, [recording], 0.0, silent)["anomaly"]
    (window,) = found["windows"]
    assert window["found"]
    assert window["first_alarm"] == pytest.approx(4.0, abs=0.05)
    assert found["false_alarms"] >= 1
    plain = model.pipeline("auto").push(recording.samples)
    begins = [e.end for e in plain if e.phase == "on"]
    assert found["false_alarms"] == sum(not 3.5 <= b <= 4.5 for b in begins)


def test_traces_show_the_residual_and_its_threshold():
    found = document.anomaly_document(
        Subject(motion_model(DETECTOR), "auto"), [spiky()], 0.0, silent
    )
    (trace,) = found["traces"]
    assert (trace["labels"], trace["threshold"]) == (["residual"], 0.9)
    at = trace["score_times"][int(np.argmax(trace["scores"]))]
    assert at == pytest.approx(4.0 - 2.5, abs=0.05)
    assert max(row[0] for row in trace["scores"]) > 0.9
    assert trace["truth"] == [{"label": "anomaly", "start": 1.0, "end": 2.0}]


def test_another_detector_gives_no_alarms():
    with pytest.raises(InputError, match="kind 'anomaly'"):
        anomalies.alarms(motion_model(), spiky(), "auto")
    with pytest.raises(InputError, match="kind 'anomaly'"):
        document.anomaly_document(Subject(motion_model(), "auto"), [spiky()], 0.0, silent)
