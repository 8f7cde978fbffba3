"""Short trainings on real recordings: better than knowing nothing, on what was not trained on."""

import os
from pathlib import Path

import pytest

from converters.training.data import read_data
from converters.training.recipes import activity, anomaly, forecast
from converters.training.settings import resolve
from edgernn import frontends
from edgernn.evaluation import anomalies, forecasts, frames
from edgernn.evaluation.runs import QuantizedRun, fastest

DATA = Path(os.environ.get("EDGERNN_DATA", Path(__file__).parents[2] / "../shared/data"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}: set EDGERNN_DATA"),
]


def test_what_somebody_does_whom_it_never_saw(tmp_path):
    split = {"test": ["s05", "s12"], "validation": ["s09"], "train": ["s01", "s02", "s07", "s16"]}
    fit = {"epochs": 12, "batch": 16, "learning_rate": 0.01}
    given = {"data": str(DATA / "activity"), "output": str(tmp_path), "fit": fit, "split": split}
    settings = resolve("activity", None, {**given, "architecture": "crnn-s"})
    recordings = read_data(settings)
    made = activity.train(settings, recordings)
    judged = [one for one in recordings if one.group in split["test"]]
    tally = frames.judge(QuantizedRun(made.converted, "auto"), made.converted, judged)
    assert tally.accuracy > 0.55  # walking, the most frequent of five, is 0.45
    assert tally.macro_f1 > 0.5


def test_an_hour_ahead_is_better_known_than_that_all_stays_as_it_is(tmp_path):
    table = DATA / "machine-temperature" / "machine_temperature.csv"
    given = {"data": str(table), "output": str(tmp_path), "fit": {"epochs": 6}}
    settings = resolve("forecast", None, given)
    recordings = read_data(settings)
    made = forecast.train(settings, recordings)
    model = made.converted
    front_end = frontends.read(model.metadata.front_end)
    horizon = forecasts.Horizon((0,), made.document["horizon_seconds"], after=0.7)
    runs = [QuantizedRun(model, fastest(model))]
    found = forecasts.to_dict(
        forecasts.errors(runs, front_end, recordings, horizon), horizon, "deg F"
    )
    assert found["count"] > 6000
    for kind in ("mae", "rmse"):
        assert found[kind]["quantized"] < 0.99 * found[kind]["persistence"]
        assert found[kind]["persistence"] < found[kind]["seasonal"]


def test_all_anomalies_are_found_without_a_look_at_their_labels(tmp_path):
    table = DATA / "machine-temperature" / "machine_temperature.csv"
    given = {"data": str(table), "output": str(tmp_path)}
    settings = resolve("anomaly", None, given)
    (recording,) = read_data(settings)
    made = anomaly.train(settings, [recording])
    later = (1 - settings.split.test) * recording.seconds
    assert all(span.start > later for span in recording.spans)  # learned from what is normal
    events = anomalies.alarms(made.converted, recording, fastest(made.converted))
    found = anomalies.judge(events, recording.spans, recording.seconds, later)
    assert len(found.windows) == 4
    assert None not in found.first_alarms
    assert found.false_alarms <= 4
