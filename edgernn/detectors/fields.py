"""Reading the fields of a detector's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgernn.errors import InputError


class Fields:
    """The fields of a configuration, taken one by one; `done` refuses those that are left."""

    def __init__(self, where: str, fields: Mapping[str, Any]) -> None:
        self.where, self._left = where, dict(fields)
        self._known: list[str] = []

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        return self._left.pop(name, default)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number between limits."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(f"{name} is {value!r} and must be a number")
        if not low <= value <= high:
            raise self.wrong(f"{name} {value:g} is not between {low:g} and {high:g}")
        return float(value)

    def count(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number between limits."""
        value = self.number(name, default, low, high)
        if value != int(value):
            raise self.wrong(f"{name} {value:g} is not a whole number")
        return int(value)

    def choice(self, name: str, default: str, known: Sequence[str]) -> str:
        """One of some words."""
        value = self._take(name, default)
        if value not in known:
            raise self.wrong(f"{name} {value!r} is not one of {', '.join(known)}")
        return str(value)

    def table(self, name: str) -> dict[str, Any]:
        """A table of further fields."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(f"{name} is {value!r} and must be a table")
        return {str(key): item for key, item in value.items()}

    def words(self, name: str) -> tuple[str, ...]:
        """A list of words."""
        value = self._take(name, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(f"{name} is {value!r} and must be a list")
        return tuple(str(item) for item in value)

    def positions(self, name: str, size: int) -> tuple[int, ...]:
        """A list of positions in something of a size."""
        value = self._take(name, ())
        if not isinstance(value, Sequence) or not all(
            isinstance(item, int) and 0 <= item < size for item in value
        ):
            raise self.wrong(
                f"{name} is {value!r} and must be a list of numbers from 0 to {size - 1}"
            )
        return tuple(value)

    def done(self, also: Sequence[str] = ()) -> None:
        """Refuse what nothing took; `also` names further fields that there are."""
        if self._left:
            known = ", ".join(dict.fromkeys([*self._known, *also]))
            raise self.wrong(f"there is no field '{min(self._left)}'; its fields are {known}")

    def wrong(self, what: str) -> InputError:
        """The error to raise."""
        return InputError(f"{self.where}: {what}")


def predictions(seconds: float, rate: float) -> int:
    """How many predictions a time takes."""
    return round(seconds * rate)


def names_of(labels: Sequence[str], outputs: int) -> tuple[str, ...]:
    """The labels of a model's outputs, or their numbers."""
    return tuple(labels) or tuple(str(i) for i in range(outputs))


def positions(names: Sequence[str], wanted: Sequence[str], fields: Fields) -> list[int]:
    """Which outputs some labels are."""
    for name in wanted:
        if name not in names:
            raise fields.wrong(f"the model has no label '{name}'; it has {', '.join(names)}")
    return [names.index(name) for name in wanted]
