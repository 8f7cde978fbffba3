"""What a training is told, and whether an interrupted one may go on."""

import json
import sys

import pytest

from converters.training.folder import begin, read_begun
from converters.training.settings import RECIPES, FitSettings, SplitSettings, read_file, resolve
from edgernn.errors import InputError


@pytest.fixture
def toml(tmp_path):
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 reads no TOML")

    def write(text):
        (tmp_path / "t.toml").write_text(text)
        return tmp_path / "t.toml"

    return write


@pytest.mark.parametrize("recipe", RECIPES)
def test_data_are_all_that_a_recipe_needs(recipe, tmp_path):
    settings = resolve(recipe, flags={"data": str(tmp_path)})
    assert (settings.recipe, settings.name, settings.output) == (recipe, recipe, f"build/{recipe}")
    assert settings.architecture
    with pytest.raises(InputError, match=r"no data to train on: .*--data"):
        resolve(recipe)


def test_flags_change_the_file_and_the_file_the_recipe(toml, tmp_path):
    path = toml(
        """
        data = "digits"
        architecture = "lstm-s"
        keywords = ["seven", "nine"]
        [split]
        test = ["george"]
        validation = 0.1
        [front_end]
        bands = 32
        [fit]
        epochs = 5
        learning_rate = 1
        [augmentation]
        noise = [5, 20]
        """
    )
    settings = resolve(
        "keyword", read_file(path), {"fit": {"epochs": 7}, "split": {"test": ("jackson",)}}
    )
    assert settings.data == str((tmp_path / "digits").resolve())
    assert settings.front_end == {**RECIPES["keyword"]["front_end"], "bands": 32}
    own = {**RECIPES["keyword"]["fit"], "epochs": 7, "learning_rate": 1}
    assert settings.fit == FitSettings(**own)
    assert settings.split == SplitSettings(validation=0.1, test=("jackson",))
    assert (settings.architecture, settings.keywords) == ("lstm-s", ("seven", "nine"))
    assert settings.augmentation == {"noise": [5, 20]}


def test_a_front_end_of_another_kind_replaces_the_files():
    file = {"data": "x", "front_end": {"kind": "audio", "bands": 32}}
    assert resolve("keyword", file, {"front_end": {"kind": "micro"}}).front_end == {"kind": "micro"}
    assert resolve("keyword", file, {"front_end": {"low": 99.0}}).front_end == {
        **RECIPES["keyword"]["front_end"], "kind": "audio", "bands": 32, "low": 99.0,
    }  # fmt: skip


def test_sets_are_no_paths():
    assert resolve("keyword", flags={"data": "tfds:spoken_digit"}).data == "tfds:spoken_digit"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("dta = 'x'", "there is no field 'dta': 'data' is meant?"),
        ("[fit]\nepoch = 3", "there is no field 'fit.epoch': 'epochs' is meant?"),
        ("[split]\ntets = 0.2", "there is no field 'split.tets': 'test' is meant?"),
        ("zzz = 1", "there is no field 'zzz': the known ones are recipe, data"),
        ("[fit]\nepochs = 'many'", "fit.epochs is 'many' and must be a whole number"),
        ("[fit]\nepochs = 2.5", "fit.epochs is 2.5 and must be a whole number"),
        ("[fit]\nseed = true", "fit.seed is True and must be a whole number"),
        ("[fit]\nlearning_rate = nan", "fit.learning_rate is nan and must be a number"),
        ("fit = 3", "fit is 3 and must be a table of fields"),
        ("keywords = 'seven'", "keywords is 'seven' and must be a list of words"),
        ("[split]\ntest = 'bob'", "split.test is 'bob' and must be a list of words or a number"),
        ("front_end = 'audio'", "front_end is 'audio' and must be a table of fields"),
    ],
)
def test_a_file_with_something_unknown(toml, text, wrong):
    path = toml(text)
    with pytest.raises(InputError) as caught:
        read_file(path)
    assert str(caught.value).startswith(f"{path}: {wrong}")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"fit": {"epochs": 0}}, "fit: epochs is 0 and must be 1 to 100000"),
        ({"fit": {"clip_norm": -1}}, "fit: clip_norm is -1 and must be 0"),
        ({"precision": "int4"}, "precision 'int4' is not one of auto, int8"),
        ({"horizon": -5}, "horizon is -5 and must be 0 seconds"),
        ({"delay": 0.5}, "delay is for activities: the recipe 'keyword' has none"),
        ({"delay": -1}, "delay is -1 and must be 0 to 60 seconds"),
        ({"name": "a/b"}, "name 'a/b' is of files"),
        ({"recipe": "anomaly"}, "the file is for the recipe 'anomaly', not 'keyword'"),
    ],
)
def test_values_that_cannot_be(fields, wrong):
    with pytest.raises(InputError, match="^" + wrong):
        resolve("keyword", {"data": "x", **fields})


def test_voices_are_for_words():
    with pytest.raises(InputError, match=r"^voices say words: the recipe 'activity' has none"):
        resolve("activity", {"data": "x", "voices": "en"})
    assert resolve("keyword", {"data": "x", "voices": "en"}).voices == "en"


def test_a_recipe_that_is_none():
    with pytest.raises(InputError, match="recipe 'keywords' is not known: 'keyword' is meant"):
        resolve("keywords")


class TestFolder:
    @pytest.fixture
    def settings(self, tmp_path):
        def make(**flags):
            return resolve("keyword", flags={"data": "x", "output": str(tmp_path / "out"), **flags})

        return make

    def test_a_resumed_training_has_the_settings_that_it_began_with(self, settings):
        first = settings(fit={"epochs": 3}, keywords=("a", "b"), split={"test": ("eve",)})
        begin(first)
        assert read_begun(first.folder) == first
        assert json.loads((first.folder / "settings.json").read_text())["fit"]["epochs"] == 3
        again = resolve("keyword", begun=read_begun(first.folder))
        assert again == first
        begin(again, resume=True)

    def test_other_settings_are_refused(self, settings):
        begin(settings(architecture="lstm-s", fit={"epochs": 3}))
        with pytest.raises(
            InputError,
            match=r"out: was begun with other settings \(architecture was lstm-s and is gru-s; "
            r"fit.epochs was 3 and is 4\)",
        ):
            begin(settings(architecture="gru-s", fit={"epochs": 4}), resume=True)
        same = {"architecture": "lstm-s", "fit": {"epochs": 3}}
        with pytest.raises(InputError, match=r"augmentation\.noise was None and is"):
            begin(settings(**same, augmentation={"noise": 1}), resume=True)

    def test_what_no_result_depends_on_may_change(self, settings):
        begin(settings())
        begin(settings(target="cortex-m7", fit={"tensorboard": True, "every": 5.0}), resume=True)

    def test_nothing_to_resume(self, settings):
        with pytest.raises(InputError, match="out: holds no training to resume"):
            begin(settings(), resume=True)

    def test_an_unfinished_training_is_not_overwritten(self, settings):
        begin(settings())
        folder = settings().folder
        (folder / "checkpoint.npz").write_bytes(b"hours of work")
        with pytest.raises(InputError, match="holds an unfinished training: go on with --resume"):
            begin(settings(fit={"epochs": 4}))
        assert (folder / "checkpoint.npz").read_bytes() == b"hours of work"
        (folder / "training.json").write_text("{}")
        begin(settings(fit={"epochs": 4}))
        assert [path.name for path in folder.iterdir()] == ["settings.json"]

    def test_a_folder_that_is_a_file(self, settings):
        settings().folder.write_text("")
        with pytest.raises(InputError, match="out: is a file"):
            begin(settings())

    def test_damaged_settings(self, settings):
        begin(settings())
        path = settings().folder / "settings.json"
        path.write_text(path.read_text()[:-30])
        with pytest.raises(InputError, match=r"settings\.json: "):
            begin(settings(), resume=True)
