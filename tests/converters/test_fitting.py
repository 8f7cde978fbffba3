"""The training loop: streams carried from batch to batch, and resuming to the very same weights."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters.training import architectures
from converters.training.architectures import ARCHITECTURES, Shape, build, build_carried, trained
from converters.training.fitting import Batch, _classes, deterministic, fit
from converters.training.settings import FitSettings
from edgernn.errors import InputError

FEATURES, CLASSES, ROWS, FRAMES = 32, 3, 4, 12
SHAPE = Shape(FEATURES, CLASSES, mean=0.1, variance=2.0, dropout=0.2)
SETTINGS = FitSettings(epochs=4, every=0.0)


class Cumulated:
    """The class is the sign of what came in over the last frames."""

    carried = True
    steps = 5

    def batch(self, epoch, index):
        random = np.random.default_rng([7, epoch, index])
        x = random.normal(size=(ROWS, 8 + FRAMES, FEATURES)).astype(np.float32)
        y = (np.cumsum(x[..., 0], axis=1) > 0).astype(np.int64)[:, 8::2]
        return Batch(x, y, np.ones(y.shape, np.float32), random.random(ROWS) < 0.2)


class Slow(Cumulated):
    def batch(self, epoch, index):
        time.sleep(0.02)
        return super().batch(epoch, index)


def train(folder, batches, settings=SETTINGS, progress=None):
    folder.mkdir(exist_ok=True)
    deterministic(3)
    keras.utils.clear_session()
    model, twin = build("crnn-s", SHAPE), build_carried("crnn-s", SHAPE, ROWS)
    fixed = np.random.default_rng(1).normal(size=(2, 10, FEATURES)).astype(np.float32)
    history = fit(model, twin, batches, lambda m: -float(np.sum(m(fixed)[..., 0])), "classes",
                  settings, folder, progress)  # fmt: skip
    return [v.numpy() for v in trained(model)], history


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_streams_in_pieces_are_the_whole(name):
    random = np.random.default_rng(0)
    model, twin = build(name, SHAPE), build_carried(name, SHAPE, ROWS)
    for variable in trained(model):
        positive = "variance" in variable.path
        variable.assign(abs(random.normal(0, 0.4, variable.shape)) + 0.1 if positive
                        else random.normal(0, 0.4, variable.shape))  # fmt: skip
    architectures.copy_weights(model, twin)
    context = architectures.find(name).context
    x = random.normal(size=(ROWS, 48 + context, FEATURES)).astype(np.float32)
    whole = build_carried(name, SHAPE, ROWS)
    architectures.copy_weights(model, whole)
    pieces = [twin(x[:, k : k + 12 + context], training=False) for k in range(0, 48, 12)]
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole(x, training=False), atol=1e-6)
    if not context:  # else the network's own recurrent layer sees the frames in front, too
        np.testing.assert_allclose(np.concatenate(pieces, 1), model(x, training=False), atol=1e-6)
    assert np.ptp(np.concatenate(pieces, 1)[..., 0]) > 1e-3


def test_a_network_learns_what_is_carried_over_batches(tmp_path):
    _, history = train(tmp_path / "a", Cumulated(), replace(SETTINGS, epochs=12, every=30.0))
    assert history.loss[-1] < 0.9 * history.loss[0]
    assert len(history.validation) == 12
    assert history.validation[history.best] == max(history.validation)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, _ = train(tmp_path / "a", Cumulated(), replace(SETTINGS, every=30.0))
    second, _ = train(tmp_path / "b", Cumulated(), replace(SETTINGS, every=30.0))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def _child(folder, steps):
    def progress(done, total, words):
        with open(steps, "ab") as file:
            file.write(b".")

    train(folder, Slow(), progress=progress)


@pytest.mark.slow
def test_killed_at_ten_random_points_it_ends_with_the_same_weights(tmp_path):
    expected, history = train(tmp_path / "whole", Cumulated())
    checkpoint = replace(SETTINGS, every=30.0)
    assert history == train(tmp_path / "again", Cumulated(), checkpoint)[1]
    random = np.random.default_rng()
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])  # TensorFlow imported, nothing of it run
    folder, steps = tmp_path / "killed", tmp_path / "steps"
    steps.touch()
    kills = 0
    while kills < 10:
        child = server.Process(target=_child, args=(folder, steps))
        child.start()
        goal = steps.stat().st_size + int(random.integers(1, 3))
        while steps.stat().st_size < goal and child.is_alive():
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
    resumed, again = train(folder, Cumulated())
    assert again == history
    for a, b in zip(expected, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_error_in_a_batch_ends_the_training(tmp_path):
    class Broken(Cumulated):
        def batch(self, epoch, index):
            raise InputError("no such recording")

    with pytest.raises(InputError, match="no such recording"):
        train(tmp_path / "a", Broken())


@pytest.mark.parametrize("damage", ["settings", "bytes", "network"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, damage):
    folder = tmp_path / "a"
    train(folder, Cumulated(), replace(SETTINGS, epochs=1))
    settings = replace(SETTINGS, epochs=1)
    if damage == "settings":
        settings = replace(settings, learning_rate=0.1)
    if damage == "bytes":
        (folder / "checkpoint.npz").write_bytes((folder / "checkpoint.npz").read_bytes()[:999])
    deterministic(3)
    name = "gru-s" if damage == "network" else "crnn-s"
    model, twin = build(name, SHAPE), build_carried(name, SHAPE, ROWS)
    with pytest.raises(InputError, match=r"checkpoint\.npz: is (no checkpoint|of other settings)"):
        fit(model, twin, Cumulated(), lambda m: 0.0, "classes", settings, folder)


def test_tensorboard_gets_every_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "a"
    _, history = train(folder, Cumulated(), replace(SETTINGS, epochs=2, tensorboard=True))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    values = [tf.make_ndarray(e.tensor_proto) for e in events.Tensors("loss")]
    np.testing.assert_allclose(values, history.loss, rtol=1e-6)


def test_of_two_classes_either_may_be_said_but_no_third():
    loss = _classes(FitSettings(smoothing=0.0))
    one = np.ones((1, 1), np.float32)

    def of(y, *predicted):
        return float(loss(np.array([[y]]), np.array([[predicted]], np.float32), one))

    for sure in (0.0, 0.3, 0.9):  # of background; the rest is class 2
        assert of(-2, sure, 0.0, 1.0 - sure) == pytest.approx(0.0, abs=1e-5)
    assert of(-2, 0.25, 0.5, 0.25) == pytest.approx(np.log(2), abs=1e-5)
    assert of(2, 0.25, 0.5, 0.25) == pytest.approx(np.log(4), abs=1e-5)


def test_an_unknown_architecture_names_the_nearest():
    with pytest.raises(InputError, match="'crnn-x' is not known: did you mean 'crnn-"):
        build("crnn-x", SHAPE)


def test_frames_too_small_for_an_architecture_are_said_so():
    with pytest.raises(InputError, match="'spectral-m' needs frames of 21 features or more"):
        build("spectral-m", replace(SHAPE, features=6))
