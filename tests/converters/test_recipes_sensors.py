"""Recipes for sensors on tiny synthetic recordings: what they learn, write and refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest

import edgernn
from converters.training.augment.motion import MotionAugmentation
from converters.training.recipes import activity, anomaly, forecast, series
from converters.training.settings import resolve
from edgernn.errors import InputError
from edgernn.evaluation.frames import latency_of
from edgernn.labelled import read_labelled

COLUMNS = "x_acc,y_acc,z_acc,x_gyro,y_gyro,z_gyro"
START, LABELS = 1657533977810, ("rest", "shake")


def write_motion(folder, groups=("ann", "bob", "cid", "dan")):
    """Still, then shaken at 3 Hz; a few recordings a person, with labels."""
    random = np.random.default_rng(0)
    for group in groups:
        for take in range(2):
            seconds = np.arange(300) / 50
            moving = seconds > 2 + take
            values = random.normal(0, 0.2, (300, 6)) + np.array([2, -3, 9, 0, 0, 0])
            values[:, [0, 4]] += (moving * 6 * np.sin(2 * np.pi * 3 * seconds))[:, np.newaxis]
            rows = [
                ",".join(f"{v:.4f}" for v in row) + f",{START + round(1000 * t)},{LABELS[int(m)]}"
                for row, t, m in zip(values, seconds, moving, strict=True)
            ]
            text = "\n".join([f"{COLUMNS},timestamp,label", *rows])
            (folder / f"{group}_{take}.csv").write_text(text)


def write_series(path, count=2400, jump=()):
    """A daily swing of readings every five minutes, with a plateau that is not normal."""
    hours = np.arange(count) / 12
    values = 70 + 8 * np.sin(2 * np.pi * hours / 24)
    values += np.random.default_rng(0).normal(0, 0.3, count)
    for start in jump:
        values[start : start + 150] -= 45
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(count) * np.timedelta64(300, "s")
    rows = [f"{str(t).replace('T', ' ')},{v:.3f}" for t, v in zip(times, values, strict=True)]
    path.write_text("\n".join(["timestamp,value", *rows]))


def settings_of(recipe, data, folder, **flags):
    return resolve(recipe, None, {"data": str(data), "output": str(folder), **flags})


def trained(recipe, module, data, folder, **flags):
    settings = settings_of(recipe, data, folder, **flags)
    settings.folder.mkdir(exist_ok=True)
    recordings = read_labelled(data, front_end=settings.front_end, pattern=settings.pattern)
    return module.train(settings, recordings), recordings


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    write_motion(folder)
    return folder


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    path = tmp_path_factory.mktemp("readings") / "oven.csv"
    write_series(path, jump=(1500,))
    return path


@pytest.fixture(scope="module")
def wrist(motion, tmp_path_factory):
    return trained(
        "activity",
        activity,
        motion,
        tmp_path_factory.mktemp("wrist"),
        pattern="{group}_{take}",
        architecture="gru-s",
        precision="int16x8",
        split={"test": ["dan"], "validation": ["cid"]},
        delay=0.4,
        detector={"window": 1.0, "minimum": 0.2},
        fit={"epochs": 16, "batch": 8, "learning_rate": 0.01, "window": 1.0},
        augmentation={"rotation": 10.0},
    )


@pytest.mark.slow
def test_an_activity_is_told_by_the_streamed_model(wrist):
    made, recordings = wrist
    model = edgernn.load(made.folder / "activity.tflite")
    heard = []
    pipeline = model.pipeline(watch=heard.append)
    (recording,) = [one for one in recordings if one.name == "dan_1.csv"]
    events = pipeline.push(recording.samples, recording.times)
    assert [event.label for event in events if event.phase == "on"] == ["rest", "shake"]
    said = np.concatenate([one.real for one in heard]).argmax(axis=1)
    times = (np.concatenate([one.times for one in heard]) - recording.times[0]) / 1e6
    late = latency_of(model)
    assert late == pytest.approx(0.4, abs=0.02)
    times -= late  # what it says is for a moment before
    sure = (np.abs(times - 3.0) > 0.4) & (times > 0.3)
    assert np.mean(said[sure] == (times[sure] > 3.0)) > 0.97
    assert np.mean(said[(times > 3.0 - late) & (times < 3.0)]) < 0.5  # not at once


@pytest.mark.parametrize("late", [0, 1, 7, 10_000])
def test_activities_are_told_late_by_so_many_frames(motion, late):
    settings = resolve("activity", None, {"data": str(motion), "pattern": "{group}_{take}"})
    recording = read_labelled(motion, front_end=settings.front_end, pattern=settings.pattern)[0]
    front_end = activity.front_end_of(settings)
    prompt = activity.example(recording, front_end, ["rest", "shake"])
    made = activity.example(recording, front_end, ["rest", "shake"], late)
    np.testing.assert_array_equal(made.frames, prompt.frames)
    assert len(made.truth) == len(made.frames)
    assert (made.truth[:late] == -1).all()
    np.testing.assert_array_equal(
        made.truth[late:], prompt.truth[: max(0, len(prompt.truth) - late)]
    )


@pytest.mark.slow
def test_what_an_activity_recipe_writes(wrist):
    made, _ = wrist
    document = json.loads((made.folder / "training.json").read_text())
    assert document["groups"] == {"train": ["ann", "bob"], "validation": ["cid"], "test": ["dan"]}
    assert document["labels"] == ["rest", "shake"] == list(made.converted.labels)
    assert document["parameters"] == made.model.count_params()
    stages = [stage["stage"] for stage in made.converted.metadata.front_end["stages"]]
    assert stages == ["statistics", "magnitude", "magnitude"]
    assert made.converted.metadata.detector["kind"] == "majority"
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"activity.keras", "activity.tflite", "training.json"}


def streams(count=4, stride=1, context=0):
    random = np.random.default_rng(0)
    examples = tuple(
        activity.Example(
            random.normal(size=(60 + k, 6)).astype(np.float32), random.integers(-1, 2, 60 + k)
        )
        for k in range(count)
    )
    names = tuple(COLUMNS.split(","))
    how = MotionAugmentation()
    return activity.Streams(
        examples, names, 2, how, rows=3, window=20, warmup=5, context=context, stride=stride, seed=7
    )


def test_batches_depend_on_their_numbers_alone_and_go_on_where_the_last_one_ended():
    one, other = streams(context=4), streams(context=4)
    later = other.batch(1, 1)
    first = one.batch(0, 0)
    again = other.batch(0, 0)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.batch(1, 1), later, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.x.shape == (3, 24, 6)
    np.testing.assert_array_equal(one.batch(0, 1).x[:, :4], first.x[:, -4:])
    assert not np.array_equal(first.x, one.batch(2, 0).x)


def test_warm_up_and_unlabelled_frames_have_no_weight():
    made = streams(stride=2)
    first, second = made.batch(0, 0), made.batch(0, 1)
    assert first.y.shape == first.weight.shape == (3, 10)
    assert not first.weight[:, :2].any()
    assert first.weight[:, 3:].any()
    assert 0.1 < np.mean(second.weight == 0) < 0.6  # a third has the truth -1


def test_a_stretch_is_told_what_comes_after_the_horizon():
    line = np.arange(400, dtype=np.float32)[:, np.newaxis]
    how = series.SeriesAugmentation(shift=0, scale=0, jitter=0)
    made = series.Stretches((line, line[:30]), 12, how, rows=5, window=20, warmup=8, seed=3)
    first, second = made.batch(0, 0), made.batch(0, 1)
    np.testing.assert_array_equal(first.y, first.x + 12)
    np.testing.assert_array_equal(second.x[:, 0], first.x[:, -1] + 1)
    assert not first.weight[:, :8].any()
    assert first.weight[:, 8:].all()
    assert second.weight.all()


def test_memory_is_read_from_the_autocorrelation():
    wave = 5 + np.sin(2 * np.pi * np.arange(960) / 96)[:, np.newaxis]
    for stretches in ([wave], [wave[:480], wave[480:]], [np.hstack([wave, wave])]):
        forgotten, independent = series.memory_of(stretches, 200)
        assert 23 <= forgotten <= 26  # a quarter of the wave
        assert independent == 31  # 1 + 2 * 24 * 2 / pi
    assert series.memory_of([wave], 10).forgotten == 10
    noise = np.random.default_rng(0).normal(size=(4000, 2))
    assert series.memory_of([noise], 100).independent == 1
    assert series.memory_of([np.ones((50, 1))], 10) == (1, 1)
    rising = series.memory_of([np.arange(9000.0)[:, np.newaxis]], anomaly.FARTHEST)
    assert max(rising) <= 1024  # what a detector takes


def test_the_later_part_judges(readings):
    settings = settings_of("forecast", readings, "unused", split={"test": 0.3, "validation": 0.1})
    (recording,) = read_labelled(readings, front_end=settings.front_end)
    train, validation, test = (part[0] for part in series.parts_of(settings, [recording]))
    assert [len(one.samples) for one in (train, validation, test)] == [1440, 240, 720]
    assert train.times[-1] < validation.times[0]
    (whole,) = series.joined([train], [validation])
    np.testing.assert_array_equal(whole.samples, recording.samples[:1680])
    wide = replace(settings, split=replace(settings.split, test=0.9, validation=0.2))
    with pytest.raises(InputError, match="leave no training part"):
        series.parts_of(wide, [recording])


@pytest.mark.slow
def test_anomalies_beyond_the_learned_part_are_told(readings, tmp_path):
    made, (recording,) = trained(
        "anomaly",
        anomaly,
        readings,
        tmp_path,
        split={"test": 0.45, "validation": 0.1},
        fit={"epochs": 6, "batch": 8, "learning_rate": 0.01},
    )
    detector = made.converted.metadata.detector
    assert detector["threshold"] == made.document["threshold"] > 0
    assert made.document["precision"] == "int16x8"
    assert 22 <= detector["horizon"] <= 26  # a quarter of the day that the readings swing with
    assert 26 <= detector["smoothing"] <= 33  # 1 + 2 * 24 * 2 / pi of such a quarter
    pipeline = made.converted.pipeline()
    events = pipeline.push(recording.samples, recording.times)
    hours = [event.end / 3600 for event in events if event.phase == "on"]
    first = recording.times[0] / 3.6e9
    assert hours
    assert 125 < hours[0] - first < 141  # the plateau is from 125 to 137.5
    assert pipeline.counters["clock_jumps"] == 0


@pytest.mark.slow
def test_a_forecast_is_of_the_hour_ahead(readings, tmp_path):
    made, (recording,) = trained(
        "forecast",
        forecast,
        readings,
        tmp_path,
        horizon=10800.0,
        fit={"epochs": 12, "batch": 8, "learning_rate": 0.01},
    )
    assert made.document["horizon_seconds"] == pytest.approx(10800)
    heard = []
    pipeline = made.converted.pipeline(watch=heard.append)
    pipeline.push(recording.samples, recording.times)
    stage = made.converted.metadata.front_end["stages"][-1]
    said = np.concatenate([one.real for one in heard])[:, 0] * stage["std"][0] + stage["mean"][0]
    real = recording.samples[:, 0]
    calm = slice(400, 1400)
    error = np.abs(said[calm] - real[436:1436]).mean()
    assert error < 0.85 * np.abs(real[calm] - real[436:1436]).mean()


def test_trainings_repeat_themselves(readings, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "convert", lambda *_, **__: None)
    monkeypatch.setattr(forecast, "configure", lambda *_: None)
    monkeypatch.setattr(forecast, "write", lambda settings, model, *_: model)
    weights = []
    for name in ("one", "two"):
        fit = {"epochs": 1, "batch": 2}
        model, _ = trained("forecast", forecast, readings, tmp_path / name, fit=fit)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_refused_in_one_line(readings, motion, tmp_path):
    with pytest.raises(InputError, match="there is no field 'turn'; its fields are rotation"):
        trained("activity", activity, motion, tmp_path, augmentation={"turn": 3}, pattern=None)
    with pytest.raises(InputError, match="does not forecast at every frame: use gru-s"):
        trained("forecast", forecast, readings, tmp_path, architecture="crnn-s")
    with pytest.raises(InputError, match="too few to learn from"):
        trained("anomaly", anomaly, readings, tmp_path, split={"test": 0.95})
    settings = settings_of("forecast", tmp_path / "none.csv", tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        series.found(settings)
