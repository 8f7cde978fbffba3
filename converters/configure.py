"""What surrounds a step model: its front end and its detector, put into a file that exists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converters.flatfile import add_metadata
from edgernn import frontends
from edgernn.errors import InputError
from edgernn.frontends import FrontEnd
from edgernn.frontends.quantizer import frame_quantizer
from edgernn.model import Model
from edgernn.pipeline import detector_of

Configuration = Mapping[str, Any]


def configure(
    model: Model,
    front_end: FrontEnd | Configuration | None = None,
    detector: Configuration | None = None,
    *,
    delay: int = 0,
) -> Model:
    """The model with another front end or detector; an empty configuration removes one.

    `delay` is how many frames late it was trained to answer, beyond the latency that it has.

    Raises:
        InputError: a field is wrong, or the parts do not fit the model or each other.
    """
    if front_end is None and detector is None and not delay:
        return model
    document = replace(model.metadata, latency=model.metadata.latency + delay)
    for name, given in (("front end", front_end), ("detector", detector)):
        if isinstance(given, Mapping):
            _check_json(name, given)
    if front_end is not None:
        document = replace(document, front_end=_checked(front_end))
    if detector is not None:
        document = replace(document, detector=dict(detector))
    result = Model(add_metadata(model.data, document), model.path)
    if document.front_end:
        made = frontends.read(document.front_end)
        frame_quantizer(result, made)
        detector_of(result, made)
    if model.report is not None:
        size = {**model.report["bytes"], "file": len(result.data)}
        result.report = {**model.report, "bytes": size}
    return result


def _check_json(name: str, config: Configuration) -> None:
    try:
        json.dumps(dict(config), allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(
            f"{name}: holds a value that a model file cannot: only words, finite numbers, true, "
            "false, lists and tables"
        ) from None


def _checked(front_end: FrontEnd | Configuration) -> dict[str, Any]:
    """A front end as what is written: complete, with every default spelled out."""
    if not isinstance(front_end, Mapping):
        return front_end.config()
    return frontends.read(front_end).config() if front_end else {}
