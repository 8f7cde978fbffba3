"""Numbers as text, the same on every page: shares, bytes, times, counts."""

from __future__ import annotations

UNKNOWN = "–"
GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which stay on one line."""


def percent(share: float | None, digits: int = 1) -> str:
    """0.912 -> `91.2 %`."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f}{GAP}%"


def number(value: float | None) -> str:
    """Three digits that count, whole numbers whole: 1234.5 -> `1,234`, 1.3012 -> `1.30`."""
    if value is None:
        return UNKNOWN
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 1e-4:
        return "< 0.0001" if value > 0 else "> -0.0001"
    return f"{value:#.3g}"


def size(count: float) -> str:
    """Bytes for people: 21386 -> `20.9 KiB`."""
    return f"{count:,.0f}{GAP}bytes" if count < 1024 else f"{count / 1024:,.1f}{GAP}KiB"


def duration(seconds: float | None) -> str:
    """0.00019 -> `190 µs`, 0.25 -> `0.25 s`, 5400 -> `1.5 h`, and days and months beyond."""
    if seconds is None:
        return UNKNOWN
    if seconds == 0:
        return f"0{GAP}s"
    for below, unit, factor in (
        (1e-3, "µs", 1e6),
        (0.1, "ms", 1e3),
        (120.0, "s", 1.0),
        (3600.0, "min", 1 / 60),
        (2 * 86400.0, "h", 1 / 3600),
    ):
        if abs(seconds) < below:
            return f"{seconds * factor:.3g}{GAP}{unit}"
    return f"{seconds / 86400:.3g}{GAP}days"


def clock(seconds: float | None, day: bool = False) -> str:
    """A moment of a recording: `1:02.5`; with `day`, `day 3, 04:05`."""
    if seconds is None:
        return UNKNOWN
    if day:
        minutes = round(seconds / 60)
        return f"day {minutes // 1440}, {minutes // 60 % 24:02d}:{minutes % 60:02d}"
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def shorten(text: str, length: int) -> str:
    """At most so many characters, and an ellipsis for what is left out."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
