"""Sets of TensorFlow Datasets, by name: sound with a label each.

Who spoke is told by a feature (`speaker_id`, `speaker` …) or by the file's name, as in
`spoken_digit`; in a set that does not tell, its own splits stand in for groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import InputError, MissingDependencyError
from edgernn.frontends import FrontEnd
from edgernn.labelled import Labelled
from edgernn.labelled.folders import FLAT
from edgernn.labelled.listing import GROUP, PARTS
from edgernn.labelled.patterns import matcher

FILES: Final = ("audio/filename", "filename", "file")
"""Features that hold the name of a recording's file."""


def read_dataset(
    name: str,
    front_end: FrontEnd | Mapping[str, Any] | None = None,
    pattern: str | None = None,
    resample: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Labelled]:
    """All examples of a set, downloaded if they are not here yet.

    Raises:
        MissingDependencyError: TensorFlow Datasets is not installed.
        InputError: there is no such set, it is no sound with labels, or its rate is another one.
    """
    builder = _builder(name)
    features = builder.info.features
    for needed in ("audio", "label"):
        if needed not in features:
            have = ", ".join(features)
            raise InputError(f"tfds:{name}: has no feature '{needed}', it has {have}")
    rate = float(getattr(features["audio"], "sample_rate", None) or 0)
    wanted, convert = _rates(name, rate, front_end, resample)
    splits = builder.info.splits
    total = sum(int(split.num_examples) for split in splits.values())
    recordings: list[Labelled] = []
    for split in splits:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            file = next((_text(example[key]) for key in FILES if key in example), "")
            label = features["label"].int2str(int(example["label"]))
            recordings.append(
                Labelled(
                    file or f"{split}/{len(recordings)}",
                    convert(np.asarray(example["audio"]).clip(-32768, 32767).astype(np.int16)),
                    wanted,
                    _group(example, file, pattern) or split,
                    label,
                    part=PARTS.get(split) if len(splits) > 1 else None,
                )
            )
            if progress is not None:
                progress(len(recordings), total)
    if not recordings:
        raise InputError(f"tfds:{name}: the set is empty")
    return sorted(recordings, key=lambda recording: recording.name)


def _builder(name: str) -> Any:
    try:
        import tensorflow_datasets
    except ImportError:
        raise MissingDependencyError(
            f"tfds:{name}: needs TensorFlow Datasets: run `pip install 'edgernn[datasets]'`"
        ) from None
    try:
        builder = tensorflow_datasets.builder(name)
        builder.download_and_prepare()
    except Exception as error:  # whatever it raises: no such set, no network, no space
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"tfds:{name}: cannot be had ({reason})") from None
    return builder


def _rates(
    name: str, rate: float, front_end: FrontEnd | Mapping[str, Any] | None, resample: bool
) -> tuple[float, Callable[[Any], Any]]:
    """The rate that is given out, and what brings samples to it."""
    from edgernn.sources.resampling import Resampler

    given = front_end.get("rate") if isinstance(front_end, Mapping) else None
    wanted = float(given or getattr(front_end, "rate", None) or rate)
    if not wanted:
        raise InputError(f"tfds:{name}: does not say its rate: give it in the front end")
    if not rate or rate == wanted:
        return wanted, lambda samples: samples
    if not resample:
        raise InputError(
            f"tfds:{name}: has {rate:g} samples a second, the front end takes {wanted:g}: choose "
            "resample, or give the front end this rate"
        )
    return wanted, lambda samples: Resampler(rate, wanted).run(samples, last=True)


def _group(example: Mapping[str, Any], file: str, pattern: str | None) -> str:
    """Who was recorded, as far as the example tells."""
    for key in GROUP:
        if key in example:
            return _text(example[key])
    if not file:
        return ""
    fields = matcher(pattern or FLAT)(Path(file))
    return "" if fields is None else fields["group"]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
