"""Checking the fields of a configuration against the parameters that they are meant for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from edgernn.errors import InputError

_KINDS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "int": (
        "a whole number",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v % 1 == 0,
    ),
    "float": (
        "a number",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v),
    ),
    "str": ("a word", lambda v: isinstance(v, str)),
    "Mapping": ("a table", lambda v: isinstance(v, Mapping)),
}
"""What a parameter with this annotation takes."""


def check(
    where: str, made: Callable[..., Any], fields: Mapping[str, Any], given: Collection[str] = ()
) -> None:
    """Check that `made(**fields)` can be called, but for the parameters `given` by the caller.

    Raises:
        InputError: a field is unknown, missing, or of another type; the message says which are
            known.
    """
    found = inspect.signature(made).parameters
    parameters = {name: one for name, one in found.items() if name not in given}
    for name in fields:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise InputError(f"{where}: there is no field '{name}'; its fields are {known}")
    for name, parameter in parameters.items():
        if name in fields:
            _check_value(where, name, fields[name], str(parameter.annotation))
        elif parameter.default is parameter.empty:
            raise InputError(f"{where}: the field '{name}' is missing")


def _check_value(where: str, name: str, value: Any, annotation: str) -> None:
    outer, _, inner = annotation.partition("[")
    if outer in ("tuple", "Sequence"):
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: {name} is {value!r} and must be a list")
        for item in value:
            _check_value(where, f"a value of {name}", item, inner.partition(", ...")[0].rstrip("]"))
    elif outer in _KINDS:
        wanted, fits = _KINDS[outer]
        if not fits(value):
            raise InputError(f"{where}: {name} is {value!r} and must be {wanted}")
