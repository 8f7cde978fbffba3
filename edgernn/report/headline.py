"""One sentence: how good the thing will be on the device, and what it costs."""

from __future__ import annotations

from typing import Any

from edgernn.report.costs import costs, place
from edgernn.report.numbers import duration, number, percent, size
from edgernn.report.section import Material

SHOWN = 3
"""Keywords in the sentence."""


def headline(material: Material) -> str:
    """What a reader should know who reads nothing else."""
    document = material.evaluation
    good = [
        *_events(document.get("events") or {}),
        *_right(document.get("clips") or {}, "clips", ("quantized", "reset1")),
        *_right(document.get("frames") or {}, "frames", ("quantized",)),
        *_anomaly(document.get("anomaly") or {}),
        *_forecast(document.get("forecast") or {}),
    ]
    sentence = "Quantized and streamed, as on the device, it " + _join(good) if good else ""
    if material.profile is None:
        return f"{sentence}." if good else "There is nothing in this evaluation."
    price = _costs(material.profile)
    return f"{sentence}, and takes {price}." if good else f"It takes {price}."


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _events(events: dict[str, Any]) -> list[str]:
    told = []
    keywords = {k: v for k, v in (events.get("keywords") or {}).items() if v}
    for name, found in list(keywords.items())[:SHOWN]:
        point, delay = found.get("operating_point") or {}, found.get("delay") or {}
        if point.get("false_reject_rate") is None:
            continue
        part = (
            f"misses {percent(point['false_reject_rate'])} of “{name}” at "
            f"{number(point.get('false_accepts_per_hour'))} false accepts an hour"
        )
        median = delay.get("median")
        if median is not None:
            when = "before" if median < 0 else "after"
            part += f" (median answer {duration(abs(median))} {when} the word’s end)"
        told.append(part)
    if told and len(keywords) > SHOWN:
        told.append(f"knows {len(keywords) - SHOWN} more keywords")
    return told


def _right(section: dict[str, Any], what: str, path: tuple[str, ...]) -> list[str]:
    def found(*names: str) -> dict[str, Any]:
        value: Any = section
        for name in names:
            value = (value or {}).get(name)
        return value or {}

    mine, exact = found(*path), found("float", *path[1:])
    if mine.get("accuracy") is None:
        return []
    count = f"{mine['count']:,} " if mine.get("count") is not None else ""
    text = f"gets {percent(mine['accuracy'])} of {count}{what} right"
    beside = []
    if exact.get("accuracy") is not None:
        beside.append(f"float: {percent(exact['accuracy'])}")
    if mine.get("macro_f1") is not None:
        beside.append(f"macro-F1 {number(mine['macro_f1'])}")
    # A vote decides later than the predictions that it counts: what the user gets is told, too.
    for name, words in (("vote", "after the detector’s vote"), ("baseline", "baseline")):
        if found(name).get("accuracy") is not None:
            beside.append(f"{words}: {percent(found(name)['accuracy'])}")
    return [f"{text} ({', '.join(beside)})" if beside else text]


def _anomaly(anomaly: dict[str, Any]) -> list[str]:
    windows = anomaly.get("windows")
    if not windows:
        return []
    text = f"finds {sum(w['found'] for w in windows)} of {len(windows)} anomalies"
    monthly = anomaly.get("false_alarms_per_month")
    return [f"{text} with {number(monthly)} false alarms a month" if monthly is not None else text]


def _forecast(forecast: dict[str, Any]) -> list[str]:
    mae = forecast.get("mae") or {}
    if mae.get("quantized") is None:
        return []
    unit = forecast.get("unit") or ""
    text = "forecasts "
    if forecast.get("horizon_seconds") is not None:
        text += f"{duration(forecast['horizon_seconds'])} ahead "
    text += f"with a mean error of {number(mae['quantized'])} {unit}".rstrip()
    names = [n for n in ("float", "persistence", "seasonal") if mae.get(n) is not None]
    beside = ", ".join(f"{name}: {number(mae[name])}" for name in names)
    return [f"{text} ({beside})" if beside else text]


def _costs(profile: dict[str, Any]) -> str:
    found = costs(profile)
    text = (
        f"{size(sum(found.flash.values()))} of flash, {size(sum(found.ram.values()))} of RAM and "
    )
    if found.share is not None:
        text += f"an estimated {percent(found.share)} of the time"
    elif found.seconds is not None:
        text += f"an estimated {duration(found.seconds)} a step"
    else:
        text += f"{found.instructions:,} instructions a step"
    return f"{text} of a {place(profile)}"
