"""Everything a training is told: a recipe's defaults, then one TOML file, then flags."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from edgernn.configuration import read_configuration
from edgernn.errors import InputError

RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "keyword": {
        "architecture": "spectral-l",
        "front_end": {"kind": "audio", "output": "agc"},
        "fit": {"epochs": 80, "weight_decay": 0.02},
    },
    "activity": {
        "architecture": "crnn-m",
        "front_end": {"kind": "sensor"},
        "delay": 0.5,
        "fit": {"batch": 32, "epochs": 45, "learning_rate": 5e-3},
    },
    "anomaly": {
        "architecture": "gru-s",
        "front_end": {"kind": "sensor"},
        "split": {"validation": 0.02, "test": 0.91},
        "precision": "int16x8",
        "fit": {"batch": 16, "epochs": 40},
    },
    "forecast": {
        "architecture": "gru-s",
        "front_end": {"kind": "sensor"},
        "split": {"validation": 0.1, "test": 0.3},
        "precision": "int16x8",
        "fit": {"batch": 32, "epochs": 30, "learning_rate": 1e-2},
    },
}
"""What each recipe begins with; all else is as in the classes below."""

CHECKPOINT: Final = "checkpoint.npz"
DONE: Final = "training.json"
"""Files in the folder of a training."""


@dataclass(frozen=True)
class SplitSettings:
    """Groups by name, or a share of them; see `edgernn.labelled.splits.split`."""

    train: tuple[str, ...] | None = None
    validation: tuple[str, ...] | float | None = None
    test: tuple[str, ...] | float | None = None


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train.

    Args:
        epochs: at most.
        batch: streams or recordings that are trained on together.
        window: seconds of a stretch through which gradients flow; 0 for the recipe's own.
        warmup: seconds at a stream's start that are not learned from; 0 for the recipe's own.
        learning_rate: at its height; it rises to it and falls along a cosine.
        weight_decay: of AdamW.
        clip_norm: largest norm of all gradients together; 0 for any.
        smoothing: of class labels.
        patience: epochs to go on without improvement; 0 for all of them.
        seed: of all that is drawn.
        every: most seconds between checkpoints.
        tensorboard: also write what TensorBoard shows.
    """

    epochs: int = 60
    batch: int = 64
    window: float = 0.0
    warmup: float = 0.0
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    smoothing: float = 0.1
    patience: int = 0
    seed: int = 0
    every: float = 30.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 100_000), ("batch", 1, 65_536), ("window", 0, 86_400 * 366),
            ("warmup", 0, 86_400 * 366), ("learning_rate", 1e-9, 10), ("weight_decay", 0, 1),
            ("clip_norm", 0, 1e6), ("smoothing", 0, 0.9), ("patience", 0, 100_000),
            ("seed", 0, 2**31 - 1), ("every", 0, 86_400),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"fit: {name} is {value:g} and must be {low:g} to {high:g}")


@dataclass(frozen=True)
class Settings:
    """One training.

    Args:
        recipe: `keyword`, `activity`, `anomaly` or `forecast`.
        data: a folder, a table or `tfds:NAME`; see `edgernn.labelled.read_labelled`.
        output: folder of what comes out.
        name: what the model's files are called; the recipe's name by default.
        pattern, label_column, windows, resample: how to read the data.
        split: who is trained on, who tunes, who judges.
        front_end: fields of one; what is missing is found in the data.
        detector: fields of one; what is missing is chosen on validation.
        architecture: see `converters/training/architectures.py`.
        fit: how long and how fast.
        augmentation: what is altered, and how much; see `converters/training/augment`.
        keywords: the labels to tell apart from all others; all labels if there are none.
        voices: language in which synthetic voices say the labels as well, such as `en`; none if
            empty.
        horizon: seconds ahead of a forecast; 0 for the recipe's own.
        delay: seconds by which activities are told late, so that what comes next helps to tell.
        precision: of the conversion.
        target: the core that costs are told for.
    """

    recipe: str
    data: str
    output: str = ""
    name: str = ""
    pattern: str | None = None
    label_column: str = ""
    windows: str | None = None
    resample: bool = False
    split: SplitSettings = SplitSettings()
    front_end: Mapping[str, Any] = field(default_factory=dict)
    detector: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "gru-s"
    fit: FitSettings = FitSettings()
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    voices: str = ""
    horizon: float = 0.0
    delay: float = 0.0
    precision: str = "auto"
    target: str = "cortex-m4"

    def __post_init__(self) -> None:
        if self.precision not in (known := ("auto", "int8", "int16x8", "float32")):
            raise InputError(f"precision '{self.precision}' is not one of {', '.join(known)}")
        if not 0 <= self.horizon <= 86_400 * 366:
            raise InputError(f"horizon is {self.horizon:g} and must be 0 seconds to a year")
        if not 0 <= self.delay <= 60:
            raise InputError(f"delay is {self.delay:g} and must be 0 to 60 seconds")
        if self.delay and self.recipe != "activity":
            raise InputError(f"delay is for activities: the recipe '{self.recipe}' has none")
        if self.voices and self.recipe != "keyword":
            raise InputError(f"voices say words: the recipe '{self.recipe}' has none")
        object.__setattr__(self, "name", self.name or self.recipe)
        object.__setattr__(self, "output", self.output or str(Path("build") / self.recipe))
        if Path(self.name).name != self.name:
            raise InputError(f"name '{self.name}' is of files, and cannot hold a folder")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.output)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types; `from_dict` takes it back."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document


def read_file(path: Path) -> dict[str, Any]:
    """The fields of a TOML or JSON file, checked; paths in it begin at its own folder.

    Raises:
        InputError: it cannot be read, or a field is unknown or of another type.
    """
    values = _checked(path, read_configuration(path))
    for name in ("data", "windows"):
        if values.get(name) and not values[name].startswith("tfds:"):
            values[name] = str(path.parent / values[name])
    return values


def resolve(
    recipe: str,
    file: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
    begun: Settings | None = None,
) -> Settings:
    """The settings of a recipe, or of a training that was begun, changed by a file and by flags.

    File and flags are nested: `{"data": …, "fit": {"epochs": 9}}`. A front end or detector of
    another kind replaces that of the recipe, one of the same changes its fields.

    Raises:
        InputError: there is no such recipe or field, a value is of another type, or data are not
            said.
    """
    if recipe not in RECIPES:
        raise InputError(f"recipe '{recipe}' is not known: {_instead(recipe, RECIPES)}")
    base = RECIPES[recipe] if begun is None else begun.to_dict()
    merged = {"recipe": recipe}
    for name, over in (("", base), ("file", file or {}), ("flags", flags or {})):
        if name and over.get("recipe", recipe) != recipe:
            raise InputError(f"the {name} is for the recipe '{over['recipe']}', not '{recipe}'")
        merged = _merged(merged, over)
    if not merged.get("data"):
        raise InputError("no data to train on: name a folder, a table or tfds:NAME with --data")
    for name in ("data", "windows"):
        if merged.get(name) and not merged[name].startswith("tfds:"):
            merged[name] = str(Path(merged[name]).resolve())
    return from_dict(merged)


def from_dict(document: Mapping[str, Any], where: object = "settings") -> Settings:
    """Settings of nested fields, all of them checked.

    Raises:
        InputError: a field is unknown or of another type; the message names it.
    """
    values = _checked(where, document)
    for name, made in (("split", SplitSettings), ("fit", FitSettings)):
        values[name] = made(**values.get(name, {}))
    return Settings(**values)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            same = value.get("kind", old.get("kind")) == old.get("kind")
            value = {**old, **value} if same else value
        merged[name] = value
    return merged


def _checked(where: object, document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, lists as tuples.

    Raises:
        InputError: one is unknown or of another type.
    """
    values = _table(where, "", document, Settings)
    for name, made in (("split", SplitSettings), ("fit", FitSettings)):
        if name in values:
            values[name] = _table(where, f"{name}.", values[name], made)
    return values


def _table(
    where: object, prefix: str, document: Mapping[str, Any], made: type[Any]
) -> dict[str, Any]:
    known = {one.name: str(one.type) for one in fields(made)}
    values = {}
    for name, value in document.items():
        if name not in known:
            raise InputError(
                f"{where}: there is no field '{prefix}{name}': {_instead(name, known)}"
            )
        values[name] = _value(f"{where}: {prefix}{name}", value, known[name])
    return values


def _value(where: str, value: Any, annotation: str) -> Any:
    """A value of the annotation's type; TOML and JSON have lists where a tuple is meant."""
    wanted = []
    for kind in annotation.split(" | "):
        if kind == "None":
            if value is None:
                return None
            continue
        what, fits = _KINDS.get(kind, _KINDS["table"])
        wanted.append(what)
        if fits(value):
            return tuple(value) if isinstance(value, list) else value
    raise InputError(f"{where} is {value!r} and must be {' or '.join(wanted)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


_KINDS: Final[Mapping[str, tuple[str, Any]]] = {
    "str": ("a word", lambda value: isinstance(value, str)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: _is_number(value) and isinstance(value, int)),
    "float": ("a number", _is_number),
    "tuple[str, ...]": ("a list of words", _is_words),
    "table": ("a table of fields", lambda value: isinstance(value, Mapping)),
}


def _instead(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"'{near[0]}' is meant?" if near else f"the known ones are {', '.join(known)}"
