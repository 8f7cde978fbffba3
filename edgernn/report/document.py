"""The documents that a report is made from: their form, checked before anything is drawn."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from edgernn.errors import InputError
from edgernn.report.schema import (
    count,
    each,
    fields,
    flag,
    fraction,
    items,
    number,
    optional,
    positive,
    same_length,
    text,
    wrong,
)
from edgernn.report.section import Material

FORMAT = 1
TASKS = ("clips", "events", "frames", "anomaly", "forecast")


def _square(value: Any, place: str) -> None:
    items(items(count))(value, place)
    for i, row in enumerate(value):
        if len(row) != len(value):
            raise wrong(f"{place}[{i}]", f"{len(row)} columns in a matrix of {len(value)} rows")


def _rows(value: Any, place: str) -> None:
    items(items(optional(number)))(value, place)
    for i, row in enumerate(value):
        if not row:
            raise wrong(f"{place}[{i}]", "no values")
        if len(row) != len(value[0]):
            raise wrong(f"{place}[{i}]", f"{len(row)} values, and {len(value[0])} in the first row")


def _trace(value: Any, place: str) -> None:
    same_length("feature_times", "features")(value, place)
    same_length("score_times", "scores")(value, place)
    kind = value.get("kind")
    if kind not in (None, "audio", "sensor"):
        raise wrong(f"{place}.kind", f"'{kind}' is neither 'audio' nor 'sensor'")


_right = fields(
    accuracy=fraction,
    macro_f1=fraction,
    count=count,
    confusion=_square,
    groups=each(fraction),
)
_point = fields(
    threshold=number,
    false_reject_rate=fraction,
    false_accepts_per_hour=positive,
    misses=count,
    false_accepts=count,
    keywords=count,
)
_keyword = fields(
    curve=items(_point),
    operating_point=_point,
    delay=fields(median=number, p95=number),
)
_span = fields(needs=["label", "start", "end"], label=text, start=number, end=number, score=number)
_errors = each(positive)

EVALUATION = fields(
    task=text,
    model=text,
    data=text,
    labels=items(text),
    ignored_clips=count,
    clips=each(fields(reset1=_right, reset0=_right)),
    frames=each(_right),
    events=fields(
        chosen_on=text, reported_on=text, hours=positive, words=count, keywords=each(_keyword)
    ),
    anomaly=fields(
        threshold=number,
        windows=items(
            fields(
                needs=["start", "end", "found"],
                start=number,
                end=number,
                found=flag,
                first_alarm=number,
            )
        ),
        false_alarms=count,
        months=positive,
        false_alarms_per_month=positive,
    ),
    forecast=fields(horizon_seconds=positive, unit=text, mae=_errors, rmse=_errors),
    traces=items(
        fields(
            name=text,
            labels=items(text),
            feature_times=items(number),
            features=_rows,
            score_times=items(number),
            scores=_rows,
            events=items(_span),
            truth=items(_span),
            threshold=number,
            also=_trace,
        )
    ),
    drift=fields(
        needs=["steps", "rms_percent"],
        steps=items(number),
        rms_percent=items(optional(positive)),
        also=same_length("steps", "rms_percent"),
    ),
    warmup=fields(
        needs=["steps", "difference_percent"],
        steps=items(number),
        difference_percent=items(optional(positive)),
        settled=count,
        also=same_length("steps", "difference_percent"),
    ),
)
"""The evaluation document: every section is optional, rates are fractions, times seconds."""

PROFILE = fields(
    needs=["target", "flash", "ram", "instructions_per_step"],
    target=text,
    board=fields(
        needs=["name", "clock_hz", "flash_bytes", "ram_bytes"],
        name=text,
        clock_hz=positive,
        flash_bytes=positive,
        ram_bytes=positive,
    ),
    untrained=flag,
    instructions_per_step=count,
    instructions_by_op=each(count),
    instructions_by_layer=each(count),
    flash=fields(needs=["code", "tables", "weights"], code=count, tables=count, weights=count),
    ram=fields(needs=["state", "scratch", "stack"], state=count, scratch=count, stack=count),
    stack_is_worst_case=flag,
    rate_hz=positive,
    frames_per_step=count,
    estimated_cycles_per_step=count,
    estimated_seconds_per_step=positive,
    estimated_share_of_real_time=positive,
    estimate=text,
    pipeline=fields(
        needs=["instructions_per_step", "flash", "ram"],
        instructions_per_step=count,
        flash=count,
        ram=count,
    ),
)
"""What `edgernn profile --json` writes."""


TRAINING = fields(loss=items(optional(number)), validation=items(optional(number)), best=number)
"""The history in `training.json`: loss and validation score (higher is better) of each epoch."""


def history_of(training: dict[str, Any]) -> dict[str, Any]:
    """The history of a training document: it, or its field `history`."""
    history = training.get("history")
    return history if isinstance(history, dict) else training


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A JSON file with an object.

    Raises:
        InputError: it cannot be read, is no JSON, or holds something else.
    """
    try:
        document = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{os.fspath(path)}: cannot be read ({reason})") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON
        raise InputError(f"{os.fspath(path)}: is no JSON ({error})") from None
    if not isinstance(document, dict):
        raise InputError(f"{os.fspath(path)}: holds no object with fields")
    return document


def checked(
    evaluation: dict[str, Any],
    profile: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> Material:
    """The documents, if they can be reported; values that are no numbers (NaN) become null.

    Raises:
        InputError: one of them has not the form; the line says where and what is wrong.
    """
    found = _plain(evaluation)
    form = found.get("format")
    if form != FORMAT:
        raise InputError(f"evaluation.format: {form!r}, and this edgernn reads format {FORMAT}")
    if found.get("task") not in (None, *TASKS):
        raise InputError(f"evaluation.task: '{found['task']}' is none of {', '.join(TASKS)}")
    EVALUATION(found, "evaluation")
    _check_labels(found)
    costs = _plain(profile)
    if costs is not None:
        PROFILE(costs, "profile")
    history = _plain(training)
    if history is not None:
        TRAINING(history_of(history), "training")
    return Material(found, costs, history)


def _check_labels(document: dict[str, Any]) -> None:
    """A confusion matrix has a row for each label."""
    labels = document.get("labels")
    if labels is None:
        return
    places = [(f"frames.{n}", one) for n, one in (document.get("frames") or {}).items()]
    for name, resets in (document.get("clips") or {}).items():
        places += [(f"clips.{name}.{reset}", one) for reset, one in (resets or {}).items()]
    for place, one in places:
        matrix = (one or {}).get("confusion") if isinstance(one, dict) else None
        if matrix and len(matrix) != len(labels):
            raise wrong(
                f"evaluation.{place}.confusion",
                f"{len(matrix)} rows, and there are {len(labels)} labels",
            )


def _plain(value: Any) -> Any:
    """Without NaN and infinities, which are no JSON: what was not measured is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
