"""What a JSON document must look like, as values: `fields(accuracy=fraction, groups=each(number))`.

A check is a function of a value and the value's place in the document; it returns nothing, or
raises an `InputError` whose one line says what is wrong and where. Fields that are missing or null
are no mistake, unless they are named in `needs`; fields that a check does not know are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgernn.errors import InputError

Check = Callable[[Any, str], None]


def wrong(place: str, what: str) -> InputError:
    """The error about a place in a document."""
    return InputError(f"{place}: {what}")


def shown(value: Any) -> str:
    """A value in an error, short."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def number(value: Any, place: str) -> None:
    """An int or a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(place, f"{shown(value)} is no number")


def count(value: Any, place: str) -> None:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(place, f"{shown(value)} is no whole number from 0 on")


def positive(value: Any, place: str) -> None:
    """A number from 0 on."""
    number(value, place)
    if value < 0:
        raise wrong(place, f"{shown(value)} is below 0")


def fraction(value: Any, place: str) -> None:
    """A number from 0 to 1."""
    number(value, place)
    if not 0 <= value <= 1:
        raise wrong(place, f"{shown(value)} is not between 0 and 1")


def text(value: Any, place: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise wrong(place, f"{shown(value)} is no text")


def flag(value: Any, place: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(place, f"{shown(value)} is neither true nor false")


def optional(check: Check) -> Check:
    """Or null."""
    return lambda value, place: None if value is None else check(value, place)


def items(check: Check) -> Check:
    """A list of such values."""

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise wrong(place, f"{shown(value)} is no list")
        for i, item in enumerate(value):
            check(item, f"{place}[{i}]")

    return checked


def each(check: Check) -> Check:
    """An object with names of one's own, and such a value, or null, for each."""

    def checked(value: Any, place: str) -> None:
        for name, item in _object(value, place).items():
            if item is not None:
                check(item, f"{place}.{name}")

    return checked


def fields(needs: Sequence[str] = (), also: Check | None = None, **checks: Check) -> Check:
    """An object with these fields; `also` is a check of the whole, after that of its fields."""

    def checked(value: Any, place: str) -> None:
        given = _object(value, place)
        for name in needs:
            if given.get(name) is None:
                raise wrong(place, f"'{name}' is missing")
        for name, check in checks.items():
            if given.get(name) is not None:
                check(given[name], f"{place}.{name}")
        if also is not None:
            also(given, place)

    return checked


def same_length(*names: str) -> Check:
    """Lists, where they are there, that are equally long."""

    def checked(value: Any, place: str) -> None:
        lengths = {name: len(value[name]) for name in names if value.get(name) is not None}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{length} {name}" for name, length in lengths.items())
            raise wrong(place, f"these must be equally many: {told}")

    return checked


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(place, f"{shown(value)} is no object with fields")
    return value
